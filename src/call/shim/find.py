"""Functions and classes by reference: `module:qualified.name`, `file.py:NAME`, or source text.

One part of the program that the parent gives to Python; `main.py` is the last of them.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types

# What only some requests need is imported there: it would cost each cold call milliseconds.


class NotFound(Exception):
    """A module, function, class or instance that is not there, and what there is."""

    def __init__(self, message, hint=""):
        super().__init__(message)
        self.hint = hint


class Finder:
    """Finds what a request names, each thing once."""

    def __init__(self, source):
        self.source = source
        self.found = {}
        self.files = {}

    def find(self, request, what):
        """The object, and where its code is: `what` is `function` or `class`."""
        code = request.get(what + "_code")
        if code is not None:
            return self.from_text(code, request.get(what + "_name"), what)
        where, name = request["module"], request[what + "_name"]
        if (what, where, name) not in self.found:
            thing = walk(self.module(where), where, name, what)
            self.found[what, where, name] = thing, described(thing, self.module(where))
        return self.found[what, where, name]

    def module(self, where):
        """The module of this name, or in the file of this absolute path."""
        if where == "env_source":
            return sys.modules.get(where) or import_source(self.source)
        if os.path.isabs(where):
            if where not in self.files:
                self.files[where] = load_file(where)
            return self.files[where]
        if where not in sys.modules:
            importlib.invalidate_caches()
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            # A module that this one needs is the user's error.
            if error.name is None or not (where + ".").startswith(error.name + "."):
                raise
            raise NotFound("there is no module `%s`" % error.name, modules_like(error.name)) from None

    def from_text(self, text, name, what):
        import linecache

        digest = sha256(text.encode())
        label = "<%s_code %s>" % (what, digest[:8])
        module = types.ModuleType("rootstock_" + what + "_code")
        linecache.cache[label] = len(text), None, text.splitlines(True), label
        sys.modules[module.__name__] = module
        exec(compile(text, label, "exec"), module.__dict__)
        if name is None:
            wanted = type if what == "class" else types.FunctionType
            items = vars(module).items()
            names = [key for key, item in items if isinstance(item, wanted) and item.__module__ == module.__name__]
            if len(names) != 1:
                raise BadValue("`%s_code` defines %d: name one with `%s_name`" % (what, len(names), what))
            name = names[0]
        return walk(module, "`%s_code`" % what, name, what), {"path": None, "sha256": digest}


def load_file(path):
    """Runs a file as a module; others in its directory can be imported, but hide nothing of the environment."""
    directory = os.path.dirname(path)
    if directory not in sys.path:
        sys.path.append(directory)
    name = os.path.splitext(os.path.basename(path))[0]
    try:
        known = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        known = None
    if known is None or known.origin != path:
        # Not by a name that the environment has, such as `numpy.py`.
        name = "rootstock_file_" + name
    # Whatever the end of its name is.
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def walk(module, where, name, what):
    """The object of this qualified name in a module."""
    thing = module
    for part in name.split("."):
        if not hasattr(thing, part):
            names = [key for key in dir(thing) if not key.startswith("_")]
            raise NotFound("`%s` has no %s `%s`" % (os.path.basename(where), what, name), suggestion(part, names) or "it has %s" % listed(names))
        thing = getattr(thing, part)
    if what == "class" and not isinstance(thing, type) or not callable(thing):
        raise NotFound("`%s` of `%s` is no %s, but of class %s" % (name, os.path.basename(where), what, type(thing).__name__))
    return thing


def listed(names):
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") if names else "nothing"


def modules_like(name):
    import pkgutil

    try:
        known = {module.name for module in pkgutil.iter_modules()} | set(sys.builtin_module_names)
    except Exception:
        known = set()
    return suggestion(name, known) or "modules of your own are found with `--path DIR`"


def suggestion(name, names):
    """The names that were probably meant; empty if there are none."""
    import difflib

    near = difflib.get_close_matches(name, names, 3, 0.6)
    return "did you mean %s?" % " or ".join("`%s`" % key for key in near) if near else ""


def sha256(data):
    # Python's own; importing OpenSSL's takes milliseconds.
    for name in ("_sha2", "_sha256", "hashlib"):
        try:
            return importlib.import_module(name).sha256(data).hexdigest()
        except ImportError:
            continue


def described(thing, module):
    """Path and digest of the file that defines an object."""
    for _ in range(100):
        thing = getattr(thing, "__wrapped__", thing)
    code = getattr(getattr(thing, "__func__", thing), "__code__", None)
    # A class has no code of its own.
    path = code.co_filename if code else getattr(sys.modules.get(getattr(thing, "__module__", None)), "__file__", None)
    path = path if path and os.path.isfile(path) else getattr(module, "__file__", None)
    try:
        with open(path, "rb") as file:
            return {"path": os.path.abspath(path), "sha256": sha256(file.read())}
    except (OSError, TypeError):
        return {"path": path, "sha256": None}
