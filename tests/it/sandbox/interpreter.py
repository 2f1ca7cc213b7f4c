"""Packs the Python this runs on as python-build-standalone packs its own (`install_only`): everything below `python/`.

Argument: the archive to write. What the tests never import is left out, to keep it small.
"""
import gzip
import io
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

LEFT_OUT = {
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip", "turtledemo",
    "tkinter", "pydoc_data", "unittest", "asyncio", "xml", "xmlrpc", "sqlite3", "dbm", "curses", "wsgiref",
    "multiprocessing", "msilib",
}
SERIES = "python%d.%d" % sys.version_info[:2]
# Some systems keep it in `lib64`, and there Python looks for it.
LIBRARY = sys.platlibdir + "/" + SERIES


def files():
    """Every file of the interpreter with its name in the archive."""
    yield os.path.realpath(sys._base_executable), "bin/" + SERIES
    for key in ("stdlib", "platstdlib"):
        library = sysconfig.get_path(key, vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix})
        for directory, names, found in os.walk(library):
            names[:] = [name for name in names if name not in LEFT_OUT and not name.startswith("config-")]
            for name in found:
                path = os.path.join(directory, name)
                if os.path.isfile(path):
                    yield os.path.realpath(path), LIBRARY + "/" + os.path.relpath(path, library)


def runs(contents):
    """Whether these files are an interpreter when they stand elsewhere."""
    with tempfile.TemporaryDirectory() as elsewhere:
        for name, path in contents.items():
            target = os.path.join(elsewhere, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if name.startswith("bin/"):
                with open(path, "rb") as source, open(target, "wb") as copy:
                    copy.write(source.read())
                os.chmod(target, 0o755)
            else:
                os.symlink(path, target)
        program = os.path.join(elsewhere, "bin", SERIES)
        return subprocess.run([program, "-I", "-c", "import json"], env={}, stderr=subprocess.DEVNULL).returncode == 0


contents = {}
for path, name in files():
    contents.setdefault(name, path)
if not runs(contents):
    # Its shared library is found beside it only.
    name = sysconfig.get_config_var("INSTSONAME")
    contents["lib/" + name] = os.path.realpath(os.path.join(sysconfig.get_config_var("LIBDIR"), name))
    assert runs(contents), "this Python does not run when it is moved"

with open(sys.argv[1], "wb") as out, gzip.GzipFile("", "wb", 1, out, 0) as packed:
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, path in sorted(contents.items()):
            with open(path, "rb") as file:
                data = file.read()
            member = tarfile.TarInfo("python/" + name)
            member.size = len(data)
            member.mode = 0o755 if name.startswith("bin/") else 0o644
            archive.addfile(member, io.BytesIO(data))
        links = {"bin/python3": SERIES, "bin/python": SERIES}
        if sys.platlibdir != "lib":
            links["lib/" + SERIES] = "../" + LIBRARY
        for name, target in links.items():
            member = tarfile.TarInfo("python/" + name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
print("%d.%d.%d" % sys.version_info[:3])
