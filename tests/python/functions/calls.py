"""Functions and classes that the tests of `rootstock.Environment` call. Standard library; NumPy and ASE where one says so."""

import os
import signal
import sys
import time


def add(a, b=10, *more):
    return a + b + sum(more)


def same(value):
    return value


def both(*args, **kwargs):
    return [list(args), kwargs]


def process():
    return os.getpid()


def fails(text):
    print("before it fails")
    print("a warning", file=sys.stderr)
    raise ValueError(text)


def ends(how):
    if how == "exit":
        os._exit(0)
    os.kill(os.getpid(), getattr(signal, how))


def sleeps(seconds):
    time.sleep(seconds)
    return seconds


def squares(n):
    import numpy

    return numpy.arange(n, dtype=float) ** 2


def doubled(atoms):
    return atoms.repeat((2, 1, 1))


def kind(value):
    return type(value).__module__ + "." + type(value).__name__


def chatters(n):
    for line in range(n):
        print("line", line)
    return n


def waits(place, others):
    """Makes a file in a directory, and returns when there are so many."""
    with open(os.path.join(place, str(os.getpid())), "w"):
        pass
    while len(os.listdir(place)) < others:
        time.sleep(0.01)
    return os.getpid()


class Counter:
    """Counts up."""

    def __init__(self, start=0):
        self.count = start

    def inc(self, by=1):
        self.count += by
        return self.count

    def __call__(self, factor):
        return factor * self.count

    def dies(self):
        os.kill(os.getpid(), signal.SIGKILL)
