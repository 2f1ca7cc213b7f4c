"""What the tests of `rootstock call` call."""

import atexit
import ctypes
import os
import sys
import time


def add(a, b=0):
    return a + b


def echo(value):
    return value


def prints():
    print("python")
    os.system("echo program")
    os.write(1, b"raw\n")
    ctypes.CDLL(None).puts(b"C")
    print("error é", file=sys.stderr)
    atexit.register(print, "at exit")


def raises(text="bad"):
    raise ValueError(text)


def leaves(code=None):
    sys.exit(code)


def exits(code=0):
    os._exit(code)


def kills(number):
    os.kill(os.getpid(), number)


def crashes():
    ctypes.string_at(0)


def pid():
    return os.getpid()


class Counter:
    def __init__(self, start=0):
        self.count = start

    def add(self, by=1):
        self.count += by
        return self.count

    def __call__(self):
        return self.count

    def fails(self):
        raise RuntimeError("as told")

    def exits(self):
        os._exit(3)
