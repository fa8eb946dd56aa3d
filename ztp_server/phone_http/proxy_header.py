"""The header by which a proxy that passes a connection through says whose it is.

The PROXY protocol: https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, version 1 in section 2.1, 2 in 2.2.
"""

from __future__ import annotations

import ipaddress
import socket

# Section 2.1: the longest line of version 1, with its end.
_LONGEST_LINE = 107
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = 16
# Addresses and what else a proxy may add (of TLS, of itself): some hundred bytes.
_LONGEST_REST = 2048
_LOCAL, _PROXY = 0x20, 0x21
# Family and transport of version 2: TCP over IPv4 or IPv6, and how long a pair of addresses is before the ports.
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}


class ProxyHeader:
    """Taken from a socket as it comes, and not a byte more: what follows is the phone's."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said = b""

    def take(self, sock: socket.socket) -> str | None:
        """The address of the client; None while the header is not complete, and an empty text when the proxy speaks
        for itself or does not know. Raises ValueError for what is no such header, and OSError when the other end has
        gone."""
        while not self._is_complete():
            try:
                said = sock.recv(self._wanted(sock))
            except BlockingIOError:
                return None
            if not said:
                raise ConnectionResetError
            self._said += said
        return _client_v2(self._said) if self._said.startswith(_SIGNATURE) else _client_v1(self._said)

    def _is_complete(self) -> bool:
        """Raises ValueError as soon as it cannot become one."""
        said = self._said
        if said.startswith(b"PROXY "):
            if len(said) >= _LONGEST_LINE and not said.endswith(b"\n"):
                raise ValueError("a line too long")
            return said.endswith(b"\n")
        if said.startswith(_SIGNATURE):
            return len(said) >= _FIXED and len(said) == _FIXED + _rest(said)
        if not b"PROXY ".startswith(said) and not _SIGNATURE.startswith(said):
            raise ValueError("no PROXY header")
        return False

    def _wanted(self, sock: socket.socket) -> int:
        """How many bytes may be taken without touching what comes after the header. Raises OSError."""
        said = self._said
        if said.startswith(_SIGNATURE):
            return _FIXED - len(said) if len(said) < _FIXED else _FIXED + _rest(said) - len(said)
        if not said.startswith(b"PROXY "):
            # Both versions begin with six bytes at least before their first can be told from what follows.
            return (len(_SIGNATURE) if said.startswith(b"\r") else len(b"PROXY ")) - len(said)
        there = sock.recv(_LONGEST_LINE - len(said), socket.MSG_PEEK)
        return there.find(b"\n") + 1 or max(len(there), 1)


def _rest(said: bytes) -> int:
    length = int.from_bytes(said[14:16])
    if length > _LONGEST_REST:
        raise ValueError("a header too long")
    return length


def _client_v1(line: bytes) -> str:
    """`PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`."""
    words = line.decode("ascii", "replace").removesuffix("\r\n").split(" ")
    if words[1] == "UNKNOWN":
        return ""
    if not line.endswith(b"\r\n") or len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ValueError("no line of version 1")
    return str(ipaddress.IPv4Address(words[2]) if words[1] == "TCP4" else ipaddress.IPv6Address(words[2]))


def _client_v2(header: bytes) -> str:
    command, family = header[12], header[13]
    if command not in (_LOCAL, _PROXY):
        raise ValueError("neither LOCAL nor PROXY")
    size = _ADDRESS_BYTES.get(family)
    if command == _LOCAL or size is None:
        return ""
    if len(header) < _FIXED + 2 * size + 4:
        raise ValueError("addresses cut short")
    return str(ipaddress.ip_address(header[_FIXED : _FIXED + size]))
