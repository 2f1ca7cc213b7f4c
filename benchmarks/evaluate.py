"""Many structures through `rootstock.evaluate`, against the same calculator in this process and in a pool of processes.

    python benchmarks/evaluate.py --root ROOT --model emt [--count 2000] [--frames 1000000] [--plot evaluate.png]

All ways compute the same structures in turns, several rounds; the best round of each counts. `whole` begins before anything is
started; `steady` begins with the first result, when all processes are up and models loaded. Ratios are times by the time of the
calculator in this process. The memory is the largest of this process, of `rootstock`, and of the process that computes, while
so many frames come from a generator. ASE's EMT must be the model's calculator; energies are compared to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

import rootstock

Way = Callable[[list[Atoms]], Iterable[float]]

_calculator = EMT()


def structures(count: int, cells: int) -> list[Atoms]:
    made = []
    for number in range(count):
        atoms = bulk("Cu", a=3.6, cubic=True).repeat((cells, cells, cells))
        atoms.rattle(0.05, seed=number)
        made.append(atoms)
    return made


def one(atoms: Atoms) -> float:
    """Energy, forces and stress by a calculator of this process."""
    _calculator.reset()
    _calculator.calculate(atoms, ["energy", "forces", "stress"], all_changes)
    return float(_calculator.results["energy"])


def serial(images: list[Atoms]) -> Iterator[float]:
    return map(one, images)


def pool(images: list[Atoms]) -> Iterator[float]:
    with ProcessPoolExecutor(2) as executor:
        yield from executor.map(one, images, chunksize=16)


def ways(arguments: argparse.Namespace) -> dict[str, Way]:
    common: dict[str, Any] = {"root": arguments.root, "program": arguments.program}

    def workers(count: int) -> Way:
        def run(images: list[Atoms]) -> Iterator[float]:
            for atoms in rootstock.evaluate(images, arguments.model, workers=count, devices="cpu", **common):
                yield atoms.calc.results["energy"]

        return run

    def executor(images: list[Atoms]) -> Iterator[float]:
        with ProcessPoolExecutor(2) as processes:
            for atoms in rootstock.evaluate(images, arguments.model, executor=processes, **common):
                yield atoms.calc.results["energy"]

    return {
        "in this process": serial,
        "evaluate, 1 worker": workers(1),
        "evaluate, 2 workers": workers(2),
        "pool of 2, in process": pool,
        "evaluate, executor of 2": executor,
    }


def measure(way: Way, images: list[Atoms]) -> tuple[float, float, list[float]]:
    """Seconds of the whole, seconds a structure from the first result on, and the energies."""
    begun = time.perf_counter()
    energies, first = [], 0.0
    for energy in way(images):
        first = first or time.perf_counter()
        energies.append(energy)
    ended = time.perf_counter()
    return ended - begun, (ended - first) / max(1, len(images) - 1), energies


def memory(arguments: argparse.Namespace) -> dict[str, float]:
    """The largest memory of each process, in MB, while frames of one atom pass."""

    def frames() -> Iterator[Atoms]:
        for number in range(arguments.frames):
            yield Atoms("Cu", positions=[(0.0, 0.0, 1e-6 * number)])

    largest: dict[str, float] = {}
    count = 0
    for _ in rootstock.evaluate(frames(), arguments.model, workers=1, devices="cpu", root=arguments.root, program=arguments.program):
        count += 1
        if count % 10000 == 1:
            for name, process in family().items():
                largest[name] = max(largest.get(name, 0.0), resident(process))
    assert count == arguments.frames
    return largest


def family() -> dict[str, int]:
    """This process, `rootstock`, and what that has started."""
    found = {"this process": os.getpid()}
    for child in children(os.getpid()):
        found["rootstock"] = child
        for number, python in enumerate(children(child)):
            found[f"worker {number}"] = python
    return found


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def resident(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    line = next((line for line in lines if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) / 1024


def plot(rows: dict[str, Any], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3), constrained_layout=True)
    names = list(rows)[::-1]
    axes.barh(names, [rows[name]["steady_ratio"] for name in names], color="#4878a8")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("time per structure / calculator in this process")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.environ.get("ROOTSTOCK_ROOT"))
    parser.add_argument("--model", default="emt")
    parser.add_argument("--program")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--cells", type=int, default=2, help="cubic cells along each axis: 4 atoms each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=0, help="also measure memory with so many frames of one atom")
    parser.add_argument("--plot")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    images = structures(arguments.count, arguments.cells)
    best: dict[str, tuple[float, float]] = {}
    expected: list[float] = []
    for _ in range(arguments.rounds):
        for name, way in ways(arguments).items():
            whole, steady, energies = measure(way, images)
            expected = expected or energies
            assert energies == expected, f"{name}: other energies"
            known = best.get(name, (float("inf"), float("inf")))
            best[name] = min(known[0], whole), min(known[1], steady)
    base = best["in this process"]
    rows = {
        name: {"whole_s": whole, "whole_ratio": whole / base[0], "steady_ms": 1e3 * steady, "steady_ratio": steady / base[1]}
        for name, (whole, steady) in best.items()
    }
    report: dict[str, Any] = {"count": arguments.count, "atoms": len(images[0]), "ways": rows}
    if arguments.frames:
        report["frames"], report["memory_mb"] = arguments.frames, memory(arguments)
    if arguments.plot:
        plot(rows, arguments.plot)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{arguments.count} structures of {len(images[0])} atoms")
    for name, row in rows.items():
        print(
            f"{name:26} whole {row['whole_s']:7.2f} s {row['whole_ratio']:5.2f}   "
            f"steady {row['steady_ms']:7.3f} ms {row['steady_ratio']:5.2f}"
        )
    if arguments.frames:
        for name, megabytes in report["memory_mb"].items():
            print(f"{arguments.frames} frames: {name}: {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
