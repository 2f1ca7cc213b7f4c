"""Lists functions and classes with their signatures, read from their source files: nothing is imported.

Argument: JSON with `references` (`MODULE:NAME`, `FILE:NAME`, or `MODULE` and `FILE` for all that is public there), `source` (the
file that is imported as `env_source`) and `paths` (directories in front of the environment's own). Prints one JSON list.
Standard library only, Python 3.8 or later; runs with -I -S, so that no `.pth` file runs either.
"""

import ast
import difflib
import importlib.machinery
import json
import os
import sys
import tokenize

#: So many imports are followed from a name to its definition.
HOPS = 8
#: No source file is larger.
LONGEST = 64 << 20


class NotFound(Exception):
    """A reference that leads to no definition."""


def site_packages():
    """The environment's packages, and the directories that their `.pth` files add."""
    prefix = os.path.dirname(os.path.dirname(sys.executable))
    place = os.path.join(prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    found = [place]
    for name in sorted(os.listdir(place)) if os.path.isdir(place) else []:
        if name.endswith(".pth"):
            with open(os.path.join(place, name), encoding="utf-8", errors="replace") as lines:
                found += [os.path.join(place, line.strip()) for line in lines if not line.startswith(("import ", "import\t", "#"))]
    return [directory for directory in found if os.path.isdir(directory)]


class Sources:
    """Modules as syntax trees, by the path of their file."""

    def __init__(self, source, paths):
        self.source = source
        self.path = paths + site_packages() + [entry for entry in sys.path if entry]
        self.trees = {}

    def file(self, module):
        """The source file of a module, found as an import would find it."""
        if module == "env_source":
            return self.source
        if module.endswith(".py"):
            for directory in [os.getcwd()] + self.path:
                if os.path.isfile(os.path.join(directory, module)):
                    return os.path.join(directory, module)
            raise NotFound("there is no file `%s`" % module)
        path, name = self.path, ""
        for part in module.split("."):
            name = name + "." + part if name else part
            if path is None:
                raise NotFound("`%s` is not a package" % name.rpartition(".")[0])
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is None:
                raise NotFound("there is no module `%s`" % name)
            path = spec.submodule_search_locations
        if spec.origin is None or not spec.origin.endswith(".py"):
            raise NotFound("`%s` has no Python source that could be read" % module)
        return spec.origin

    def tree(self, path):
        if path not in self.trees:
            try:
                if not os.path.isfile(path) or os.path.getsize(path) > LONGEST:
                    raise ValueError("it is no regular file, or larger than 64 MiB")
                with tokenize.open(path) as file:
                    text = file.read()
                self.trees[path] = ast.parse(text, path), text
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise NotFound("`%s` cannot be read: %s" % (shown(path), str(error) or type(error).__name__)) from None
        return self.trees[path]


def statements(body):
    """All statements of a module or class, those in `if`, `try` and `with` included."""
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            for name in ("body", "handlers", "orelse", "finalbody"):
                for inner in getattr(node, name, []):
                    yield from statements(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])


