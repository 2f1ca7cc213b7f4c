"""The Python side of rootstock's worker: loads one model, then computes the frames its launcher puts into a shared file.

Carried by the launcher and handed over when Python starts; never installed into an environment. It opens no socket,
knows no i-PI and speaks with nobody but its launcher; what is said is specified in `handover.rs`. Standard library,
numpy and ASE only, Python 3.8 or later.
"""

import array
import ctypes
import importlib.util
import json
import math
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time

WORD = struct.Struct("=ii")
DONE = WORD.pack(STEP, 0), WORD.pack(STEP, 1)
# How often memory is looked at before one goes to sleep, which takes longer to wake from than some steps take: up to some
# 50 µs. Who looked in vain does not do it again for so many steps, so that a model that computes for longer is not kept from it.
LOOKS, REST = 1000, 100
# Libraries replace these in `json`, by faster ones that give bytes or refuse what ours take.
loads, dumps = json.loads, json.JSONEncoder(allow_nan=False).encode
# Where each of nine numbers of a stress stands.
COMPONENTS = ("xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz")
# Further results that are told if they are there; any other is if it is a single number.
SMALL = ("dipole", "polarization", "dielectric_tensor", "polarizability")


class Launcher:
    """The other end of the socket pair."""

    def __init__(self, connection):
        self.connection = connection

    def receive(self, count):
        data = self.connection.recv(count, socket.MSG_WAITALL)
        while len(data) < count:
            # A signal came between, or the end.
            part = self.connection.recv(count - len(data), socket.MSG_WAITALL)
            if not part:
                leave()
            data += part
        return data

    def receive_order(self):
        """The first message: what to load, and the shared file."""
        word, (descriptor,) = self.receive_files(WORD.size, 1)
        return loads(self.receive(WORD.unpack(word)[1]).decode()), descriptor

    def receive_files(self, count, files):
        """A few bytes and the descriptors that came with them."""
        size = array.array("i").itemsize * files
        data, control, _, _ = self.connection.recvmsg(count, socket.CMSG_SPACE(size))
        return data + self.receive(count - len(data)), array.array("i", control[0][2][:size])

    def next(self):
        kind, value = WORD.unpack(self.receive(WORD.size))
        return (kind, loads(self.receive(value).decode())) if kind == TEXT else (kind, value)

    def done(self, stress, more):
        self.connection.sendall(WORD.pack(STEP, 2 * len(more) + stress) + more if more else DONE[stress])

    def ready(self, text):
        self.connection.sendall(WORD.pack(TEXT, len(text)) + text)

    def error(self, report):
        text = encode_report(report)
        self.connection.sendall(WORD.pack(ERROR, len(text)) + text)


def leave(code=0):
    """Ends without Python's long goodbye, which libraries use to hang or to crash in."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def log(text):
    """Prints to the launcher, whatever libraries have made of `sys.stderr`."""
    try:
        os.write(2, (text + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def keep_streams_apart(connection):
    """Takes the socket away from standard input, and standard output away from libraries that print."""
    ours = connection.dup()
    connection.detach()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)
    return Launcher(ours)


def die_with(launcher):
    """Asks Linux to end us when the launcher ends, however it does."""
    try:
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    except (OSError, AttributeError):
        pass  # The closed socket ends us then, after the step we are in.
    if os.getppid() != launcher:
        leave()


def read_template(path):
    """Everything a structure file says but where the atoms are."""
    import ase.io

    atoms = ase.io.read(path)
    return {
        "numbers": [int(number) for number in atoms.numbers],
        "pbc": [bool(periodic) for periodic in atoms.pbc],
        "info": {},
        "inputs": inputs(atoms, ("numbers", "positions")),
    }


def choose_device(rank):
    """One of the devices that torch sees, by our number among the tasks of this node; the processor where it sees none."""
    try:
        import torch
    except ImportError:
        return "cpu"
    for kind in ("cuda", "xpu"):
        backend = getattr(torch, kind, None)
        if backend is not None and backend.is_available():
            return "%s:%d" % (kind, rank % backend.device_count())
    return "cpu"


def import_source(path):
    """The environment's source, which defines `setup()`."""
    where = importlib.util.spec_from_file_location("env_source", path)
    source = importlib.util.module_from_spec(where)
    if importlib.util.find_spec("env_source") is None:
        # Generations of before have no link to it among their packages; processes that it starts import it by its name.
        sys.path.append(os.path.dirname(path))
    sys.modules["env_source"] = source
    where.loader.exec_module(source)
    return source


