"""The layout of a frame in shared memory, and of the messages between a worker's launcher and its Python.

This is the one description of both. A client imports it, a worker's Python runs it as one part of its program, and a test of
the launcher compares its constants with these. Standard library only, Python 3.8 or later.

A frame of N atoms, in float64 numbers of the machine's byte order; units are ASE's:

    offset       what
    0            cell, vectors as rows: 9
    9            positions: 3 N
    9 + 3 N      energy: 1
    10 + 3 N     stress, 3x3 by rows: 9
    19 + 3 N     forces: 3 N

The launcher's file holds one frame after another, and behind the first, on request, the stresses of single atoms: 9 N.

A client's memory holds one frame behind STATE bytes, and a text, JSON of further results or of an error, behind the frame.
The state is five int64: the number of the step that is requested (written by the client), and, written by Python, the number of
the step that was answered last, 1 once it polls this memory, and of the answer its flags and the length of its text.

A message between launcher and Python is two int32, a kind and a value, and the rest depends on the kind.
"""

# Numbers of a frame: the cell before the positions; energy and stress before the forces.
CELL = 9
HEAD = 10

# A client's memory: bytes before the frame, and of text behind it; the items of the state; flags of an answer.
STATE = 64
TEXT_ROOM = 65536
REQUESTED, ANSWERED, POLLED, FLAGS, LENGTH = range(5)
HAS_STRESS, IS_ERROR = 1, 2

# Kinds of messages.
STEP = 1
TEXT = 2
STRESSES = 3
MEMORY = 4
ERROR = 5
RESULTS = 6
EVERYTHING = 7


def frame_size(atoms: int) -> int:
    """How many numbers a frame and its results take."""
    return CELL + HEAD + 6 * atoms
