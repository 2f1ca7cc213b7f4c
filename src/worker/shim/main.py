"""The Python side of a worker: loads one model, then computes the frames that its launcher puts into a shared file.

The launcher carries this program, in parts, and hands it over when Python starts; it is never installed into an environment.
It opens no socket, knows no i-PI and talks only to its launcher, as `handover.rs` specifies. Standard library, NumPy and
ASE only, Python 3.8 or later.
"""

import os
import select
import signal
import time

# Seconds for which the launcher's next message is polled before sleeping, as the launcher does (`polling.rs`).
LONGEST = 200e-6


class Polling:
    """Polls the launcher's socket for a short time: waking up takes longer than some steps.

    After polling in vain it sleeps until the number of waits is a multiple of TOGETHER.
    """

    def __init__(self, connection):
        self.poller = select.poll()
        self.poller.register(connection, select.POLLIN)
        self.waits = self.resume = 0
        self.is_useful = len(os.sched_getaffinity(0)) > 1

    def poll(self):
        self.waits += 1
        if not self.is_useful or self.waits < self.resume:
            return
        until = time.perf_counter() + LONGEST
        while time.perf_counter() < until:
            if self.poller.poll(0):
                return
            os.sched_yield()
        self.resume = self.waits + TOGETHER - self.waits % TOGETHER


def serve(launcher, model, shared):
    refused = memory = None
    polling = Polling(launcher.connection)
    while True:
        while memory is not None and memory.is_requested():
            memory.compute(model)
        if memory is None:
            polling.poll()
        kind, value = launcher.next()
        if kind == MEMORY:
            memory = Memory(launcher, value)
            continue
        try:
            if kind == TEXT:
                # Systems are not answered: the next step fails with the error of one that is refused.
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
                stress = model.compute_all(shared.view(model.size, value), everything)
                more = "\n".join(everything).encode()
            else:
                stress = model.compute_all(shared.view(model.size, value))
                more = model.more() if value == 1 else b""
        except BaseException as error:
            if kind == TEXT:
                refused = error
                continue
            launcher.error(report(error))
            # Its state is unknown: the next step starts with fresh atoms.
            model.fresh = True
        else:
            launcher.done(stress, more)
            model.clean_up()


def main(connection):
    # The launcher blocks these signals; this process and programs that libraries start should get them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    launcher = keep_streams_apart(connection)
    order, descriptor = launcher.receive_order()
    if order["task"] == "import":
        only_import(launcher, order)
    if order["task"] == "setup":
        only_setup(launcher, order)
    die_with(order["launcher"])
    try:
        # The template first: reading it fails fast, while loading a model may take a minute.
        system = read_template(order["template"]) if order["template"] else order["system"]
        calculator, source = load_calculator(order)
        model = Model(calculator, order, source)
        if system:
            model.take(system)
            model.base = model.original.description
        ready = dumps({"system": system, "device": order.get("chosen")}).encode()
    except BaseException as error:
        launcher.error(report(error))
        exit_now(1)
    launcher.ready(ready)
    serve(launcher, model, SharedFile(descriptor))


main(connection)
