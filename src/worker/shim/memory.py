"""Frames in memory: the file shared with the launcher, and the memory shared with a client.

`layout.py` describes both. One part of the program that the launcher gives to Python; `main.py` is the last of them.
"""

import math
import mmap
import os
import select
import socket

# How often memory is polled before waiting for the bell, which takes longer to wake from than some steps take: up to about
# 200 µs. A side that polled in vain waits for the bell until the step's number is the next multiple of TOGETHER, so as not to
# take the processor from a model that computes longer. Both sides then poll again at the same step: if one of them slept,
# the other would poll in vain while it wakes up.
LOOKS, TOGETHER = 8000, 64
# The components of a stress, in the order of its nine numbers.
COMPONENTS = ("xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz")


class Frame:
    """Views of one frame in the shared file: cell, positions | energy, stress, forces."""

    def __init__(self, numbers, atoms):
        results = numbers[CELL + 3 * atoms :]
        self.cell = numbers[:CELL].reshape(3, 3)
        # Comparing bytes is thirty times as fast as comparing arrays.
        self.cell_bytes = memoryview(self.cell).cast("B")
        self.positions = numbers[CELL : CELL + 3 * atoms].reshape(atoms, 3)
        self.results = results
        self.energy = results[:1]
        self.stress = results[1:HEAD].reshape(3, 3)
        self.flat_forces = results[HEAD:]
        self.forces = self.flat_forces.reshape(atoms, 3)


class SharedFile:
    """The launcher's file: one frame after another; behind the first, on request, the stresses of its atoms."""

    def __init__(self, descriptor):
        import numpy

        self.numpy = numpy
        self.descriptor = descriptor
        self.memory = b""
        self.seen = None

    def view(self, atoms, count):
        """Views of this many frames of this many atoms."""
        if (atoms, count) != self.seen:
            size = frame_size(atoms)
            numbers = self.map(size * count)
            self.frames = [Frame(numbers[size * place :][:size], atoms) for place in range(count)]
            self.seen = (atoms, count)
        return self.frames

    def stresses(self, atoms):
        size = frame_size(atoms)
        return self.map(size + 9 * atoms)[size : size + 9 * atoms].reshape(atoms, 3, 3)

    def map(self, numbers):
        if len(self.memory) < 8 * numbers:
            self.memory = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
        return self.numpy.frombuffer(self.memory, self.numpy.float64)


class Memory:
    """A client's memory, in which steps are requested and answered without a message; `memory.rs` has the protocol."""

    def __init__(self, launcher, atoms):
        import numpy

        self.numpy = numpy
        _, (descriptor, bell) = launcher.receive_files(1, 2)
        self.memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        os.close(descriptor)
        self.bell = socket.socket(fileno=bell)
        self.state = memoryview(self.memory)[:STATE].cast("q")
        size = frame_size(atoms)
        self.frame = Frame(numpy.frombuffer(self.memory, numpy.float64, size, STATE), atoms)
        self.text = STATE + 8 * size
        self.resume, self.looks = 0, range(LOOKS if len(os.sched_getaffinity(0)) > 1 else 0)
        self.only_bell = [(bell, select.POLLIN)]
        self.poller = select.poll()
        self.poller.register(self.bell, select.POLLIN)
        self.poller.register(launcher.connection, select.POLLIN)
        self.end = select.poll()
        self.end.register(launcher.connection, 0)
        self.state[POLLED] = 1
        # A Python before this one may have answered without ringing.
        self.ring()

    def is_requested(self):
        """Waits for the next step; false if the launcher sends a message instead."""
        state, answered = self.state, self.state[ANSWERED]
        if answered >= self.resume:
            for _ in self.looks:
                if state[REQUESTED] != answered:
                    return True
            self.resume = answered + TOGETHER - answered % TOGETHER
        while state[REQUESTED] == answered:
            ready = self.poller.poll()
            if ready != self.only_bell:
                return False
            if not self.bell.recv(4096):
                # The client has closed its end; the launcher will send what follows.
                self.poller.unregister(self.bell)
        return True

    def answer(self, flags, text):
        state = self.state
        if text:
            self.memory[self.text : self.text + len(text)] = text
        state[FLAGS], state[LENGTH] = flags, len(text)
        state[ANSWERED] = state[REQUESTED]
        self.ring()

    def ring(self):
        try:
            self.bell.send(b"!", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            pass  # The client has ended; the launcher ends this process.

    def compute(self, model):
        """Answers the requested step."""
        try:
            stress = model.compute(self.frame)
            self.check(stress)
            flags, text = (HAS_STRESS if stress else 0), model.more()
            if len(text) > TEXT_ROOM:
                raise ValueError("the model's further results are too long: %d bytes" % len(text))
        except BaseException as error:
            if isinstance(error, BrokenPipeError) and self.end.poll(1000):
                exit_now()  # The model printed to a launcher that was killed; its client starts another.
            model.fresh = True
            found = report(error, FITTING)
            what = found["traceback"] or found["error"]
            log("rootstock: the calculation failed; the client was sent this error:\n" + what)
            answer = '{"error": %s, "kind": %s, "retryable": false}' % (quoted(what), quoted(found["kind"]))
            flags, text = IS_ERROR, answer.encode()
        self.answer(flags, text)
        model.clean_up()

    def check(self, stress):
        """Checks that all numbers are finite."""
        frame = self.frame
        # The sum is finite if all are, except for absurdly large numbers.
        if math.isfinite(frame.results.sum() if stress else frame.energy[0] + frame.flat_forces.sum()):
            return
        if not math.isfinite(frame.energy[0]):
            raise NotFinite("the model computed an energy of %s eV" % frame.energy[0])
        finite = self.numpy.isfinite(frame.forces).all(axis=1)
        if not finite.all():
            atom = int(finite.argmin())
            raise NotFinite(
                "the model computed forces that are not finite, first that on atom %d (counted from 0)" % atom
            )
        finite = self.numpy.isfinite(frame.stress).ravel()
        if stress and not finite.all():
            raise NotFinite("the model computed a stress that is not finite, first its %s" % COMPONENTS[finite.argmin()])
