"""Time `rootstock sync` against `uv pip sync` on the same wheels, and what an administrator does every day beside it.

    python benchmarks/sync.py ROOTSTOCK UV [--before OLD] [--runs 5] [--torch-runs 5] [--only-torch] [--directory DIR]

Nothing is downloaded while something is timed: `rootstock bundle` fetches the wheels once (about 3.5 GB; with
--torch-runs 0 90 MB), and both tools take them from there. Both compile bytecode, and both build into a new directory each time.

    cold    our store and uv's cache are empty: wheels are unpacked
    warm    the store, or the cache, has every wheel unpacked; in both tools files are linked from there
    four    four environments that share torch, one after another, warm
    no-op   nothing to do: `rootstock sync` against `uv sync` (and `uv pip sync`)
    deep    `rootstock doctor --deep` against sha256sum of the same files, one process for each core
    status  of a root with 100 environments

With --before another rootstock does the same in its turn, for `emt`, and the last column is the ratio to it.

The tools run in turn, A B A B ...; medians, and the median of the pairwise ratios. A run that comes before the others is not
counted. Peak memory is the largest of any process of a run (`getrusage`).
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

# Four environments with the same torch, of wheels only.
TORCH = {
    "sevennet": ["sevenn>=0.11"],
    "orb": ["orb-models"],
    "aimnet": ["aimnet"],
    "bare": [],
}
HEADER = """
[rootstock]
root = "root"
targets = ["linux-x86_64"]
python-source = "system"
exclude-newer = "2026-11-20T00:00:00Z"
"""
SOURCE = """# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
def setup(model, device):
    raise NotImplementedError