def load_calculator(order):
    """Calls `setup()` of the environment's source, or `setup_from_path()`; the calculator, and the source."""
    source = import_source(order["source"])
    if order["device"] == "auto":
        order["device"] = order["chosen"] = choose_device(order["rank"])
    if order["weights"] is None:
        return source.setup(order["argument"], order["device"], **order["setup"]), source
    if not hasattr(source, "setup_from_path"):
        raise NotImplementedError("the environment has no `setup_from_path(path, device)`, which loads weights of your own")
    return source.setup_from_path(order["weights"], order["device"], **order["setup"]), source


class Frame:
    """Views of one frame in the shared file: cell, positions | energy, stress, forces."""

    def __init__(self, numbers, atoms):
        results = numbers[CELL + 3 * atoms :]
        self.cell = numbers[:CELL].reshape(3, 3)
        # Bytes compare themselves thirty times as fast as arrays do.
        self.cell_bytes = memoryview(self.cell).cast("B")
        self.positions = numbers[CELL : CELL + 3 * atoms].reshape(atoms, 3)
        self.results = results
        self.energy = results[:1]
        self.stress = results[1:HEAD].reshape(3, 3)
        self.flat_forces = results[HEAD:]
        self.forces = self.flat_forces.reshape(atoms, 3)


class SharedFile:
    """Frames, one after another; behind the first, where somebody asks, the stresses of its atoms."""

    def __init__(self, descriptor):
        import numpy

        self.numpy = numpy
        self.descriptor = descriptor
        self.memory = b""
        self.seen = None

    def look(self, atoms, count):
        """This many frames of this many atoms."""
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
    """A client's memory, where steps are asked for and answered without a message; specified in `memory.rs`."""

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
        self.rest, self.looks = 0, range(LOOKS if len(os.sched_getaffinity(0)) > 1 else 0)
        self.only_bell = [(bell, select.POLLIN)]
        self.poller = select.poll()
        self.poller.register(self.bell, select.POLLIN)
        self.poller.register(launcher.connection, select.POLLIN)
        self.end = select.poll()
        self.end.register(launcher.connection, 0)
        self.state[POLLED] = 1
        # Whoever was here before may have answered and not rung any more.
        self.ring()

    def is_asked(self):
        """Waits until something is to be computed; or is not any more, because the launcher has something to say."""
        state, answered = self.state, self.state[ANSWERED]
        if self.rest:
            self.rest -= 1
        else:
            for _ in self.looks:
                if state[REQUESTED] != answered:
                    return True
            self.rest = REST
        while state[REQUESTED] == answered:
            ready = self.poller.poll()
            if ready != self.only_bell:
                return False
            if not self.bell.recv(4096):
                # The client has gone, or will come with a new system; the launcher knows.
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
            pass  # The client has gone; the launcher ends us.

    def compute(self, model):
        """Answers what is asked."""
        try:
            stress = model.compute(self.frame)
            self.check(stress)
            flags, text = (HAS_STRESS if stress else 0), model.more()
            if len(text) > TEXT_ROOM:
                raise ValueError("the model's further results are too long: %d bytes" % len(text))
        except BaseException as error:
            if isinstance(error, BrokenPipeError) and self.end.poll(1000):
                leave()  # What the model printed went to a launcher that was killed; its client starts another.
            model.fresh = True
            found = report(error, FITTING)
            what = found["traceback"] or found["error"]
            log("rootstock: the calculation failed, and the client was told so:\n" + what)
            answer = '{"error": %s, "kind": %s, "retryable": false}' % (quoted(what), quoted(found["kind"]))
            flags, text = IS_ERROR, answer.encode()
        self.answer(flags, text)
        model.look_after()

    def check(self, stress):
        """Sees to it that no number is infinite, or none."""
        frame = self.frame
        # A sum is finite where all are, unless they are beyond all measure.
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


