"""Calls a model's setup() once, with the network, and tells which files were opened meanwhile.

Carried by rootstock and handed over on standard input, with an order in JSON behind it. Standard library only.
"""

import importlib.util
import json
import os
import sys


def main():
    order = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Libraries print; our answer is JSON and nothing else.
    opened = set()

    def hear(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            opened.add(os.path.abspath(os.fsdecode(arguments[0])))

    sys.addaudithook(hear)
    where = importlib.util.spec_from_file_location("env_source", order["source"])
    source = importlib.util.module_from_spec(where)
    sys.modules["env_source"] = source
    where.loader.exec_module(source)
    source.setup(order["argument"], "cpu", **order["setup"])
    below = tuple(cache + os.sep for cache in {order["cache"], os.path.realpath(order["cache"])})
    json.dump([path for path in opened.copy() if path.startswith(below) and path.isprintable()], answer)
    answer.flush()
    sys.stdout.flush()
    os._exit(0)  # Without Python's long goodbye, which libraries use to hang or to crash in.


main()
