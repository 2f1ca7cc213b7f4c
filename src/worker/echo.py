"""The other end of a hand-over that is measured: takes the turn, looks at nothing, gives it back. Standard library only."""

import array
import socket
import struct

WORD = struct.Struct("=ii")
STEP = 1

# The order, which says nothing here, comes with the shared file.
word, _, _, _ = connection.recvmsg(WORD.size, socket.CMSG_SPACE(array.array("i").itemsize))
connection.recv(WORD.unpack(word)[1], socket.MSG_WAITALL)
answer = WORD.pack(STEP, 1)
while connection.recv(WORD.size, socket.MSG_WAITALL):
    connection.sendall(answer)