class Model:
    """A calculator and the atoms it computes, moved in place from frame to frame."""

    def __init__(self, calculator, order, source=None):
        import numpy
        from ase.calculators import calculator as base

        self.numpy = numpy
        self.all_changes = list(base.all_changes)
        # Where each of nine stands among xx, yy, zz, yz, xz, xy.
        self.float64 = numpy.dtype(float)
        self.rows = numpy.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
        self.not_implemented = base.PropertyNotImplementedError
        self.calculator = calculator
        # What the worker was started with: a system that the server does not know, and what goes before all others.
        self.base, self.info = None, order["info"]
        self.may_have_stress = order["stress"] and "stress" in getattr(calculator, "implemented_properties", ())
        self.implemented = getattr(calculator, "implemented_properties", ())
        self.reset = getattr(calculator, "reset", None)
        # What computes several structures at once: made of the calculator where the first batch comes, or its own.
        self.make_batch = getattr(source, "setup_batch", None)
        self.batch = getattr(calculator, "calculate_batch", None)

    def take(self, system):
        """From now on it is about these atoms."""
        described = describe(system, self.base, self.info)
        self.original = Original(described)
        self.size = len(described)
        # ASE's own servers ask for the stress of what is periodic, and of nothing else.
        self.is_periodic = any(system["pbc"])
        self.everything = system.get("everything", False)
        self.timings = system.get("timings", False)
        self.has_stress = self.may_have_stress
        self.fresh, self.computed = True, False

    def compute_all(self, frames, everything=None):
        """Computes these frames; whether there is a stress. All that was found further is added to a list, for each frame."""
        if len(frames) == 1:
            return self.compute_one(frames[0], everything)
        if self.make_batch is not None:
            self.batch = self.make_batch(self.calculator) or self.batch
            self.make_batch = None
        if self.batch is not None:
            return self.compute_batch(frames, everything)
        stresses = []
        for frame in frames:
            stresses.append(self.compute_one(frame, everything))
            self.look_after()
        return all(stresses)

    def compute_one(self, frame, everything):
        stress = self.compute(frame)
        if everything is not None:
            everything.append(plain_results(self.calculator.results))
        return stress

    def compute_batch(self, frames, everything):
        structures = []
        for frame in frames:
            self.move(frame)
            structures.append(self.atoms.copy())
        # The calculator's own memory of its atoms, if it has one, is not of these.
        self.fresh = True
        wanted = ["energy", "forces"] + ["stress"] * (self.wants_stress and self.has_stress)
        answers = list(self.batch(structures, wanted))
        if len(answers) != len(frames):
            raise ValueError("the batch of %d structures was answered with %d results" % (len(frames), len(answers)))
        stresses = [self.put(frame, results, wanted) for frame, results in zip(frames, answers)]
        if everything is not None:
            everything += map(plain_results, answers)
        return all(stresses)

    def stresses(self, into):
        """The stresses of single atoms, 3x3, of the frame computed last."""
        found = self.calculator.results.get("stresses")
        if found is None:
            if "stresses" not in getattr(self.calculator, "implemented_properties", ()):
                raise NotImplementedError("the model computes no stresses of single atoms")
            self.calculate_further("stresses")
            found = self.calculator.results["stresses"]
        found = self.real("stresses", found)
        if len(found) != len(into):
            raise ValueError("the model's stresses are of %d atoms, not of %d" % (len(found), len(into)))
        for place, stress in enumerate(found):
            into[place] = self.square(stress)
        if not self.numpy.isfinite(into).all():
            raise NotFinite("the model computed stresses of single atoms that are not finite")

    def compute(self, shared):
        """Computes the frame in the shared file; whether there is a stress."""
        self.last, self.computed = shared, False
        changes = self.move(shared)
        if self.wants_stress and self.has_stress:
            try:
                return self.calculate(shared, ["energy", "forces", "stress"], changes)
            except Exception as error:
                # Nobody has asked for the stress of an open box: what fails only with it may go without.
                if isinstance(error, (self.not_implemented, NotImplementedError)):
                    self.has_stress = False
                elif self.is_periodic:
                    raise
                self.fresh = True
                changes = self.move(shared)
        return self.calculate(shared, ["energy", "forces"], changes)

    def move(self, shared):
        """Brings the atoms to the frame; what has changed, as ASE's calculators want to know."""
        changes = ["positions"]
        if self.fresh:
            self.atoms = self.original.make()
            self.fresh, self.cell, changes = False, None, self.all_changes
        self.atoms.arrays["positions"][...] = shared.positions
        if self.cell != shared.cell_bytes:
            self.atoms.cell.array[...] = shared.cell
            self.cell = bytearray(shared.cell_bytes)
            self.wants_stress = bool(self.atoms.cell.rank == 3) and (self.is_periodic or self.everything)
            changes = changes if changes is self.all_changes else ["positions", "cell"]
        return changes

    def look_after(self):
        """Sees to it that the next step finds nothing of what the calculator has done to its atoms. Done between two steps,
        where nobody waits for it."""
        if not self.fresh:
            original = self.original
            self.fresh = self.cell != original.cell_array or not original.is_unchanged()
            original.restore_info()

    def calculate(self, shared, properties, changes):
        # As `get_property` does before each calculation; results that are not new must not be there.
        calculator = self.calculator
        if self.reset is not None:
            self.reset()
        else:
            calculator.atoms = self.atoms.copy()
        if self.reset is None or calculator.results:
            calculator.results = {}
        begin = time.perf_counter()
        calculator.calculate(self.atoms, properties, changes)
        self.seconds = time.perf_counter() - begin
        stress = self.put(shared, calculator.results, properties)
        self.computed = True
        return stress

    def put(self, shared, results, properties):
        """Puts results into the file; whether there is a stress among them."""
        energy = results.get("energy")
        if type(energy) is not float:
            energy = self.real("energy", energy)
            if energy.size != 1:
                raise ValueError("the model's energy has shape %s, and is no single number" % (energy.shape,))
            energy = energy.item()
        shared.energy[0] = energy
        forces = self.real("forces", results.get("forces"))
        if forces.shape != shared.forces.shape:
            raise ValueError("the model's forces have shape %s, not %s" % (forces.shape, shared.forces.shape))
        shared.forces[...] = forces
        stress = results.get("stress") if "stress" in properties else None
        if stress is None:
            return False
        stress = self.square(self.real("stress", stress))
        if not self.is_periodic and not self.numpy.isfinite(stress).all():
            return False  # Nobody has asked for that of an open box: it may go without.
        shared.stress[...] = stress
        return True

    def calculate_further(self, name):
        """Computes something else of the frame computed last; what the calculator has done to its atoms is no part of that."""
        self.fresh = True
        changes = self.move(self.last)
        before = dict(self.calculator.results)
        try:
            self.calculator.calculate(self.atoms, [name], changes)
        finally:
            self.calculator.results = {**before, **self.calculator.results}

    def further_results(self, name):
        """All that a client has not been sent, the result of this name included if it can be computed."""
        if not self.computed:
            return b'{"gone": true}'
        if name and name not in self.calculator.results and name in self.implemented:
            self.calculate_further(name)
        return to_text({"results": further_results(self.calculator.results)}).encode()

    def real(self, what, value):
        """An array of real numbers. Texts, truth values, complex numbers, objects and masked numbers are none."""
        if type(value) is self.numpy.ndarray and value.dtype is self.float64:
            return value
        if value is None:
            raise TypeError("the model's results have no %s" % what)
        found = self.numpy.asanyarray(value)
        if found.dtype.kind not in "fiu":
            raise TypeError("the model's %s: expected real numbers, got %s (%s)" % (what, type(value).__name__, found.dtype))
        if type(found) is not self.numpy.ndarray and self.numpy.ma.is_masked(found):
            raise TypeError("the model's %s: some of the numbers are masked" % what)
        return self.numpy.asarray(found, dtype=self.numpy.float64)

    def square(self, stress):
        """By rows, from that or from xx, yy, zz, yz, xz, xy."""
        if stress.shape == (3, 3):
            return stress
        if stress.shape == (6,):
            return stress.take(self.rows)
        raise ValueError("the model's stress has shape %s, not (6,) or (3, 3)" % (stress.shape,))

    def more(self):
        """Further results that do not grow with the atoms, as the bytes of a JSON object; none where nobody asks."""
        if not self.everything:
            return b""
        found = {}
        results = self.calculator.results
        for name, value in results.items():
            if name in ("energy", "forces", "stress", "free_energy") or not isinstance(name, str):
                continue
            if self.numpy.ndim(value) and name not in SMALL:
                continue
            try:
                numbers = self.real(name, value)
            except Exception:
                continue  # Not numbers.
            # JSON knows no other numbers than finite ones.
            if self.numpy.isfinite(numbers).all():
                found[name] = numbers.tolist()
        free_energy = results.get("free_energy")
        if free_energy is not None:
            found["free_energy"] = self.one("free_energy", free_energy)
        elif "free_energy" in self.implemented:
            found["free_energy"] = None
        if self.timings:
            found["timings"] = {"compute": self.seconds}
        return dumps(found).encode() if found else b""

    def one(self, what, value):
        number = self.real(what, value)
        if number.size != 1:
            raise ValueError("the model's %s has shape %s, and is no single number" % (what, number.shape))
        if not math.isfinite(number.item()):
            raise NotFinite("the model computed a %s of %s eV" % (what, number.item()))
        return number.item()