def names(node):
    """What a statement defines, by name."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name: node}
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name: node for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id: node for target in targets if isinstance(target, ast.Name)}


def definitions(body):
    found = {}
    for node in statements(body):
        found.update(names(node))
    return found


def public(tree):
    """The public functions and classes of a module; `__all__` decides if it is a plain list."""
    found = definitions(tree.body)
    chosen = None
    if "__all__" in found and isinstance(found["__all__"], ast.Assign):
        try:
            chosen = set(ast.literal_eval(found["__all__"].value))
        except (ValueError, TypeError):
            pass
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if chosen is not None:
        return [name for name in found if name in chosen]
    return [name for name, node in found.items() if isinstance(node, defined) and not name.startswith("_")]


def text_of(node, source):
    if hasattr(ast, "unparse"):
        return ast.unparse(node)
    return " ".join((ast.get_source_segment(source, node) or "...").split())


def signature(function, source, bound=False):
    """The parameters and the annotation of the result; without the first one for a method."""
    a = function.args
    plain = [(argument, None) for argument in getattr(a, "posonlyargs", []) + a.args]
    for at, default in enumerate(reversed(a.defaults)):
        plain[-1 - at] = (plain[-1 - at][0], default)

    def one(argument, default, prefix=""):
        annotation = argument.annotation
        text = prefix + argument.arg + (": " + text_of(annotation, source) if annotation else "")
        between = " = " if annotation else "="
        return text + (between + text_of(default, source) if default is not None else "")

    parts = [one(*pair) for pair in plain]
    positional = len(getattr(a, "posonlyargs", []))
    if positional:
        parts.insert(positional, "/")
    if bound and plain:
        del parts[: 2 if positional == 1 else 1]
    if a.vararg:
        parts.append(one(a.vararg, None, "*"))
    elif a.kwonlyargs:
        parts.append("*")
    parts += [one(argument, default) for argument, default in zip(a.kwonlyargs, a.kw_defaults)]
    if a.kwarg:
        parts.append(one(a.kwarg, None, "**"))
    result = " -> " + text_of(function.returns, source) if function.returns else ""
    return "(" + ", ".join(parts) + ")" + result


def is_static(function):
    return any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in function.decorator_list)


def summary(node):
    text = ast.get_docstring(node) if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.ImportFrom)) else None
    return text.strip().splitlines()[0] if text and text.strip() else None


def shown(path):
    return path.encode("utf-8", "backslashreplace").decode()


def describe(reference, node, path, source, bound):
    entry = {"reference": reference, "kind": "value", "signature": None, "summary": summary(node), "file": shown(path)}
    entry["line"] = node.lineno
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        entry["kind"] = "coroutine" if isinstance(node, ast.AsyncFunctionDef) else "function"
        entry["signature"] = signature(node, source, bound and not is_static(node))
    if isinstance(node, ast.ClassDef):
        entry["kind"] = "class"
        inside = definitions(node.body)
        made = inside.get("__init__")
        entry["signature"] = signature(made, source, True) if isinstance(made, ast.FunctionDef) else "(...)"
        if made is None and not node.bases and not node.decorator_list:
            entry["signature"] = "()"
        methods = [name for name in inside if not name.startswith("_") or name == "__call__"]
        methods = [name for name in methods if isinstance(inside[name], (ast.FunctionDef, ast.AsyncFunctionDef))]
        entry["methods"] = [describe(reference + "." + name, inside[name], path, source, True) for name in methods]
    return entry


def absolute(node, module):
    """The module that an import statement of this module names."""
    if not node.level:
        return node.module
    parents = module.split(".")[: -node.level]
    return ".".join(parents + ([node.module] if node.module else []))


def find(sources, reference, module, name, hops=HOPS):
    path = sources.file(module)
    tree, source = sources.tree(path)
    body, node, known = tree.body, None, []
    parts = name.split(".")
    for at, part in enumerate(parts):
        found = definitions(body)
        known = list(found)
        if part not in found and "__getattr__" in found:
            raise NotFound("`%s` makes its names when it is imported: `%s` cannot be read" % (module, part))
        if part not in found:
            near = difflib.get_close_matches(part, known, 3)
            hint = "; did you mean %s?" % " or ".join("`%s`" % one for one in near) if near else ""
            raise NotFound("`%s` has no `%s`%s" % (module, ".".join(parts[: at + 1]), hint))
        node = found[part]
        if isinstance(node, ast.ImportFrom) and hops:
            alias = [alias for alias in node.names if (alias.asname or alias.name) == part][0]
            origin = absolute(node, module + ".__init__" if os.path.basename(path) == "__init__.py" else module)
            try:
                return find(sources, reference, origin, ".".join([alias.name] + parts[at + 1 :]), hops - 1)
            except NotFound:
                if at + 1 == len(parts):
                    break  # A module, or something without a source of its own.
                raise
        body = getattr(node, "body", [])
    return describe(reference, node, path, source, len(parts) > 1)


def entries(sources, reference):
    module, colon, name = reference.partition(":")
    if colon:
        return [find(sources, reference, module, name)]
    tree, _ = sources.tree(sources.file(module))
    return [find(sources, module + ":" + name, module, name) for name in public(tree)]


def main():
    order = json.loads(sys.argv[1])
    sources = Sources(order["source"], order["paths"])
    listed = []
    for reference in order["references"]:
        try:
            listed += entries(sources, reference)
        except NotFound as error:
            listed.append({"reference": reference, "error": str(error)})
    sys.stdout.buffer.write(json.dumps(listed).encode())


main()
