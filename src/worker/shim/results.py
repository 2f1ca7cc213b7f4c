"""All results of a calculator, for clients that request them.

One part of the program that the launcher gives to Python; `main.py` is the last of them.
"""

# Results that are sent separately; and a key that i-PI reserves.
SENT = ("energy", "forces", "stress")
KEPT_BY_IPI = "raw"


def detached(value):
    """An array in place of a tensor, which may be on a device and part of a graph."""
    import numpy

    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "__array__") and not isinstance(value, (numpy.ndarray, numpy.generic)):
        value = numpy.asarray(value)
    return value


def further_results(results):
    """Encodes results as `encoding.py` does, with marks for what cannot be sent."""
    found = []
    for name, value in results.items():
        if name in SENT or value is None or not isinstance(name, str):
            continue
        try:
            encoded = encode(detached(value))
        except Unsendable as error:
            encoded = {"unsent": error.name}
        except Exception:
            encoded = {"unsent": type(value).__name__}
        found.append([name, encoded])
    return {"dict": found}


def plain_results(results):
    """Results as a JSON object in one line; empty if there are none. Only numbers, texts and lists of them."""
    found = {}
    for name, value in results.items():
        if name in SENT or name == KEPT_BY_IPI or value is None or not isinstance(name, str):
            continue
        try:
            found[name] = plain_value(detached(value))
            to_text(found[name])
        except Exception:
            found.pop(name, None)
    return to_text(found) if found else ""


def plain_value(value):
    """A value of numbers and texts; null for numbers that are not finite, which NumPy reads as NaN."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
