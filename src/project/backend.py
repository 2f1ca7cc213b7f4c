"""Calls one hook of a build backend (PEP 517): started with one argument, the request as JSON.

The answer goes to a file, because what the backend prints is its own.
"""

import importlib
import json
import os
import site
import sys


def main(request):
    os.umask(0o022)
    os.chdir(request["project"])
    here = os.getcwd()
    # Only what the project names of itself may be imported from it.
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]
    for directory in request["sites"]:
        site.addsitedir(directory)
    sys.path[:0] = [os.path.normpath(os.path.join(here, entry)) for entry in request["backend-path"]]
    sys.argv[1:] = []
    module, _, names = request["backend"].partition(":")
    backend = importlib.import_module(module)
    for name in filter(None, names.split(".")):
        backend = getattr(backend, name)
    if request["hook"] == "requires":
        hook = getattr(backend, "get_requires_for_build_wheel", None)
        answer = list(hook(None)) if hook else []
    else:
        answer = backend.build_wheel(request["into"], None, None)
    with open(request["answer"], "w", encoding="utf-8") as out:
        json.dump(answer, out)


main(json.loads(sys.argv[1]))