def serve(launcher, model, shared):
    refused = memory = None
    while True:
        while memory is not None and memory.is_asked():
            memory.compute(model)
        kind, value = launcher.next()
        if kind == MEMORY:
            memory = Memory(launcher, value)
            continue
        try:
            if kind == TEXT:
                # Systems are not answered: one that cannot be taken is what the next step fails with.
                refused = memory = None
                model.take(value)
                continue
            name = launcher.receive(value).decode() if kind == RESULTS else ""
            if refused is not None:
                raise refused
            if kind == STRESSES:
                model.stresses(shared.stresses(model.size))
                stress, more = False, b""
            elif kind == RESULTS:
                stress, more = False, model.further_results(name)
            elif kind == EVERYTHING:
                everything = []
                stress = model.compute_all(shared.look(model.size, value), everything)
                more = "\n".join(everything).encode()
            else:
                stress = model.compute_all(shared.look(model.size, value))
                more = model.more() if value == 1 else b""
        except BaseException as error:
            if kind == TEXT:
                refused = error
                continue
            launcher.error(report(error))
            # Whatever state it was left in, the next step begins from the beginning.
            model.fresh = True
        else:
            launcher.done(stress, more)
            model.look_after()


def main(connection):
    # The launcher hears these on its own descriptor; programs that libraries start want to hear them as ever.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    launcher = keep_streams_apart(connection)
    order, descriptor = launcher.receive_order()
    if order["task"] == "import":
        only_import(launcher, order)
    if order["task"] == "setup":
        only_setup(launcher, order)
    die_with(order["launcher"])
    try:
        # First what fails fast: a template that cannot be read is known before a model takes its minute.
        system = read_template(order["template"]) if order["template"] else order["system"]
        calculator, source = load_calculator(order)
        model = Model(calculator, order, source)
        if system:
            model.take(system)
            model.base = model.original.description
        ready = dumps({"system": system, "device": order.get("chosen")}).encode()
    except BaseException as error:
        launcher.error(report(error))
        leave(1)
    launcher.ready(ready)
    serve(launcher, model, SharedFile(descriptor))


main(connection)
