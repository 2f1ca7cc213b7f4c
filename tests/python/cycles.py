"""Prints the pairs of source files that use each other, one in a line: `python3 cycles.py src`.

A file uses another one if it names an item that is defined there; `use` of a re-export counts for the file with the definition.
A re-export alone is no use, nor is what only tests name.
"""

import re
import sys
from pathlib import Path

VISIBILITY = r"(?:pub(?:\([^)]*\))? )?"
ITEM = re.compile(
    rf"^{VISIBILITY}(?:const |async )*(?:fn|struct|enum|trait|const|static|type|macro_rules!|mod(?= \w+ \{{)) (\w+)", re.M
)
USE = re.compile(rf"^({VISIBILITY})use ([^;]+);", re.M)
PATH = re.compile(r"\b((?:crate|super|self)(?:::\w+)+|\w+(?:::\w+)+)")


class File:
    """A source file, by the path of its module."""

    def __init__(self, module, text):
        self.module = module
        self.body = USE.sub("", text)
        self.items = set(ITEM.findall(text))
        self.text = text
        self.imports = {}
        """What each imported name stands for, as a path from the crate, and whether it is only exported again."""


def read(root):
    """All files below a directory, by module."""
    files = {}
    for path in root.rglob("*.rs"):
        module = list(path.relative_to(root).with_suffix("").parts)
        if module[-1] == "mod":
            module.pop()
        if module[-1:] in (["tests"], ["main"]) or "tests" in module or "fuzzing" in module:
            continue
        module = () if module == ["lib"] else tuple(module)
        text = path.read_text().split("#[cfg(test)]\nmod tests {")[0]
        files[module] = File(module, re.sub(r"//[^\n]*", "", text))
    return files


def expand(use):
    """The single paths of a `use` with braces."""
    use = " ".join(use.split())
    if "{" not in use:
        return [use]
    prefix, rest = use.split("{", 1)
    parts, depth = [""], 0
    for c in rest[: rest.rindex("}")]:
        depth += {"{": 1, "}": -1}.get(c, 0)
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [path for part in parts if part.strip() for path in expand(prefix + part.strip())]


def absolute(path, module, files):
    """A path as one from the crate; None if it leads out of it."""
    first, *rest = path.split("::")
    if first == "crate":
        return rest
    if first == "self":
        return [*module, *rest]
    if first == "super":
        above = list(module)[:-1]
        while rest and rest[0] == "super":
            above, rest = above[:-1], rest[1:]
        return above + rest
    return [*module, first, *rest] if (*module, first) in files else None


def defining(path, files, depth=8):
    """The module that defines what a path names."""
    for length in range(len(path), -1, -1):
        module = tuple(path[:length])
        if module not in files:
            continue
        rest = path[length:]
        found = files[module].imports.get(rest[0], (None,))[0] if rest else None
        if found is None or rest[0] in files[module].items or found == path or depth == 0:
            return module
        return defining([*found, *rest[1:]], files, depth - 1)
    return None


def used(file, files):
    """The modules that a file uses."""
    paths = []
    for name, (path, is_export) in file.imports.items():
        is_named = re.search(rf"\b{re.escape(name)}\b", file.body)
        if not is_named:
            continue
        if tuple(path) in files:
            paths += [[*path, item] for item in re.findall(rf"\b{re.escape(name)}::(\w+)", file.body)]
        else:
            paths.append(path)
    paths += [absolute(path, file.module, files) for path in PATH.findall(file.body)]
    return {defining(path, files) for path in paths if path is not None} - {None, (), file.module}


def main():
    files = read(Path(sys.argv[1]))
    for file in files.values():
        for visibility, use in USE.findall(file.text):
            for path in expand(use):
                path, _, name = path.partition(" as ")
                path = absolute(path, file.module, files)
                if path:
                    path = path[:-1] if path[-1] == "self" else path
                    file.imports[name or path[-1]] = (path, bool(visibility))
    uses = {module: used(file, files) for module, file in files.items()}
    for module in sorted(files):
        for other in sorted(uses[module]):
            if module < other and module in uses[other]:
                print("::".join(module), "::".join(other))


main()
