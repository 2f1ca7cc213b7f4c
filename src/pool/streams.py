"""The streams of a process that runs code of others, and where it is when it takes too long.

One part of the programs that `call` and `evaluate` give to Python; `main.py` is the last of each.
"""

import ctypes
import faulthandler
import os
import sys


class Streams:
    """Standard input, output and error as they were before any code of the user."""

    def __init__(self):
        self.texts = sys.stdout, sys.stderr
        self.files = [identity(number) for number in range(3)]
        self.copies = [os.dup(number) for number in range(3)]
        self.c_library = ctypes.CDLL(None)

    def restore(self):
        """Writes out what is buffered, and opens again what was closed or replaced; `False` if that is impossible."""
        for stream in {sys.stdout, sys.stderr, *self.texts}:
            try:
                stream.flush()
            except BaseException:
                pass
        try:
            self.c_library.fflush(None)
        except BaseException:
            pass
        sys.stdout, sys.stderr = self.texts
        for number, file in enumerate(self.files):
            if identity(number) != file:
                if identity(self.copies[number]) != file:
                    return False
                os.dup2(self.copies[number], number)
        return True


def identity(number):
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Watchdog:
    """Has `faulthandler` write where this process is when it takes too long."""

    def __init__(self, file):
        self.file = file
        self.is_set = False

    def set(self, seconds):
        if seconds is not None:
            try:
                if os.lseek(self.file, 0, os.SEEK_CUR):
                    os.ftruncate(self.file, 0)
                    os.lseek(self.file, 0, os.SEEK_SET)
                faulthandler.dump_traceback_later(min(seconds, 1e6), file=self.file)
                self.is_set = True
            except (OSError, RuntimeError, ValueError):
                pass  # The parent stops this process without knowing where it is.

    def unset(self):
        if self.is_set:
            faulthandler.cancel_dump_traceback_later()
            self.is_set = False
