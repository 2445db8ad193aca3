"""The close of a listening socket, without resetting connections that are established.

Closing it resets the connections that wait to be accepted. So new ones are refused first, and the
rest is accepted then.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import sys

#: From Linux's asm-generic/socket.h.
_SO_ATTACH_FILTER = 26
#: A classic BPF program over the TCP header: (code, jump if true, jump if false, constant). Byte 13 has the flags;
#: SYN without ACK is a connection that begins. 0 drops a packet.
_DROP_WHAT_BEGINS = (
    (0x30, 0, 0, 13),
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def refuse_new_connections(listener: socket.socket) -> None:
    """Drop packets that open a connection, on Linux: the client retries a second later, and is refused then.

    Handshakes under way complete. Other systems have no such filter: a connection opened in the moment in which the
    socket is closed may be reset.
    """
    if sys.platform != "linux":
        return
    instructions = (_Instruction * len(_DROP_WHAT_BEGINS))(*(_Instruction(*one) for one in _DROP_WHAT_BEGINS))
    program = _Program(len(instructions), instructions)
    # A sandbox may have forbidden it.
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(program))


def has_waiting_connection(listener: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))
