"""200 EMT tasks through each engine, with workers and in process: as many workers as processes, and nearly the same time.

    PYTHON engines.py SCRATCH ENGINE ...

ROOTSTOCK_PROGRAM is the program, ROOTSTOCK_ROOT its root.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

TASKS, PROCESSES = 200, 2
#: Time per task of workers against that in process.
MOST = 1.5
SCRATCH = Path(sys.argv[1])
CRYSTALS = [bulk("Cu", a=a).repeat(4) for a in np.linspace(3.5, 3.7, TASKS)]


def count_workers():
    """From now on each start of a worker is a line in a file."""
    log, program = SCRATCH.resolve() / "starts", SCRATCH.resolve() / "bin" / "rootstock"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/bin/sh\necho start >> "%s"\nexec "%s" "$@"\n' % (log, os.environ["ROOTSTOCK_PROGRAM"]))
    program.chmod(0o755)
    os.environ["PATH"] = "%s:%s" % (program.parent, os.environ["PATH"])
    return log


def within(atoms):
    atoms.calc = EMT()
    return atoms.get_potential_energy(), os.getpid()


def through(atoms):
    import rootstock

    atoms.calc = rootstock.shared("odd-emt")
    return atoms.get_potential_energy(), os.getpid()


def meet(function):
    """A task for warming up: long enough that every process gets one."""
    result = function(CRYSTALS[0])
    time.sleep(0.5)
    return result


class Pool:
    def __enter__(self):
        import concurrent.futures
        import multiprocessing

        # Forked processes would share what this one has imported.
        self.pool = concurrent.futures.ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"))
        return lambda function, items: list(self.pool.map(function, items))

    def __exit__(self, *_):
        self.pool.shutdown()


class Joblib:
    def __enter__(self):
        import joblib

        self.parallel = joblib.Parallel(PROCESSES)
        self.parallel.__enter__()
        return lambda function, items: self.parallel(joblib.delayed(function)(item) for item in items)

    def __exit__(self, *_):
        from joblib.externals.loky import get_reusable_executor

        self.parallel.__exit__(None, None, None)
        get_reusable_executor().shutdown(wait=True)


class Dask:
    def __enter__(self):
        from dask.distributed import Client, LocalCluster

        self.cluster = LocalCluster(n_workers=PROCESSES, threads_per_worker=1, dashboard_address=None)
        self.client = Client(self.cluster)
        return lambda function, items: self.client.gather(self.client.map(function, items, pure=False))

    def __exit__(self, *_):
        self.client.close()
        self.cluster.close()


class Parsl:
    def __enter__(self):
        import parsl
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        from parsl.providers import LocalProvider

        provider = LocalProvider(init_blocks=1, max_blocks=1)
        executor = HighThroughputExecutor(label="test", max_workers_per_node=PROCESSES, provider=provider, address="127.0.0.1")
        self.kernel = parsl.load(Config(executors=[executor], strategy="none", run_dir=str(SCRATCH / "parsl")))
        apps = {}

        def run(function, items):
            app = apps.setdefault(function, parsl.python_app(function))
            return [task.result() for task in [app(item) for item in items]]

        return run

    def __exit__(self, *_):
        import parsl

        self.kernel.cleanup()
        parsl.clear()


def warm(function):
    return meet(function)


def warmed(run, function):
    """The processes, each of which has had a task."""
    processes = set()
    while len(processes) < PROCESSES:
        processes |= {process for _, process in run(warm, [function] * PROCESSES)}
    return processes


def timed(run, function):
    begin = time.perf_counter()
    results = run(function, CRYSTALS)
    seconds = (time.perf_counter() - begin) / TASKS
    energies, processes = zip(*results)
    return seconds, np.array(energies), set(processes)


def compare(engine, log):
    if log.exists():
        log.unlink()
    with engine() as run:
        warmed(run, within)
        assert not log.exists()
        processes = warmed(run, through)
        rounds = []
        # In turns, because a machine is not equally busy all the time.
        for _ in range(3):
            within_time, expected, _ = timed(run, within)
            time_of_workers, energies, found = timed(run, through)
            assert abs(energies - expected).max() < 1e-9
            processes |= found
            rounds.append((within_time, time_of_workers))
        started = log.read_text().count("start")
    within_time, time_of_workers = map(min, zip(*rounds))
    ratio = time_of_workers / within_time
    line = "%-8s %6.2f ms in process, %6.2f ms by workers: %.2f; %d processes, %d workers"
    print(line % (engine.__name__, 1e3 * within_time, 1e3 * time_of_workers, ratio, len(processes), started), flush=True)
    assert started == len(processes) == PROCESSES, (started, processes)
    assert ratio <= MOST, "%s: %.2f times the time in process" % (engine.__name__, ratio)


def compare_matcalc(log):
    """Many structures, the calculator pickled for each."""
    import matcalc
    from pymatgen.io.ase import AseAtomsAdaptor

    import rootstock

    if log.exists():
        log.unlink()
    structures = [AseAtomsAdaptor.get_structure(bulk("Cu", cubic=True, a=a)) for a in np.linspace(3.5, 3.7, TASKS)]
    seconds, energies = [], []
    for calculator in (EMT(), rootstock.RootstockCalculator("odd-emt")):
        calculation = matcalc.RelaxCalc(calculator, relax_atoms=False, relax_cell=False)
        list(calculation.calc_many(structures[:20], n_jobs=PROCESSES))
        begin = time.perf_counter()
        energies.append([result["energy"] for result in calculation.calc_many(structures, n_jobs=PROCESSES)])
        seconds.append((time.perf_counter() - begin) / TASKS)
    assert abs(np.subtract(*energies)).max() < 1e-9
    started = log.read_text().count("start")
    ratio = seconds[1] / seconds[0]
    line = "MatCalc  %6.2f ms in process, %6.2f ms by workers: %.2f; %d workers"
    print(line % (1e3 * seconds[0], 1e3 * seconds[1], ratio, started), flush=True)
    assert started == PROCESSES and ratio <= MOST


def main():
    log = count_workers()
    engines = {engine.__name__: engine for engine in (Pool, Joblib, Dask, Parsl)}
    for name in sys.argv[2:]:
        if name == "MatCalc":
            compare_matcalc(log)
        else:
            compare(engines[name], log)


if __name__ == "__main__":
    # Engines import functions by the name of their module.
    import engines

    engines.main()
