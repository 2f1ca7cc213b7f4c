"""Time `rootstock lock --check` against `uv lock --check` on the same requirements, in one run.

usage: python benchmarks/lock_check.py ROOTSTOCK UV [RUNS]

Both look at a lock that is up to date. The two are run in turn, A B A B …; medians and the median of the pairwise
ratios are printed. Requirements: those of environments/chgnet.py (torch and what it brings, about 70 packages).
"""

import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

MANIFEST = """
[rootstock]
python-source = "system"

[environments.chgnet]
source = "environments/chgnet.py"
python = "3.11"
sdists = ["bibtexparser", "nvidia-ml-py3"]
"""


def timed(command, directory):
    start = time.perf_counter()
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return time.perf_counter() - start


def main():
    rootstock, uv = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 21
    source = pathlib.Path(__file__).parent.parent / "environments" / "chgnet.py"
    requirements = re.search(r"# dependencies = (\[.*\])", source.read_text()).group(1)
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        (pathlib.Path(ours) / "environments").mkdir()
        shutil.copy(source, pathlib.Path(ours) / "environments")
        (pathlib.Path(ours) / "rootstock.toml").write_text(MANIFEST)
        subprocess.run([rootstock, "lock"], cwd=ours, check=True, capture_output=True)
        (pathlib.Path(theirs) / "pyproject.toml").write_text(
            f'[project]\nname = "x"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = {requirements}\n'
        )
        subprocess.run([uv, "lock"], cwd=theirs, check=True, capture_output=True)
        pairs = [
            (timed([rootstock, "lock", "--check"], ours), timed([uv, "lock", "--check"], theirs))
            for _ in range(runs + 1)
        ][1:]
    mine, other = (statistics.median(column) * 1000 for column in zip(*pairs))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"rootstock lock --check  {mine:8.2f} ms")
    print(f"uv lock --check         {other:8.2f} ms")
    print(f"ratio                   {ratio:8.3f}   (median of {runs} pairs)")


if __name__ == "__main__":
    main()
