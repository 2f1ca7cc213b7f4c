"""How a worker's Python starts: apart from what the job has loaded, from bytecode, on the device that is its own, and not in
silence.
"""

import os
import sys
import time

import harness
from harness import Worker

ANY = ("--species", "Cu", "--pbc", "TTT")


def apart():
    """What another Python left behind is not there, and nothing of the environment is compiled again."""
    evil = harness.SCRATCH / "evil"
    evil.mkdir()
    (evil / "sitecustomize.py").write_text("raise SystemExit('/evil')")
    for name in ["PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "LD_PRELOAD_PATH", "VIRTUAL_ENV"]:
        os.environ[name] = str(evil)
    Worker("odd-looks", "nobody", *ANY).fails(1, "isolated 1, bytecode written 0, compiled [], prefix below", "evil False")


def device():
    """By the local rank, among as many as there are; the processor where there are none, or no torch."""

    def given(expected, devices=None, **variables):
        os.environ.pop("ODD_DEVICES", None)
        if devices is not None:
            os.environ["ODD_DEVICES"] = str(devices)
        os.environ.update(variables)
        output = Worker("odd-fails", "nobody", "--device", "auto", *ANY).fails(1, "no model for the device '%s'" % expected)
        for name in variables:
            del os.environ[name]
        return output

    given("cpu")
    given("cpu", devices=0)
    given("cuda:0", devices=4)
    given("cuda:3", devices=4, SLURM_LOCALID="3")
    given("cuda:1", devices=2, OMPI_COMM_WORLD_LOCAL_RANK="3")
    # Each task sees its own device alone.
    given("cuda:0", devices=1, SLURM_LOCALID="3", CUDA_VISIBLE_DEVICES="3")


def heartbeat():
    """A model that loads slowly is reported as loading until it has loaded."""
    done = harness.SCRATCH / "done"
    os.environ["ODD_WAITS"] = str(done)
    worker = Worker("odd-waits", "nobody", "--heartbeat", "0.05", *ANY)
    while open(worker.log.name).read().count("still loading the model, for") < 2:
        assert worker.process.poll() is None
        time.sleep(0.02)
    done.touch()
    worker.fails(1, "waited long enough")


if __name__ == "__main__":
    globals()[sys.argv[3]]()
