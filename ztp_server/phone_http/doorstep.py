"""Connections that were taken from the kernel and have said nothing yet.

Such a connection costs a socket and some hundred bytes: nothing that speaks TLS or HTTP is made for it before there is
something to speak to. What arrives meanwhile waits in the kernel. So thousands that never speak are bearable, and those
that speak need not be turned away because of them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ztp_server.phone_http.proxy_header import ProxyHeader
from ztp_server.phone_http.sources import Source

if TYPE_CHECKING:
    from ztp_server.phone_http.seats import Seat

# RFC 8446, section 5.1: type (22: handshake), version, length of what follows. Both TLS 1.2 and 1.3 begin so.
_RECORD_HEADER = 5
_HANDSHAKE = 0x16
_LONGEST_RECORD = 16 * 1024


class Entry(Protocol):
    """Where a connection goes that has spoken: a listener. `context` is None for plain HTTP."""

    context: ssl.SSLContext | None

    def serves(self, address: str) -> bool: ...

    def protocol(self, seat: Seat) -> asyncio.Protocol: ...


class Knock:
    """A connection that is let in once it has spoken. `since` is when it came, and later when it spoke. With a `header`
    a proxy says first whose it is; `client` is the address it said, empty when it named none, None where none spoke."""

    __slots__ = ("_wanted", "client", "entry", "header", "since", "sock", "source")

    def __init__(
        self, sock: socket.socket, source: Source, entry: Entry, since: float, header: ProxyHeader | None = None
    ) -> None:
        self.sock = sock
        self.source = source
        self.entry = entry
        self.since = since
        self.header = header
        self.client: str | None = None
        self._wanted = 1

    def has_spoken(self) -> bool:
        """Whether there is enough to begin with: one byte, or over TLS the first record, whole as clients send it.

        Until then the kernel is asked to wake us for no less. Raises OSError when the other end has gone.
        """
        try:
            said = self.sock.recv(_RECORD_HEADER, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        if not said:
            raise ConnectionResetError
        if self.entry.context is None or said[0] != _HANDSHAKE:
            return True
        wanted = _RECORD_HEADER
        if len(said) == _RECORD_HEADER:
            wanted += min(int.from_bytes(said[3:]), _LONGEST_RECORD)
            said = self.sock.recv(wanted, socket.MSG_PEEK)
        # Woken for less, it will never be more: the other end has said its last word.
        if len(said) >= wanted or wanted == self._wanted:
            return True
        self._wanted = wanted
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
        return False

    def hand_over(self) -> socket.socket:
        """The socket, as it came."""
        if self._wanted > 1:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        return self.sock


class Doorstep:
    """Those that are silent, in the order they came. `spoken` is called for each that speaks, `gone` for each that
    hangs up or (then with a reason) had to be hung up on; `named` when a proxy has said whose one is, and tells whether
    it may go on waiting."""

    def __init__(
        self,
        spoken: Callable[[Knock], None],
        gone: Callable[[Knock, str], None],
        named: Callable[[Knock, str], bool],
    ) -> None:
        self._spoken = spoken
        self._gone = gone
        self._named = named
        self._silent: OrderedDict[Knock, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._silent)

    def put(self, knock: Knock) -> None:
        """Wait for this one to speak; one that has goes on at once."""
        self._silent[knock] = None
        knock.source.silent[knock] = None
        if not self._look(knock):
            asyncio.get_running_loop().add_reader(knock.sock, self._look, knock)

    def drop(self, knock: Knock) -> None:
        """Hang up."""
        self._forget(knock)
        asyncio.get_running_loop().remove_reader(knock.sock)
        knock.sock.close()

    def oldest(self) -> Knock | None:
        return next(iter(self._silent), None)

    def of(self, entry: Entry) -> list[Knock]:
        return [knock for knock in self._silent if knock.entry is entry]

    def _look(self, knock: Knock) -> bool:
        """Whether it need not be waited for any more: it has spoken, or gone."""
        try:
            if knock.header:
                client = knock.header.take(knock.sock)
                if client is None:
                    return False
                knock.header = None
                if not self._named(knock, client):
                    return True
            if not knock.has_spoken():
                return False
        except (OSError, ValueError) as error:
            self.drop(knock)
            self._gone(knock, "no_header" if isinstance(error, ValueError) else "")
            return True
        self._forget(knock)
        asyncio.get_running_loop().remove_reader(knock.sock)
        self._spoken(knock)
        return True

    def _forget(self, knock: Knock) -> None:
        del self._silent[knock]
        del knock.source.silent[knock]
