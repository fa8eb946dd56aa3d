"""Clients that take an answer so slowly that they keep it, and us, from ending.

Nothing else ends such a connection: it is busy, so it is not idle, and what waits to be sent holds memory. Measured is
what the other end's kernel has acknowledged, whichever way the bytes went out (sendfile, TLS).
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

# A phone that erases its flash does not read meanwhile; this is how far it may fall behind the pace.
PACE = 1000
GRACE = 64 * 1024
# struct tcp_info in linux/tcp.h: tcpi_bytes_acked is there since Linux 4.1.
_BYTES_ACKED = 120


class Pace:
    """How one connection takes what it is sent, looked at now and then."""

    __slots__ = ("_acknowledged", "_since")

    def __init__(self) -> None:
        self._since = 0.0
        self._acknowledged = -1

    def is_too_slow(self, transport: asyncio.BaseTransport, now: float) -> bool:
        """Whether it has fallen more than GRACE bytes behind PACE bytes a second since there was something to take."""
        sock = transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        if not _unacknowledged(sock):
            self._acknowledged = -1
            return False
        taken = _acknowledged(sock)
        if self._acknowledged < 0:
            self._since, self._acknowledged = now, taken
        return (now - self._since) * PACE - (taken - self._acknowledged) > GRACE


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel still has to bring to the other end (tcp(7), SIOCOUTQ)."""
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    found: int = struct.unpack("i", answer)[0]
    return found


def _acknowledged(sock: socket.socket) -> int:
    """Bytes that the other end has, since it connected (tcp(7), TCP_INFO)."""
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
    found: int = struct.unpack_from("=Q", told, _BYTES_ACKED)[0]
    return found
