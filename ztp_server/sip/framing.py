"""Messages out of a stream of bytes (RFC 3261, section 18.3), within bounds."""

from __future__ import annotations

import re

from ztp_server.sip.message import LARGEST, LARGEST_HEAD, Malformed, length

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:([^\r\n]*)", re.IGNORECASE)


class Framer:
    """Fed with what came, gives whole messages. `pings` counts the empty lines that keep a connection open and want an
    answer (RFC 5626, section 3.5.1)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._awaited = 0
        self.pings = 0

    @property
    def is_amid(self) -> bool:
        """Whether a message has begun that is not there whole."""
        return len(self._buffer) > 3 or bool(self._buffer.strip(b"\r\n"))

    def feed(self, piece: bytes) -> list[bytes]:
        """The messages that are whole now. Raises Malformed when the stream cannot be understood any more."""
        self._buffer += piece
        messages = []
        while message := self._next():
            messages.append(message)
        return messages

    def _next(self) -> bytes:
        if not self._awaited and not self._find_end():
            return b""
        if len(self._buffer) < self._awaited:
            return b""
        message = bytes(self._buffer[: self._awaited])
        del self._buffer[: self._awaited]
        self._awaited = self._searched = 0
        return message

    def _find_end(self) -> bool:
        """Whether the headers are there whole; then it is known how long the message will be."""
        self._drop_pings()
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        self._searched = len(self._buffer)
        if max(end, 0) > LARGEST_HEAD or (end < 0 and len(self._buffer) > LARGEST_HEAD):
            raise Malformed("headers without an end")
        if end < 0:
            return False
        size = length([found.decode("latin-1") for found in _LENGTH.findall(self._buffer[: end + 2])])
        if size is None or end + 4 + size > LARGEST:
            raise Malformed("no Content-Length, or one beyond our bounds")
        self._awaited = end + 4 + size
        return True

    def _drop_pings(self) -> None:
        while self._buffer.startswith(b"\r\n\r\n"):
            del self._buffer[:4]
            self.pings += 1
            self._searched = 0
        if self._buffer.startswith(b"\r\n") and len(self._buffer) > 3:
            del self._buffer[:2]
            self._searched = 0
