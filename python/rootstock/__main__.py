"""`python -m rootstock …` is `rootstock …`."""

from __future__ import annotations

import os
import sys

from .program import program


def main() -> None:
    """Become the program."""
    name = program()
    os.execv(name, [name, *sys.argv[1:]])


if __name__ == "__main__":
    main()
