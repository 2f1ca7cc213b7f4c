"""Time `rootstock call` against what Python has for the same, in one run.

    PATH=$PWD/target/release:$PATH rootstock run ENV -- python benchmarks/call.py [ROUNDS]

ENV is any environment with NumPy. All contenders use its Python. They take turns; a time is the median over all rounds, a ratio the
median of the ratios within a round.

Warm: an empty function, called in a process that lives: `multiprocessing.Pool.apply`; an executor of loky, if it is installed;
`rootstock.Environment.call`; and bare lines written to and read from `rootstock call --stream`. Large: 100 MB of array, there and back.
Cold: one `rootstock call` of a function in a file that imports NumPy, against `python -c` of the same import.
"""

import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "python"))

import rootstock  # noqa: E402

#: Calls in a round.
CALLS = 200
SOURCE = """
def empty():
    pass

def same(value):
    return value
"""
COLD = "import numpy\n\ndef empty():\n    pass\n"


class Lines:
    """`rootstock call --stream` without a client."""

    def __init__(self, program, name, directory):
        command = [program, "call", name, "--path", directory, "--stream"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.request = json.dumps({"function": "bench:empty"}).encode() + b"\n"

    def call(self):
        self.process.stdin.write(self.request)
        self.process.stdin.flush()
        assert b'"success":true' in self.process.stdout.readline()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(work, times=1):
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def turns(contenders, rounds, times):
    """Seconds of each contender in each round."""
    found = {name: [] for name in contenders}
    for work in contenders.values():
        work()
    for _ in range(rounds):
        for name, work in contenders.items():
            found[name].append(timed(work, times))
    return found


def report(title, found, peer, unit, scale):
    print(f"\n{title}")
    for name, times in found.items():
        ratios = [ours / theirs for ours, theirs in zip(times, found[peer])]
        print(f"  {name:36} {statistics.median(times) * scale:10.1f} {unit}   {statistics.median(ratios):6.2f} of {peer}")


def executors():
    """An executor of loky with one process, if there is loky."""
    try:
        import loky
    except ImportError:
        return {}
    executor = loky.get_reusable_executor(max_workers=1, timeout=None)
    import bench

    return {"loky": lambda: executor.submit(bench.empty).result()}


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    program, name = shutil.which("rootstock"), pathlib.Path(sys.prefix).parent.name
    directory = tempfile.mkdtemp()
    pathlib.Path(directory, "bench.py").write_text(SOURCE)
    pathlib.Path(directory, "cold.py").write_text(COLD)
    sys.path.insert(0, directory)
    import bench
    import numpy

    with multiprocessing.Pool(1) as pool, rootstock.Environment(name, paths=[directory], program=program) as env:
        lines = Lines(program, name, directory)
        warm = {
            "Pool.apply": lambda: pool.apply(bench.empty),
            "Environment.call": lambda: env.call("bench:empty"),
            "rootstock call --stream, bare lines": lines.call,
            **executors(),
        }
        report("warm: an empty function", turns(warm, rounds, CALLS), "Pool.apply", "µs", 1e6)
        lines.close()
        array = numpy.random.default_rng(1).normal(size=12_500_000)
        large = {
            "Pool.apply": lambda: pool.apply(bench.same, (array,)),
            "Environment.call": lambda: env.call("bench:same", array),
        }
        assert env.call("bench:same", array).tobytes() == array.tobytes()
        report("large: 100 MB of array, there and back", turns(large, max(3, rounds // 3), 1), "Pool.apply", "ms", 1e3)

    def run(*command):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    cold = {
        "python -c": lambda: run(sys.executable, "-I", "-B", "-c", "import numpy"),
        "rootstock call": lambda: run(program, "call", name, os.path.join(directory, "cold.py") + ":empty"),
    }
    report("cold: a process that imports NumPy", turns(cold, rounds, 1), "python -c", "ms", 1e3)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
