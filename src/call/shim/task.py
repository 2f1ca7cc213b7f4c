"""Tasks, `wire(entrypoint, params, seed)` of an entry point, and aggregations of what several tasks have put out.

One part of the program that the parent gives to Python; `main.py` is the last of them.
"""

import base64
import json
import math
import os

#: The groups of entry points that tasks are found in.
GROUPS = ("rootstock.task", "modelops.wire")
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class BadOutput(Exception):
    """Outputs of a task, or a loss, that are not what they should be."""


def call_task(runner, request):
    entrypoint, seed = request["entrypoint"], request["seed"]
    params = decode(request.get("params") or {}, "params")
    function, code = find_task(runner, request)
    outputs = encode_outputs(runner.call(function, [entrypoint, params, seed], {}))
    identity = {
        "environment": runner.order["digest"],
        "code": code["sha256"],
        "entrypoint": entrypoint,
        "params": request.get("params") or {},
        "seed": seed,
        "outputs": sorted(outputs),
    }
    return {"task_id": sha256(canonical(identity).encode()), "outputs": outputs, "code": code}


def find_task(runner, request):
    """The function of a task: the one that the request names, or the only entry point there is."""
    if "module" in request:
        return runner.finder.find(request, "function")
    declared = entry_points(runner.order["entry_points"])
    if len(set(declared.values())) != 1:
        known = ", ".join("`%s = %s`" % pair for pair in sorted(declared.items()))
        groups = " or ".join("`%s`" % group for group in GROUPS)
        problem = "there are several entry points of the group %s: %s" if known else "there is no entry point of the group %s%s"
        raise NotFound(problem % (groups, known), "name the function: `\"entrypoint\": \"module:function\"`")
    module, _, name = next(iter(declared.values())).partition(":")
    return runner.finder.find({"module": module, "function_name": name}, "function")


def entry_points(declared):
    """What the project files in `--path` declare, and what is installed: references by group and name."""
    from importlib.metadata import entry_points as all_installed

    found = {"%s.%s" % (group, name): value for group in GROUPS for name, value in declared.get(group, {}).items()}
    installed = all_installed()
    for group in GROUPS:
        points = installed.select(group=group) if hasattr(installed, "select") else installed.get(group, ())
        for point in points:
            found.setdefault("%s.%s" % (group, point.name), point.value.partition("[")[0].strip())
    return found


def encode_outputs(made):
    if not isinstance(made, dict):
        raise BadOutput("the task returned an object of class %s, not a dictionary of outputs" % type(made).__name__)
    outputs = {}
    for name, value in made.items():
        if not isinstance(name, str):
            raise BadOutput("the name of an output is %r, not text" % (name,))
        data = output_bytes(value, "outputs[%s]" % ascii(name))
        outputs[name] = {"size": len(data), "checksum": sha256(data), "inline": base64.b64encode(data).decode()}
    return outputs


def output_bytes(value, where):
    """An output: bytes as they are, text as UTF-8, anything else as canonical JSON."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        return value.encode() if isinstance(value, str) else canonical(encode(value, where)).encode()
    except (Unserialisable, UnicodeEncodeError) as error:
        raise BadOutput("%s is neither bytes nor text nor JSON: %s" % (where, error)) from None


def call_aggregate(runner, request):
    returns = [decode_return(item, "sim_returns[%d]" % at) for at, item in enumerate(request["sim_returns"])]
    function, code = runner.finder.find(request, "function")
    named = {}
    if takes(function, "target_data"):
        named["target_data"] = decode(request.get("target_data"), "target_data")
    made = runner.call(function, [returns], named)
    answer = {"loss": finite_loss(made), "n_replicates": len(returns), "code": code}
    if isinstance(made, dict) and made.get("diagnostics") is not None:
        answer["diagnostics"] = encode(made["diagnostics"], "diagnostics")
    return answer


def decode_return(item, where):
    """What a task has put out, with the bytes of each output."""
    if not isinstance(item, dict) or not isinstance(item.get("outputs"), dict):
        raise BadValue("%s: not an object with `task_id` and `outputs`" % where)
    outputs = {name: decode_output(output, "%s.outputs[%s]" % (where, ascii(name))) for name, output in item["outputs"].items()}
    return dict(item, outputs=outputs)


def decode_output(output, where):
    if not isinstance(output, dict) or ("inline" in output) == ("path" in output):
        raise BadValue("%s: not an object with `size`, `checksum`, and `inline` or `path`" % where)
    try:
        if "inline" in output:
            data = base64.b64decode(output["inline"], validate=True)
        else:
            data = read_file(decode_path(output["path"], where), output.get("size"))
    except (OSError, TypeError, ValueError) as error:
        raise BadValue("%s: %s" % (where, error)) from None
    if output.get("size") != len(data):
        raise BadOutput("%s has %d bytes, and `size` is %r" % (where, len(data), output.get("size")))
    if output.get("checksum") != sha256(data):
        raise BadOutput("%s has the sha256 %s, and `checksum` is %r" % (where, sha256(data), output.get("checksum")))
    return data


def read_file(path, size):
    """The bytes of a regular file; of one that is larger than this, only as many as show that."""
    if not os.path.isfile(path):
        raise ValueError("`%s` is no regular file" % path)
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        return file.read(size + 1) if isinstance(size, int) and size >= 0 else b""


def takes(function, name):
    """Whether a function has this keyword argument."""
    import inspect

    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    if name in parameters:
        return parameters[name].kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


def finite_loss(made):
    loss = made.get("loss") if isinstance(made, dict) else made
    if loss is None:
        raise BadOutput("the aggregation returned no `loss`")
    try:
        number = float(loss)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(loss, (str, bytes)):
        raise BadOutput("the loss is an object of class %s, not a number" % type(loss).__name__)
    if not math.isfinite(number):
        raise BadOutput("the loss is %r, not a finite number" % number)
    return number


KINDS.update(task=call_task, aggregate=call_aggregate)
