"""Compare what `rootstock lock` locks with what uv itself chooses, file by file, on real sets of requirements.

    python tests/differential/compare.py ROOTSTOCK UV > tests/differential/table.md

Each environment of the manifest beside this script is locked by rootstock and asked of uv in two ways, all in one run:

- `uv pip compile` for the same Python and platform: names and versions, and the digests that the locked file's must be among;
- `uv pip install --dry-run --verbose` for the same Python and platform: the file of each package that uv would install.

Any difference is printed and is the exit status. Needs the package index; takes some minutes.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
PLATFORM = "x86_64-manylinux_2_28"


def run(command, directory):
    done = subprocess.run([str(word) for word in command], cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done


def locked(text):
    """Of a lock: for each environment its files as (name, version, file), and the digest of each."""
    lock = tomllib.loads(text)
    environments = {}
    for environment in lock["environment"]:
        (target,) = environment["target"]
        files = {}
        for reference in target["packages"]:
            name, version, _ = reference.split(" ")
            file = lock["files"][reference]
            files[name, version, file["file"]] = file["sha256"]
        environments[environment["name"]] = files
    return environments


def compiled(uv, directory, python, cutoff):
    """What `uv pip compile` chooses: versions, and for each the digests of all its files."""
    command = [uv, "--no-config", "pip", "compile", "--format", "pylock.toml", "--no-header", "--exclude-newer", cutoff]
    command += ["--python-version", python, "--python-platform", PLATFORM, "-o", "pylock.toml", "requirements.txt"]
    run(command, directory)
    packages = tomllib.loads((directory / "pylock.toml").read_text())["packages"]
    digests = {}
    for package in packages:
        files = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
        digests[package["name"], package["version"]] = {file["hashes"]["sha256"] for file in files}
    return digests


def installed(uv, directory, python, cutoff):
    """What `uv pip install` would install: for each package the file it selects."""
    command = [uv, "--no-config", "pip", "install", "--dry-run", "--verbose", "--target", "nowhere"]
    command += ["--exclude-newer", cutoff, "--python-version", python, "--python-platform", PLATFORM]
    output = run([*command, "-r", "requirements.txt"], directory).stderr
    selected = {}
    for name, version, file in re.findall(r"Selecting: (\S+?)==(\S+) \[\S+\] \((\S+?)\)", output):
        # A package with extras is selected once for each of them.
        selected[name.split("[")[0], version] = file
    result = re.findall(r"^ \+ (\S+)==(\S+)$", output, re.MULTILINE)
    return {(name, version, selected[name, version]) for name, version in result}


def main():
    rootstock, uv = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    manifest = tomllib.loads((HERE / "rootstock.toml").read_text())
    cutoff = manifest["rootstock"]["exclude-newer"]
    common = re.search(r"# dependencies = (\[.*\])", (HERE / "environment.py").read_text()).group(1)
    common = tomllib.loads(f"x = {common}")["x"]
    different = 0
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        for name in ("rootstock.toml", "environment.py"):
            shutil.copy(HERE / name, work)
        start = time.perf_counter()
        run([rootstock, "lock"], work)
        took = time.perf_counter() - start
        lock = locked((work / "rootstock.lock").read_text())
        print(f"{run([rootstock, '--version'], work).stdout.strip()}, {run([uv, '--version'], work).stdout.strip()}, ", end="")
        print(f"packages uploaded until {cutoff}. Locking all {len(lock)} environments took {took:.0f} s.\n")
        print("| environment | Python | asked for | packages | same versions as `uv pip compile` | same files as `uv pip install` |")
        print("|---|---|---|---|---|---|")
        for name, environment in manifest["environments"].items():
            asked = common + environment["dependencies"]
            directory = work / name
            directory.mkdir()
            (directory / "requirements.txt").write_text("\n".join(asked) + "\n")
            ours, python = lock[name], environment["python"]
            digests = compiled(uv, directory, python, cutoff)
            theirs = installed(uv, directory, python, cutoff)
            versions = {(package, version) for package, version, _ in ours} == set(digests)
            hashes = all(sha in digests.get((package, version), ()) for (package, version, _), sha in ours.items())
            same = set(ours) == theirs
            words = {True: "yes", False: "**no**"}
            print(f"| {name} | {python} | {', '.join(f'`{a}`' for a in asked)} | {len(ours)} | {words[versions and hashes]} | {words[same]} |")
            if not (versions and hashes and same):
                different += 1
                print(f"{name}: {set(ours) ^ theirs} {({k[:2] for k in ours}) ^ set(digests)}", file=sys.stderr)
            sys.stdout.flush()
    sys.exit(different)


if __name__ == "__main__":
    main()
