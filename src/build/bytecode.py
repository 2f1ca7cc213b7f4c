# Compiles the modules of a wheel. Run as `python -S -s -B -c …`, one fresh process for each group of files.
#
# Arguments: the directory with the sources, the directory for the compiled files, which is there, and what stands for the
# first of them in the names that code objects carry. Standard input: paths below it, one a line, in the order to compile in.
# Standard output: one line for each that cannot be compiled, with the reason.
#
# The bytes of a compiled file depend, through reference counts, on what its process has done before
# (python/cpython#129724): a fixed script, a fixed order and a fresh process make them the same every time.
import sys

# No module may come from where we were started, nor from the wheel.
sys.path[:] = [entry for entry in sys.path if entry]

import importlib.util
import marshal
import os
import warnings

warnings.simplefilter("ignore")
sources, targets, name = sys.argv[1:]
# Our parent may be killed, and the directory be removed: then nothing is made in its place any more.
parent = os.getppid()
os.chdir(targets)
# PEP 552: a hash that is never checked. The files of an environment do not change.
HEADER = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")

for line in sys.stdin.buffer:
    if os.getppid() != parent:
        sys.exit(1)
    path = line.decode().rstrip("\n")
    with open(os.path.join(sources, path), "rb") as file:
        source = file.read()
    try:
        code = compile(source, name + path, "exec", dont_inherit=True, optimize=0)
    except Exception as error:
        reason = " ".join(str(error).split())
        print("%s: %s: %s" % (path, type(error).__name__, reason), flush=True)
        continue
    target = importlib.util.cache_from_source(path, optimization="")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "xb") as file:
        file.write(HEADER + importlib.util.source_hash(source) + marshal.dumps(code))
