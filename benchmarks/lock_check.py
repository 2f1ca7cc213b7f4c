"""Time `rootstock lock --check` against `uv lock --check` on the same requirements, in one run.

    python benchmarks/lock_check.py ROOTSTOCK UV [RUNS]

Every lock is up to date. Two questions are asked: one environment (environments/chgnet.py, about 70 packages) against one
uv project, and this repository's whole manifest against the uv projects it takes, one for each environment, because the
requirements of mace and sevennet contradict each other. The two tools run in turn, A B A B …; medians, and the median of
the pairwise ratios. The time of starting a process that does nothing is shown beside them.
"""

import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
ONE = """
[rootstock]
python-source = "system"

[environments.chgnet]
source = "environments/chgnet.py"
python = "3.11"
sdists = ["bibtexparser", "nvidia-ml-py3"]
"""


def run(command, directory):
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


def timed(commands):
    start = time.perf_counter()
    for command, directory in commands:
        run(command, directory)
    return time.perf_counter() - start


def uv_project(uv, parent, source):
    """A project with the requirements of an environment's source, locked."""
    project = parent / source.stem
    project.mkdir()
    requirements = re.search(r"# dependencies = (\[.*\])", source.read_text()).group(1)
    text = f'[project]\nname = "x"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = {requirements}\n'
    (project / "pyproject.toml").write_text(text)
    run([uv, "lock"], project)
    return project


def compare(title, ours, theirs, runs):
    pairs = [(timed(ours), timed(theirs)) for _ in range(runs + 1)][1:]
    mine, other = (statistics.median(column) * 1000 for column in zip(*pairs))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{title:38} {mine:8.2f} ms {other:8.2f} ms {ratio:8.3f}")


def main():
    rootstock, uv = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 21
    sources = sorted((REPOSITORY / "environments").glob("*.py"))
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        projects = {source.stem: uv_project(uv, directory, source) for source in sources}
        one = directory / "one"
        (one / "environments").mkdir(parents=True)
        shutil.copy(REPOSITORY / "environments/chgnet.py", one / "environments")
        (one / "rootstock.toml").write_text(ONE)
        run([rootstock, "lock"], one)
        check = [rootstock, "lock", "--check"]
        check_uv = [uv, "lock", "--check"]
        print(f"{'':38} {'rootstock':>11} {'uv':>11} {'ratio':>8}   (medians of {runs} pairs)")
        compare("one environment", [(check, one)], [(check_uv, projects["chgnet"])], runs)
        all_of_uv = [(check_uv, project) for project in projects.values()]
        compare(f"this manifest, {len(projects)} environments", [(check, REPOSITORY)], all_of_uv, runs)
        compare("starting: --version", [([rootstock, "--version"], one)], [([uv, "--version"], one)], runs)


if __name__ == "__main__":
    main()