"""


def run(command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


def timed(*commands, cwd=None):
    start = time.perf_counter()
    for command in commands:
        run(command, cwd=cwd)
    return time.perf_counter() - start


def remove(path):
    """Removes a tree whose directories may be read-only."""
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o755)
    shutil.rmtree(path, ignore_errors=True)


def settle():
    """Lets the disk come to rest. For five seconds ext4 does not give an inode again that was freed, and looks for another one
    for every new file: the first run after a removal would pay for that."""
    os.sync()
    time.sleep(6)


def table(title, pairs, unit=1.0, name="s"):
    mine, other, *before = (statistics.median(column) * unit for column in zip(*pairs))
    ratios = [statistics.median(times[0] / times[at] for times in pairs) for at in range(1, len(pairs[0]))]
    more = "".join(f" {time:9.2f} {name:2} {ratio:7.3f}" for time, ratio in zip(before, ratios[1:]))
    print(f"{title:44} {mine:9.2f} {name:2} {other:9.2f} {name:2} {ratios[0]:7.3f}{more}", flush=True)


class Project:
    """A manifest with some environments, its bundle, and the same as uv wants it."""

    def __init__(self, directory, rootstock, uv, environments, before=None):
        self.directory, self.rootstock, self.uv = directory, rootstock, uv
        # The same for another rootstock, whose lock may have another format.
        self.before = before and Project(directory.with_name(directory.name + "-before"), before, uv, environments)
        self.names = list(environments)
        directory.mkdir()
        text = HEADER
        for name, dependencies in environments.items():
            text += f'\n[environments.{name}]\nsource = "{name}.py"\npython = "3.11"\nprefetch = false\n'
            text += f'dependencies = {json.dumps(dependencies)}\n'
            (directory / f"{name}.py").write_text(SOURCE)
        (directory / "rootstock.toml").write_text(text)
        run([rootstock, "lock"], cwd=directory)
        run([rootstock, "bundle", "-o", "bundle"], cwd=directory)
        self.wheels = directory / "wheels"
        self.wheels.mkdir()
        for file in json.loads((directory / "bundle/rootstock-bundle.json").read_text())["files"]:
            os.link(directory / "bundle" / file["path"], self.wheels / file["name"])
        for name in self.names:
            command = [rootstock, "export", name, "--format", "requirements", "-o", f"{name}.txt"]
            run(command, cwd=directory)
        self.python = run(["python3.11", "-c", "import sys; print(sys.executable)"]).stdout.strip()

    def ours(self, root, *names):
        return [self.rootstock, "--root", root, "sync", "--offline", "--bundle", "bundle", *names]

    def theirs(self, cache, environment, name):
        offline = ["--no-index", "--find-links", self.wheels, "--offline", "--cache-dir", cache]
        return [
            [self.uv, "venv", "-q", "--no-config", "--python", self.python, environment],
            [self.uv, "pip", "sync", "-q", "--no-config", *offline, "--compile-bytecode", "--require-hashes"]
            + ["--python", environment / "bin/python", f"{name}.txt"],
        ]

    def cold(self, name, runs):
        pairs = []
        for at in range(runs + 1):
            root, cache, environment = (self.directory / f"{what}-{at}" for what in ("root", "cache", "venv"))
            times = [timed(self.ours(root, name), cwd=self.directory)]
            times.append(timed(*self.theirs(cache, environment, name), cwd=self.directory))
            paths = [root, cache, environment]
            if self.before:
                paths.append(self.before.directory / root.name)
                times.append(timed(self.before.ours(paths[-1], name), cwd=self.before.directory))
            pairs.append(times)
            for path in paths:
                remove(path)
            settle()
        table(f"{name}, cold", pairs[1:])

    def warm(self, names, runs, title):
        """From a store and a cache that have everything, into new generations and new virtual environments."""
        root, cache = self.directory / "root", self.directory / "cache"
        pairs = []
        for at in range(runs + 1):
            for name in names:
                remove(root / "generations" / name)
            mine = timed(self.ours(root, *names), cwd=self.directory)
            environments = [self.directory / f"venv-{at}-{name}" for name in names]
            commands = [c for name, e in zip(names, environments) for c in self.theirs(cache, e, name)]
            pairs.append([mine, timed(*commands, cwd=self.directory)])
            if self.before:
                old = self.before.directory / "root"
                for name in names:
                    remove(old / "generations" / name)
                pairs[-1].append(timed(self.before.ours(old, *names), cwd=self.before.directory))
            for environment in environments:
                remove(environment)
            settle()
        table(title, pairs[1:])


def nothing_to_do(project, name, runs):
    """The same environment as a project of uv's, which `uv sync` finds in order."""
    theirs = project.directory / "uv-project"
    theirs.mkdir()
    requirements = (project.directory / f"{name}.txt").read_text().replace("\\\n", " ").splitlines()
    pins = [line.split("--hash")[0].strip() for line in requirements if "==" in line]
    (theirs / "pyproject.toml").write_text(
        f'[project]\nname = "x"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = {json.dumps(pins)}\n'
    )
    offline = ["--no-index", "--find-links", project.wheels, "--offline", "--cache-dir", project.directory / "cache"]
    uv_sync = [project.uv, "sync", "-q", "--no-config", *offline, "--python", project.python]
    run(uv_sync, cwd=theirs)
    venv = theirs / ".venv"
    pip_sync = project.theirs(project.directory / "cache", venv, name)[1]
    mine = [project.rootstock, "--root", project.directory / "root", "sync", name]
    run(mine, cwd=project.directory)
    for title, command, where in (
        ("no-op, against uv sync", uv_sync, theirs),
        ("no-op, against uv pip sync", pip_sync, project.directory),
    ):
        old = project.before
        pairs = []
        for _ in range(4 * runs + 1):
            pairs.append([timed(mine, cwd=project.directory), timed(command, cwd=where)])
            if old:
                again = [old.rootstock, "--root", old.directory / "root", "sync", name]
                pairs[-1].append(timed(again, cwd=old.directory))
        table(title, pairs[1:], 1000, "ms")


