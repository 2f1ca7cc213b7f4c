"""Everything a calculator has computed, for who asks for it.

One of the parts that the launcher puts together to the program its Python runs; `shim.py` is the last of them.
"""

# What is sent otherwise; and a key that i-PI keeps for itself.
SENT = ("energy", "forces", "stress")
KEPT_BY_IPI = "raw"


def detached(value):
    """An array in place of a tensor, which may lie on a device and know how it was computed."""
    import numpy

    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "__array__") and not isinstance(value, (numpy.ndarray, numpy.generic)):
        value = numpy.asarray(value)
    return value


def further_results(results):
    """As `encoding.py` writes them, with marks for what cannot be sent."""
    found = []
    for name, value in results.items():
        if name in SENT or value is None or not isinstance(name, str):
            continue
        try:
            said = encode(detached(value))
        except Unsendable as error:
            said = {"unsent": error.name}
        except Exception:
            said = {"unsent": type(value).__name__}
        found.append([name, said])
    return {"dict": found}


def plain_results(results):
    """As the text of a JSON object, in one line; empty if there is nothing. What is no number, text or list of them is left out."""
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
    """Numbers and texts; null for numbers that are not finite, which NumPy reads as NaN."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
