"""Which of some import names a Python has already, in which version, as JSON in the last line; started with the user's own
variables, so that it sees what the user's programs see. Its argument is a list of names, those inside of namespace
packages with a dot: `["numpy", "nvidia.cublas"]`."""
import json
import os
import re
import sys
from importlib.machinery import PathFinder


def is_package(spec):
    """A module or a package with an `__init__`, no namespace package."""
    return spec is not None and spec.origin not in (None, "namespace")


def place_of(name):
    """The directory in which a name is found, and the name that hides it there."""
    top, _, rest = name.partition(".")
    for place in sys.path:
        if not place:
            continue
        spec = PathFinder.find_spec(top, [place])
        if is_package(spec):
            return place, top
        if rest and spec is not None:
            locations = list(spec.submodule_search_locations or [])
            if is_package(PathFinder.find_spec(name, locations)):
                return place, name
    return None, None


def has(distribution, name):
    top = name.split(".")[0]
    text = distribution.read_text("top_level.txt")
    if text and "." not in name and top in text.split():
        return True
    path = name.replace(".", "/")
    record = distribution.read_text("RECORD") or ""
    return re.search("(?m)^%s(/|\\.[^/]*(py|so),)" % re.escape(path), record) is not None


def owner(name, place):
    """Name and version of the distribution that a name belongs to."""
    try:
        from importlib import metadata
    except ImportError:
        return None, None
    plain = re.sub("[-_.]+", "-", name).lower()
    there = list(metadata.distributions(path=[place]))
    for distribution in there:
        if has(distribution, name):
            return distribution.metadata["Name"], distribution.version
    # An editable installation has its metadata elsewhere.
    for distribution in there + list(metadata.distributions()):
        if re.sub("[-_.]+", "-", distribution.metadata["Name"] or "").lower() == plain:
            return distribution.metadata["Name"], distribution.version
    return None, None


def main():
    found = {}
    for name in json.loads(sys.argv[1]):
        if name.split(".")[0] in sys.builtin_module_names:
            continue
        place, as_name = place_of(name)
        if place and as_name not in found:
            distribution, version = owner(as_name, place)
            found[as_name] = {"place": place, "distribution": distribution, "version": version}
    places = []
    for place in filter(None, sys.path):
        try:
            places.append([place, os.stat(place).st_mtime_ns])
        except OSError:
            places.append([place, None])
    print("\n" + json.dumps({"prefix": sys.prefix, "places": places, "names": found}))


main()