def deep(project, runs):
    root = project.directory / "root"
    seen, files = set(), []
    for directory, _, names in os.walk(root):
        for name in names:
            path = pathlib.Path(directory, name)
            at = path.lstat()
            if not path.is_symlink() and (at.st_dev, at.st_ino) not in seen:
                seen.add((at.st_dev, at.st_ino))
                files.append(str(path))
    listed = project.directory / "files"
    listed.write_bytes(b"\0".join(os.fsencode(file) for file in files))
    sums = f"xargs -0 -a {listed} -P {os.cpu_count()} -n 256 sha256sum > /dev/null"
    doctor = [project.rootstock, "--root", root, "doctor", "--deep"]
    pairs = []
    for _ in range(runs + 1):
        mine = timed(doctor, cwd=project.directory)
        pairs.append([mine, timed(["sh", "-c", sums])])
        if project.before:
            old = project.before
            again = [old.rootstock, "--root", old.directory / "root", "doctor", "--deep"]
            pairs[-1].append(timed(again, cwd=old.directory))
    size = sum(os.path.getsize(file) for file in files)
    table(f"doctor --deep, {len(files)} files, {size / 1e9:.2f} GB", pairs[1:])


def hundred(directory, rootstock, uv, runs):
    project = Project(directory / "hundred", rootstock, uv, {f"e{at:03}": ["six"] for at in range(100)})
    build = timed(project.ours(project.directory / "root"), cwd=project.directory)
    status = [rootstock, "--root", project.directory / "root", "status"]
    times = [timed(status, cwd=project.directory) for _ in range(4 * runs + 1)][1:]
    print(f"{'status of 100 environments':44} {statistics.median(times) * 1000:9.2f} ms   (built in {build:.1f} s)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rootstock", type=pathlib.Path)
    parser.add_argument("uv", type=pathlib.Path)
    parser.add_argument("--before", type=pathlib.Path, help="another rootstock to compare with")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--torch-runs", type=int, default=5, help="0 leaves out what needs torch, 3.5 GB to download")
    parser.add_argument("--only-torch", action="store_true")
    parser.add_argument("--directory", type=pathlib.Path, help="on the filesystem to measure")
    arguments = parser.parse_args()
    rootstock, uv, runs = arguments.rootstock.resolve(), arguments.uv.resolve(), arguments.runs
    directory = pathlib.Path(tempfile.mkdtemp(dir=arguments.directory))
    try:
        before = f" {'before':>12} {'ratio':>7}" if arguments.before else ""
        print(f"{'':44} {'rootstock':>12} {'uv':>12} {'ratio':>7}{before}   (medians of {runs} pairs)")
        if not arguments.only_torch:
            emt = Project(directory / "emt", rootstock, uv, {"emt": ["ase==3.29.0", "scipy"]}, arguments.before and arguments.before.resolve())
            emt.cold("emt", runs)
            emt.warm(["emt"], runs, "emt, warm")
            nothing_to_do(emt, "emt", runs)
            deep(emt, runs)
            print(f"peak memory of a cold sync of emt: {memory(emt, 'emt'):.0f} MiB", flush=True)
            hundred(directory, rootstock, uv, runs)
        if arguments.torch_runs:
            torch = {name: ["ase==3.29.0", "torch==2.15.0", *more] for name, more in TORCH.items()}
            torch = Project(directory / "torch", rootstock, uv, torch)
            torch.warm(["sevennet"], arguments.torch_runs, "sevennet, warm")
            torch.warm(torch.names, arguments.torch_runs, "four environments with torch, warm")
            deep(torch, 1)
            torch.cold("sevennet", arguments.torch_runs)
            print(f"peak memory of a cold sync of sevennet: {memory(torch, 'sevennet'):.0f} MiB")
    finally:
        remove(directory)


def memory(project, name):
    """The peak of one process, which a separate process has to wait for: `getrusage` knows only the largest of all."""
    root = project.directory / "root-memory"
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    output = run([project.python, "-c", code, *project.ours(root, name)], cwd=project.directory).stdout
    remove(root)
    return int(output.split()[-1]) / 1024


if __name__ == "__main__":
    main()
