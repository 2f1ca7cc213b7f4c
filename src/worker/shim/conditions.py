"""The conditions under which a model computes: what its numbers depend on beside its packages.

One part of the program that the launcher gives to Python; `main.py` is the last of them.
"""

import os
import sys

LIBRARIES = ("ase", "numpy", "scipy", "torch", "jax", "jaxlib", "tensorflow", "e3nn", "cuequivariance", "tblite")
# The newest instructions of a processor, by the names that NumPy has for them.
INSTRUCTIONS = (("AVX512_SKX", "AVX512"), ("AVX2", "AVX2"), ("AVX", "AVX"), ("SVE", "SVE"), ("ASIMD", "NEON"), ("SSE42", "SSE4.2"))


def conditions(calculator, device):
    """Names and values, as texts. What cannot be found out is missing."""
    import platform

    kind = str(device).split(":")[0]
    found = {"device": kind, "machine": platform.machine(), "python": platform.python_version()}
    for name in LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = version
    for part in (of_numpy, of_blas, of_torch, of_jax):
        try:
            found.update(part(calculator, str(device), kind))
        except Exception:
            continue  # This version of the library does not report it.
    return {name: str(value) for name, value in found.items()}


def of_numpy(calculator, device, kind):
    import numpy

    core = getattr(numpy, "_core", None) or numpy.core
    features = core._multiarray_umath.__cpu_features__
    return {"instructions": next(name for feature, name in INSTRUCTIONS if features.get(feature))}


def of_blas(calculator, device, kind):
    """The kernels of the OpenBLAS that is loaded, and the threads of it and of OpenMP, whichever are more."""
    import ctypes

    found, threads = {}, [1]
    with open("/proc/self/maps") as maps:
        paths = sorted({line.split(None, 5)[5].strip() for line in maps if ".so" in line})
    for path in paths:
        name = os.path.basename(path)
        if "libgomp" in name:
            threads.append(ctypes.CDLL(path).omp_get_max_threads())
        if "openblas" not in name:
            continue
        library = ctypes.CDLL(path)
        for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
            kernels = getattr(library, prefix + "openblas_get_corename" + suffix, None)
            if kernels is not None:
                kernels.restype = ctypes.c_char_p
                found.setdefault("blas", "OpenBLAS " + kernels().decode())
                threads.append(getattr(library, prefix + "openblas_get_num_threads" + suffix)())
                break
    return {**found, "threads": max(threads)}


def of_torch(calculator, device, kind):
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    found = {"threads": torch.get_num_threads(), "instructions": torch.backends.cpu.get_cpu_capability()}
    dtype = parameters_dtype(calculator, torch)
    if dtype:
        found["dtype"] = dtype
    if kind == "cuda":
        found["accelerator"] = torch.cuda.get_device_name(device)
        found["cuda"] = torch.version.cuda or torch.version.hip
        found["tf32"] = is_on(torch.get_float32_matmul_precision() != "highest")
    return found


def of_jax(calculator, device, kind):
    jax = sys.modules.get("jax")
    if jax is None or "torch" in sys.modules:
        return {}
    found = {"device": jax.default_backend()}
    if found["device"] == "cpu":
        return found
    found["device"] = "cuda" if found["device"] == "gpu" else found["device"]
    found["accelerator"] = jax.devices()[0].device_kind
    precise = str(jax.config.jax_default_matmul_precision).lower() in ("highest", "float32")
    return {**found, "tf32": is_on(not precise)}


def is_on(enabled):
    return "on" if enabled and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0" else "off"


def parameters_dtype(calculator, torch):
    """The lowest precision among the parameters of the networks that a calculator holds."""
    pending, seen, found = [(calculator, 0)], set(), set()
    while pending:
        holder, depth = pending.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        if isinstance(holder, torch.nn.Module):
            found.update(str(p.dtype).split(".")[1] for p in holder.parameters() if p.is_floating_point())
        elif depth < 3:
            values = list(holder) if isinstance(holder, (list, tuple)) else list(getattr(holder, "__dict__", {}).values())
            pending.extend((value, depth + 1) for value in values)
    return next((name for name in ("bfloat16", "float16", "float32", "float64") if name in found), None)
