"""A wheel that stands in for NVIDIA's libraries, so that torch from PyPI starts on a machine without a GPU and 3 GB less.

usage: python3 cuda_standin.py DIRECTORY    writes DIRECTORY/cuda_standin-1-py3-none-any.whl; needs `cc`

Torch links these libraries, and on the CPU calls of them only what its start calls: that registers its kernels, and asks
how many devices there are, to which the answer is an error. Any other call ends the process with a symbol lookup error.
The wheel is for tests: it must not get onto a node with a GPU, and the lock of this repository does not have it.
"""

import base64
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Names and versions that torch 2.11 to 2.15 link, of CUDA 13; a library's versions have its own name.
LIBRARIES = [
    "libcublas.so.13", "libcublasLt.so.13", "libcuda.so.1", "libcudart.so.13", "libcudnn.so.9", "libcufft.so.12", "libcufile.so.0",
    "libcupti.so.13", "libcurand.so.10", "libcusolver.so.12", "libcusparse.so.12", "libcusparseLt.so.0", "libnccl.so.2",
    "libnvJitLink.so.13", "libnvrtc.so.13", "libnvshmem_host.so.3",
]
FUNCTIONS = {
    "libcudart.so.13": """
        static char handle[64];
        void **__cudaRegisterFatBinary(void *p) { return (void **)handle; }
        void __cudaRegisterFatBinaryEnd(void **p) {}
        void __cudaUnregisterFatBinary(void **p) {}
        int __cudaInitModule(void **p) { return 0; }
        void __cudaRegisterFunction(void) {}
        void __cudaRegisterVar(void) {}
        void __cudaRegisterManagedVar(void) {}
        int cudaGetDeviceCount(int *n) { *n = 0; return 100; }
        int cudaGetDevice(int *n) { *n = 0; return 100; }
        int cudaGetLastError(void) { return 100; }
        int cudaPeekAtLastError(void) { return 100; }
        int cudaDriverGetVersion(int *n) { *n = 0; return 0; }
        int cudaRuntimeGetVersion(int *n) { *n = 13000; return 0; }
        const char *cudaGetErrorString(int n) { return "no CUDA-capable device is detected"; }
        const char *cudaGetErrorName(int n) { return "cudaErrorNoDevice"; }
    """
}
# Functions that torch or torchvision needs when it is loaded; others are looked up when they are called, as the `.pth` file says.
ADDRESSES = {
    "libcuda.so.1": """
        cuCtxGetCurrent cuCtxSetCurrent cuDeviceGet cuDeviceGetAttribute cuDevicePrimaryCtxGetState cuDevicePrimaryCtxRetain
        cuFuncGetAttribute cuFuncSetAttribute cuFuncSetCacheConfig cuGetErrorString cuLaunchCooperativeKernel cuLaunchKernel
        cuLinkAddData_v2 cuLinkComplete cuLinkCreate_v2 cuModuleGetFunction cuModuleLoad cuModuleLoadData cuModuleLoadDataEx
        cuModuleUnload cuOccupancyMaxActiveBlocksPerMultiprocessor cuPointerGetAttribute cuTensorMapEncodeTiled
    """,
    "libcudart.so.13": """
        cudaProfilerStart cudaProfilerStop __cudaGetKernel __cudaLaunchKernel __cudaPopCallConfiguration __cudaPushCallConfiguration
        cudaDeviceGetAttribute cudaDeviceSynchronize
    """,
    "libnvrtc.so.13": """
        nvrtcAddNameExpression nvrtcCompileProgram nvrtcCreateProgram nvrtcDestroyProgram nvrtcGetCUBIN nvrtcGetCUBINSize
        nvrtcGetErrorString nvrtcGetLoweredName nvrtcGetPTX nvrtcGetPTXSize nvrtcGetProgramLog nvrtcGetProgramLogSize nvrtcVersion
    """,
    "libnvshmem_host.so.3": "nvshmem_init nvshmem_selected_device_transport",
}
LAZY = "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n"
VERSIONS = {"libnvshmem_host.so.3": "NVSHMEM"}
INFO = "cuda_standin-1.dist-info"
METADATA = "Metadata-Version: 2.1\nName: cuda-standin\nVersion: 1\nSummary: stands in for NVIDIA's libraries where there is no GPU\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: cuda_standin\nRoot-Is-Purelib: false\nTag: py3-none-any\n"


def library(name, place):
    """The bytes of a shared library with this name that has torch's few functions, or none."""
    addresses = "".join("int %s(void) { return 100; }" % one for one in ADDRESSES.get(name, "").split())
    (place / "x.c").write_text(FUNCTIONS.get(name, "") + addresses)
    (place / "x.map").write_text("%s { global: *; };" % VERSIONS.get(name, name))
    flags = ["-shared", "-fPIC", "-nostdlib", "-Wl,--build-id=none", "-Wl,-soname," + name, "-Wl,--version-script=x.map"]
    subprocess.run(["cc", *flags, "-o", "x.so", "x.c"], cwd=place, check=True)
    return (place / "x.so").read_bytes()


def main(directory):
    with tempfile.TemporaryDirectory() as place:
        files = {"nvidia/cu13/lib/" + name: library(name, Path(place)) for name in LIBRARIES}
    files["cuda_standin.pth"] = LAZY.encode()
    files[INFO + "/METADATA"], files[INFO + "/WHEEL"] = METADATA.encode(), WHEEL.encode()
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += "%s,sha256=%s,%d\n" % (name, digest, len(content))
    files[INFO + "/RECORD"] = (record + INFO + "/RECORD,,\n").encode()
    Path(directory).mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(Path(directory, "cuda_standin-1-py3-none-any.whl"), "w") as wheel:
        for name, content in files.items():
            wheel.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


main(sys.argv[1])
