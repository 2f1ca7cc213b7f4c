# Compiles the source of an environment. Arguments: its name for messages. Standard input: the file. Standard output: why
# it cannot be compiled; nothing if it can.
import sys
import traceback
import warnings

warnings.simplefilter("ignore")
try:
    compile(sys.stdin.buffer.read(), sys.argv[1], "exec", dont_inherit=True)
except Exception as error:
    text = "".join(traceback.format_exception_only(type(error), error))
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
