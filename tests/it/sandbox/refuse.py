# Becomes a command to which, and to all that it starts, the kernel refuses some system calls: a seccomp filter, which
# takes no privileges. Arguments: numbers of calls with commas between them, `72=5` a call with this second argument;
# the number of the error; the command.
import ctypes
import os
import struct
import sys

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
NUMBER, SECOND = 0, 24  # where they are in struct seccomp_data
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2  # of prctl(2)

calls, error, *command = sys.argv[1:]
refuse = (RETURN, 0, 0, ERROR | int(error))
program = []
for call in calls.split(","):
    number, _, second = call.partition("=")
    program.append((LOAD, 0, 0, NUMBER))
    if second:
        program += [(JUMP_IF_EQUAL, 0, 3, int(number)), (LOAD, 0, 0, SECOND), (JUMP_IF_EQUAL, 0, 1, int(second))]
    else:
        program.append((JUMP_IF_EQUAL, 0, 1, int(number)))
    program.append(refuse)
program.append((RETURN, 0, 0, ALLOW))

code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = [ctypes.c_int] + 4 * [ctypes.c_ulong]
for words in (NO_NEW_PRIVILEGES, 1, 0, 0, 0), (SECCOMP, FILTER, ctypes.addressof(header), 0, 0):
    if prctl(*words) != 0:
        sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
os.execv(command[0], command)
