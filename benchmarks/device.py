"""What a worker costs beside a real model, and what batches gain: for a machine with a GPU, or for its CPU.

    rootstock run chgnet -- python benchmarks/device.py ROOTSTOCK ROOT chgnet-0.3.0 environments/chgnet.py [--device cuda]
        [--argument 0.3.0] [--sizes 64,256,1000,4000] [--seconds 20] [--batches 1,4,16,64] [--images 256] [--json FILE]

It runs in the environment itself, so that the same calculator is in this process and behind `RootstockCalculator`. Both take turns
on the same displaced copper crystals: a turn is one step of each, in alternating order; the ratio is the median of the turns'
ratios. Batches are structures per second of `rootstock.evaluate` with one worker, on crystals of 64 atoms; each number of
structures in a batch runs once; the clock starts when 64 structures are done. The energies of both ways, and
of batches and single structures, are compared too.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from ase.build import bulk

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))
import rootstock

#: So many structures are computed before the clock starts.
WARM = 64

REPEATS = {4: (1, 1, 1), 64: (2, 2, 4), 256: (4, 4, 4), 1000: (5, 5, 10), 4000: (10, 10, 10)}


def crystal(size, seed):
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True).repeat(REPEATS[size])
    atoms.rattle(0.05, seed=seed)
    return atoms


def in_process(source, argument, device):
    where = importlib.util.spec_from_file_location("env_source", source)
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module.setup(argument, device)


def step(atoms, calculator, positions):
    """Seconds and energy of one step through ASE's getters."""
    atoms.calc = calculator
    atoms.positions = positions
    start = time.perf_counter()
    energy = atoms.get_potential_energy()
    atoms.get_forces()
    atoms.get_stress()
    return time.perf_counter() - start, energy


def compare(size, ours, theirs, seconds):
    """Turns of `size` atoms until `seconds` have passed: medians, the median ratio, the largest difference of energies."""
    here, there = crystal(size, 1), crystal(size, 1)
    random = np.random.RandomState(2)
    ideal = here.positions.copy()
    turns, difference, end = [], 0.0, None
    while len(turns) < 5 or time.perf_counter() < end:
        positions = ideal + random.normal(0, 0.01, ideal.shape)
        both = [(here, theirs), (there, ours)]
        if len(turns) % 2:
            both.reverse()
        times = [step(*one, positions) for one in both]
        if len(turns) % 2:
            times.reverse()
        if end is None:
            # The first turn loads kernels.
            end = time.perf_counter() + seconds
            continue
        difference = max(difference, abs(times[0][1] - times[1][1]) / size)
        turns.append((times[0][0], times[1][0]))
    return {
        "atoms": size,
        "turns": len(turns),
        "in_process_ms": 1e3 * statistics.median(turn[0] for turn in turns),
        "worker_ms": 1e3 * statistics.median(turn[1] for turn in turns),
        "ratio": statistics.median(turn[1] / turn[0] for turn in turns),
        "energy_difference_per_atom": difference,
    }


def batches(arguments, sizes):
    images = [crystal(64, seed) for seed in range(arguments.images)]
    rows, single = [], None
    for size in sizes:
        done = rootstock.evaluate(
            images, arguments.model, root=arguments.root, devices=[arguments.device], workers=1, batch=size
        )
        energies, start = [], 0.0
        for number, image in enumerate(done):
            energies.append(image.get_potential_energy())
            if number + 1 == WARM:
                start = time.perf_counter()
        rate = (len(images) - WARM) / (time.perf_counter() - start)
        energies = np.array(energies)
        single = energies if single is None else single
        difference = float(np.abs(energies - single).max() / 64)
        rows.append({"batch": size, "structures_per_second": rate, "energy_difference_per_atom": difference})
        print(f"  batches of {size:3}   {rate:8.1f} structures/s   {rate / rows[0]['structures_per_second']:.2f}   {difference:.1e} eV/atom", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rootstock")
    parser.add_argument("root")
    parser.add_argument("model")
    parser.add_argument("source")
    parser.add_argument("--argument", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", default="64,256,1000,4000")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--batches", default="1,4,16,64")
    parser.add_argument("--images", type=int, default=448)
    parser.add_argument("--json")
    arguments = parser.parse_args()

    numbers = lambda text: [int(number) for number in text.split(",") if number]
    report = {"model": arguments.model, "device": arguments.device, "steps": [], "batches": []}
    print(f"{arguments.model} on {arguments.device}", flush=True)
    theirs = in_process(arguments.source, arguments.argument, arguments.device)
    with rootstock.RootstockCalculator(arguments.model, root=arguments.root, device=arguments.device, program=arguments.rootstock) as ours:
        for size in numbers(arguments.sizes):
            row = compare(size, ours, theirs, arguments.seconds)
            report["steps"].append(row)
            print(
                f"  {size:5} atoms   in process {row['in_process_ms']:9.2f} ms   worker {row['worker_ms']:9.2f} ms   "
                f"{row['ratio']:.4f}   {row['energy_difference_per_atom']:.1e} eV/atom   {row['turns']} turns",
                flush=True,
            )
    if numbers(arguments.batches):
        report["batches"] = batches(arguments, numbers(arguments.batches))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
