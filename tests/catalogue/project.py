"""A project with environments of this repository, without NVIDIA's libraries: the same packages otherwise, as it verifies.

usage: python3 project.py REPOSITORY DIRECTORY NAME...    writes DIRECTORY/rootstock.toml and what it names
       python3 project.py --compare REPOSITORY DIRECTORY  compares the two locks, once both are there
"""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

PACKAGES = ("nvidia-", "cuda-", "triton")
# Keys that say what a model is for, and name files of the repository.
ABOUT = {"elements", "licence", "weights-licence", "citation", "conservative", "dtype", "probe", "reference", "tolerance"}
# Named like those, and part of what is computed.
KEPT = ("nvidia-ml-py3", "nvalchemi")


def read(path):
    return tomllib.loads(Path(path).read_text())


def locked(directory):
    """The packages of each environment, as `name version digest`."""
    environments = read(Path(directory, "rootstock.lock"))["environment"]
    return {one["name"]: one["target"][0]["packages"] for one in environments}


def of_nvidia(package):
    return package.startswith(PACKAGES) and not package.startswith(KEPT)


def plain(table):
    return {key: value for key, value in table.items() if key not in ABOUT}


def value(this):
    """A value as TOML."""
    if isinstance(this, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {value(one)}" for key, one in this.items()) + " }"
    if isinstance(this, list):
        return "[" + ", ".join(map(value, this)) + "]"
    return json.dumps(this)


def write(repository, directory, names):
    shutil.copytree(repository / "environments", directory / "environments", dirs_exist_ok=True)
    manifest, packages = read(repository / "rootstock.toml"), locked(repository)
    text = "".join(f"{key} = {value(one)}\n" for key, one in {**manifest["rootstock"], "root": "root"}.items())
    text = "[rootstock]\n" + text
    for name in names:
        environment = {**plain(manifest["environments"][name]), "prefetch": False}
        environment.pop("optional", None)
        excluded = [package.split()[0] for package in packages[name] if of_nvidia(package)]
        if excluded:
            environment["exclude"] = environment.get("exclude", []) + excluded
            standin = "cuda-standin @ ./cuda_standin-1-py3-none-any.whl"
            environment["dependencies"] = environment.get("dependencies", []) + [standin]
        text += f"\n[environments.{name}]\n" + "".join(f"{key} = {value(one)}\n" for key, one in environment.items())
    for name, model in manifest.get("models", {}).items():
        if model["environment"] in names and "weights" not in model:
            text += f'\n[models."{name}"]\n' + "".join(f"{key} = {value(one)}\n" for key, one in plain(model).items())
    (directory / "rootstock.toml").write_text(text)
    # Its versions are kept where they can be.
    shutil.copy(repository / "rootstock.lock", directory)
    subprocess.run([sys.executable, Path(__file__).with_name("cuda_standin.py"), directory], check=True)


def compare(repository, directory):
    expected = locked(repository)
    for name, packages in locked(directory).items():
        ours = [package for package in packages if not package.startswith("cuda-standin ")]
        theirs = [package for package in expected[name] if not of_nvidia(package)]
        assert ours == theirs, (name, set(ours) ^ set(theirs))
        print(f"{name}: the {len(ours)} packages of the repository's lock")


if sys.argv[1] == "--compare":
    compare(Path(sys.argv[2]), Path(sys.argv[3]))
else:
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
