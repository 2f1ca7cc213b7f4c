"""Time `rootstock lock --check` against `uv lock --check` on the same requirements, in one run.

    python benchmarks/lock_check.py ROOTSTOCK UV [RUNS]

Every lock is up to date. Three questions are asked: one environment (environments/chgnet.py, about 70 packages) against one
uv project; this repository's whole manifest against the uv projects it takes, one for each environment, because the
requirements of mace and sevennet contradict each other; and twenty environments (tests/differential) against ONE uv project
that holds the same twenty as dependency groups which it declares to conflict. The two tools run in turn, A B A B …; medians,
and the median of the pairwise ratios. The time of starting a process that does nothing is shown beside them. Locking the
twenty needs the package index and Pythons 3.10 and 3.12 on PATH, and takes some minutes.
"""

import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib

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


def twenty(rootstock, uv, parent):
    """The twenty environments of the differential test: our manifest, and uv's one project; both locked."""
    ours, theirs = parent / "twenty", parent / "twenty-uv"
    ours.mkdir()
    theirs.mkdir()
    source = REPOSITORY / "tests/differential"
    for name in ("rootstock.toml", "environment.py"):
        shutil.copy(source / name, ours)
    manifest = tomllib.loads((source / "rootstock.toml").read_text())
    text = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.10,<3.13"\n\n[dependency-groups]\n'
    for name, environment in manifest["environments"].items():
        major, minor = environment["python"].split(".")
        marker = f"python_full_version >= '{major}.{minor}' and python_full_version < '{major}.{int(minor) + 1}'"
        asked = [f"{requirement} ; {marker}" for requirement in ["ase", *environment["dependencies"]]]
        text += f"{name} = {json.dumps(asked)}\n"
    groups = ", ".join(f'{{ group = "{name}" }}' for name in manifest["environments"])
    cutoff = manifest["rootstock"]["exclude-newer"]
    text += f'\n[tool.uv]\nexclude-newer = "{cutoff}"\nconflicts = [[{groups}]]\n'
    text += "environments = [\"sys_platform == 'linux' and platform_machine == 'x86_64'\"]\n"
    (theirs / "pyproject.toml").write_text(text)
    run([rootstock, "lock"], ours)
    run([uv, "lock"], theirs)
    return ours, theirs


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
        ours, theirs = twenty(rootstock, uv, directory)
        compare("twenty environments, one uv project", [(check, ours)], [(check_uv, theirs)], runs)
        compare("starting: --version", [([rootstock, "--version"], one)], [([uv, "--version"], one)], runs)


if __name__ == "__main__":
    main()
