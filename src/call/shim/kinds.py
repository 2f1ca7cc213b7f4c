"""What a request asks for: a call of a function, or of a method of an instance that lives on.

One part of the program that the parent gives to Python; `main.py` is the last of them. Each kind is a function of the runner
and the request that returns the fields of the answer; `KINDS` has them all.
"""

import os
import types


# Set in the flags of code that takes `**kwargs`.
VARIABLE_KEYWORDS = 8


class Runner:
    """What the calls of one process share."""

    def __init__(self, order):
        self.order = order
        self.finder = Finder(order["source"])
        self.instances = {}
        self.calculator = None

    def load(self):
        """Loads the model, if it was asked for by its name."""
        if self.order["eager"]:
            self.load_model()

    def load_model(self):
        self.calculator, _ = load_calculator(dict(self.order["model"], source=self.order["source"]))

    def arguments(self, request, args="args", kwargs="kwargs"):
        """Positional and keyword arguments."""
        positional, named = request.get(args), request.get(kwargs)
        positional = self.decode(request, positional, args, ())
        named = self.decode(request, named, kwargs, {})
        if not isinstance(positional, (list, tuple)):
            raise BadValue("%s: not a list" % args)
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named):
            raise BadValue("%s: not an object" % kwargs)
        return positional, dict(named)

    def decode(self, request, value, where, nothing):
        if value is None:
            return nothing
        # The parent lets a text through only where pickles are allowed.
        return load(value, where, request.get("python")) if isinstance(value, str) else decode(value, where)

    def call(self, function, positional, named):
        """Calls, and waits for a coroutine. The calculator goes to those that have an argument of this name."""
        takes, requires = (False, False) if "calculator" in named else takes_calculator(function, len(positional))
        if self.calculator is None and requires:
            self.load_model()
        if self.calculator is not None and takes:
            named["calculator"] = self.calculator
        result = function(*positional, **named)
        if isinstance(result, types.CoroutineType):
            import asyncio

            return asyncio.run(result)
        return result


def takes_calculator(function, positional):
    """Whether a function has an argument of this name that is not given, and whether it cannot be called without."""
    if type(function) is types.FunctionType and not hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
        code = function.__code__
        named = code.co_argcount + code.co_kwonlyargcount
        if "calculator" not in code.co_varnames[:named] and not code.co_flags & VARIABLE_KEYWORDS:
            # Importing `inspect` would take longer than most calls.
            return False, False
    import inspect

    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False, False
    for place, parameter in enumerate(parameters):
        if parameter.name == "calculator" and parameter.kind is not parameter.VAR_POSITIONAL:
            given = parameter.kind is parameter.POSITIONAL_OR_KEYWORD and place < positional
            takes = not given and parameter.kind is not parameter.POSITIONAL_ONLY
            return takes, takes and parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters), False


def call_function(runner, request):
    positional, named = runner.arguments(request)
    function, code = runner.finder.find(request, "function")
    return {"result": runner.call(function, positional, named), "code": code}


def now():
    import datetime

    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def call_class(runner, request):
    """A new instance is kept only if its first call succeeds: a request does all or nothing."""
    name, method, result = request.get("instance_id"), request.get("method_name"), None
    if request.get("create_new_instance"):
        instance = create(runner, request)
        name = instance["id"]
    elif name in runner.instances:
        instance = runner.instances[name]
    else:
        raise NotFound("there is no instance `%s`" % name, "it has %s" % listed(sorted(runner.instances)))
    try:
        if method is not None:
            positional, named = runner.arguments(request)
            bound = walk(instance["object"], instance["info"]["class_name"], method, "method")
            instance["info"]["method_calls"] += 1
            instance["info"]["last_used"] = now()
            result = runner.call(bound, positional, named)
    finally:
        if request.get("close"):
            runner.instances.pop(name, None)
    if not request.get("close"):
        runner.instances[name] = instance
    return {"result": result, "code": instance["code"], "instance_id": name, "instance_info": dict(instance["info"])}


def create(runner, request):
    positional, named = runner.arguments(request, "constructor_args", "constructor_kwargs")
    made, code = runner.finder.find(request, "class")
    time = now()
    return {
        "id": request.get("instance_id") or "%s_%s" % (made.__name__, os.urandom(4).hex()),
        "object": runner.call(made, positional, named),
        "code": code,
        "info": {"class_name": made.__name__, "created_at": time, "method_calls": 0, "last_used": time},
    }


KINDS = {"function": call_function, "class": call_class}
