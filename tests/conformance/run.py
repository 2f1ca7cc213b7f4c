"""Runs the tests that i-PI and ASE have for their own clients, unchanged, with our worker in their place.

    PYTHON tests/conformance/run.py ROOTSTOCK ROOT SCRATCH (ipi | ase) [PYTEST ARGUMENTS ...]

PYTHON is that of the environment `peers`, which ROOT has. i-PI's tests come from the source distribution of 3.2.0, the
last that has them, fetched by its hash into SCRATCH; they run against the i-PI of the environment. ASE's are in ASE.
i-PI's have sockets with fixed names in /tmp, so there can be one run at a time; those of a run that was killed are
removed if they are ours and no process listens.
"""

import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = "ipi==3.2.0 --hash=sha256:fe851091eb263907d1fb9427093f400a4d181989c4af1f61540e294d1838e144\n"
ASE = ["test_ipi_protocol_bfgs", "test_python_interface"]


def fetch(scratch):
    """The unpacked source distribution of i-PI."""
    unpacked = scratch / "ipi-3.2.0"
    if not unpacked.is_dir():
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "requirements.txt").write_text(SOURCE)
        pip = ["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes"]
        subprocess.run([*pip, "-r", "requirements.txt", "-d", "."], cwd=scratch, check=True)
        beside = scratch / ("unpacking-%d" % os.getpid())
        with tarfile.open(scratch / "ipi-3.2.0.tar.gz") as archive:
            archive.extractall(beside, filter="data")
        (beside / "ipi-3.2.0").rename(unpacked)
        beside.rmdir()
    return unpacked


def sweep():
    for path in Path("/tmp").glob("ipi_localhost_*"):
        if path.stat().st_uid == os.geteuid():
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink()


def main(rootstock, root, scratch, suite, *arguments):
    scratch = Path(scratch).resolve()
    programs = scratch / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name in ("i-pi-driver", "i-pi-py_driver"):
        driver = programs / name
        driver.write_text('#!/bin/sh\nexec "%s" -B "%s" "$@"\n' % (sys.executable, HERE / "driver.py"))
        driver.chmod(0o755)
    bin = os.path.dirname(sys.executable)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), bin, os.environ["PATH"]]),
        "ROOTSTOCK": os.path.abspath(rootstock),
        "ROOTSTOCK_ROOT": os.path.abspath(root),
    }
    paths, where = [str(HERE)], scratch
    if suite == "ipi":
        sweep()
        where = fetch(scratch)
        # The package `ipi` there must not hide the one that is installed.
        tests = scratch / "tests"
        tests.mkdir(exist_ok=True)
        if not (tests / "ipi_tests").exists():
            (tests / "ipi_tests").symlink_to(where / "ipi_tests")
        paths.append(str(tests))
        selected = ["ipi_tests/regression_tests/test_run.py"]
        where = tests
    else:
        selected = ["--pyargs", *("ase.test.calculator.socketio." + name for name in ASE)]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    options = ["-p", "peers", "-p", "no:cacheprovider", "-ra", "--tb=short", "--import-mode=importlib"]
    command = [sys.executable, "-B", "-m", "pytest", *options, *selected, *arguments]
    return subprocess.run(command, cwd=where, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
