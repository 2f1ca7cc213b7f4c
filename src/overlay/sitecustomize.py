"""Imported by each Python that `rootstock run --python` starts, before anything else: removes its own directory from the
search path, adds the environment's packages where they fit, writes the record, and imports the user's own sitecustomize.

`ROOTSTOCK_OVERLAY` says what to do (see `start.rs`). It must be valid for every Python that a user may start."""
import sys


def identity():
    import os

    soabi = ""
    try:
        from importlib.machinery import EXTENSION_SUFFIXES

        soabi = EXTENSION_SUFFIXES[0].strip(".")
        soabi = soabi[: -len(".so")] if soabi.endswith(".so") else ""
    except (ImportError, IndexError):
        pass
    implementation = getattr(getattr(sys, "implementation", None), "name", "cpython")
    return {
        "implementation": implementation,
        "version": "%d.%d.%d" % tuple(sys.version_info[:3]),
        "soabi": soabi,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "pid": os.getpid(),
    }


class Chosen(object):
    """Finds some packages of a directory and no others."""

    def __init__(self, directory, names, distributions):
        self.directory, self.names, self.distributions = directory, set(names), set(distributions)

    def find_spec(self, name, path=None, target=None):
        if path is None and name in self.names:
            from importlib.machinery import PathFinder

            return PathFinder.find_spec(name, [self.directory])
        return None

    def invalidate_caches(self):
        pass

    def find_distributions(self, context=None):
        import re
        from importlib import metadata

        name = getattr(context, "name", None)
        context = metadata.DistributionFinder.Context(name=name, path=[self.directory])
        for found in metadata.MetadataPathFinder.find_distributions(context):
            if re.sub("[-_.]+", "-", found.metadata["Name"] or "").lower() in self.distributions:
                yield found


def add(site_packages, mode, chosen):
    """Makes the packages of a directory importable, before or after all others."""
    if chosen:
        finder = Chosen(site_packages, chosen["names"], chosen["distributions"])
        sys.meta_path.insert(0 if mode == "prepend" else len(sys.meta_path), finder)
        return
    import site

    before = list(sys.path)
    site.addsitedir(site_packages)
    if mode == "prepend":
        new = [place for place in sys.path if place not in before]
        sys.path[:] = new + [place for place in sys.path if place in before]


def report(path, what):
    """Reports to the `rootstock run` that waits for this command; one that waits no more has removed the file."""
    import os

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    except OSError:
        return
    try:
        os.write(descriptor, what.encode("ascii"))
    finally:
        os.close(descriptor)


def write(path, record):
    import json
    import os

    line = json.dumps(record) + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, line.encode("utf-8"))
        finally:
            os.close(descriptor)
    except OSError as error:
        sys.stderr.write("rootstock: the record cannot be written: %s\n" % error)


def start():
    import json
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if not place or os.path.abspath(place) != here]
    text = os.environ.get("ROOTSTOCK_OVERLAY")
    if not text:
        return
    wanted = json.loads(text)
    record = wanted["record"]
    python = identity()
    if record["overlay"] in ("prepend", "append"):
        if (python["implementation"], python["soabi"]) == (wanted["implementation"], wanted["soabi"]):
            if wanted["prefix"] not in (None, sys.prefix):
                # What another Python has of its own was not looked at: it wins.
                record["overlay"], record["collisions"] = "append", []
            add(wanted["site_packages"], record["overlay"], wanted.get("chosen"))
        else:
            record["overlay"], record["collisions"] = "none", []
    if wanted.get("seen"):
        report(wanted["seen"], "+" if record["overlay"] in ("prepend", "append") else ".")
    if wanted.get("file"):
        argv = getattr(sys, "argv", None) or [None]
        record.update(python=python, pid=os.getpid(), argv0=argv[0])
        write(wanted["file"], record)


def next_one():
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", ours)


try:
    start()
except Exception as error:  # The user's program starts whatever happens here.
    sys.stderr.write("rootstock: the environment's packages cannot be added: %s\n" % error)
next_one()
