"""The files of an environment are those that pip installs from the same wheels, but for what ARCHITECTURE.md names.

usage: python pip_equal.py LOCK GENERATION ENVIRONMENT    with a Python of the environment's version that has pip

pip installs every wheel of the locked environment, by hash and without dependencies, into a virtual environment of its
own. Allowed to differ: bytecode, INSTALLER, RECORD, REQUESTED, and the launchers of entry points, which pip writes with an
absolute path. Source distributions are left out: what they give depends on what builds them.
"""

import hashlib
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

DIFFERENT = {"INSTALLER", "RECORD", "REQUESTED"}
OURS = {"pyvenv.cfg", "env_source.py", "rootstock-tree.txt", "rootstock-stamp.json"}


def contents(prefix):
    """sha256 and executable bit of every file, by path."""
    found = {}
    for path in prefix.rglob("*"):
        below = path.relative_to(prefix)
        if path.is_symlink() or path.is_dir() or "__pycache__" in below.parts:
            continue
        if below.name in DIFFERENT and below.parent.name.endswith(".dist-info"):
            continue
        executable = bool(path.stat().st_mode & 0o111)
        found[str(below)] = hashlib.sha256(path.read_bytes()).hexdigest(), executable
    return found


def main():
    lock, generation, name = sys.argv[1:]
    lock = tomllib.loads(Path(lock).read_text())
    environment = next(entry for entry in lock["environment"] if entry["name"] == name)
    references = environment["target"][0]["packages"]
    with tempfile.TemporaryDirectory() as directory:
        prefix = Path(directory, "venv")
        venv.create(prefix, with_pip=False)
        empty = set(contents(prefix))
        wheels, sources = [], []
        for reference in references:
            package, version, _ = reference.split(" ")
            file = lock["files"][reference]
            (wheels if file["file"].endswith(".whl") else sources).append(package)
            if file["file"].endswith(".whl"):
                line = f"{package}=={version} --hash=sha256:{file['sha256']}\n"
                with open(Path(directory, "requirements.txt"), "a") as requirements:
                    requirements.write(line)
        command = [sys.executable, "-m", "pip", "--python", prefix / "bin/python", "install", "--quiet", "--no-deps"]
        command += ["--no-compile", "--only-binary", ":all:", "--require-hashes", "--no-warn-script-location", "-r"]
        subprocess.run([*command, Path(directory, "requirements.txt")], check=True)
        theirs = {path: seen for path, seen in contents(prefix).items() if path not in empty}
        ours = {path: seen for path, seen in contents(Path(generation)).items() if path not in OURS}
        site = next(path for path in ours if "/site-packages/" in path).split("/site-packages/")[0] + "/site-packages/"
        launchers = set()
        for points in Path(prefix, site).glob("*.dist-info/entry_points.txt"):
            section = None
            for line in points.read_text().splitlines():
                if line.startswith("["):
                    section = line.strip("[] ")
                elif "=" in line and section in ("console_scripts", "gui_scripts"):
                    launchers.add("bin/" + line.split("=")[0].strip())
        built = tuple(site + source.replace("-", "_") for source in sources)
        extra = {path for path in ours.keys() - theirs.keys() if not of_sources(path, generation, site, sources)}
        missing = theirs.keys() - ours.keys()
        assert not missing and not extra, (sorted(missing)[:10], sorted(extra)[:10], built)
        differ = sorted(p for p in theirs if p not in launchers and theirs[p][0] != ours[p][0])
        scripts = [p for p in differ if p.startswith("bin/")]
        assert differ == scripts, differ[:10]
        # A wheel's own script differs in its first line alone: ours finds the Python beside it.
        for script in scripts:
            mine, other = (Path(tree, script).read_bytes() for tree in (generation, prefix))
            body = other.split(b"\n", 1)[1]
            assert mine.endswith(body), script
        wrong = sorted(p for p in theirs if theirs[p][1] and not ours[p][1])
        assert not wrong, wrong[:10]
        print(f"{name}: {len(theirs)} files of {len(wheels)} wheels are those of pip, {len(launchers)} launchers")


def of_sources(path, generation, site, sources):
    """Whether a file came from a package that was built, by the RECORD of its installation."""
    for record in Path(generation, site).glob("*.dist-info/RECORD"):
        package = record.parent.name.split("-")[0].replace("_", "-").lower()
        if package in sources:
            lines = (line.split(",")[0] for line in record.read_text().splitlines())
            if path in {str(Path(site, line)) for line in lines} or path.startswith(str(Path(site, record.parent.name))):
                return True
    return False


main()
