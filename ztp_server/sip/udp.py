"""SIP over UDP: one socket for IPv4 and one for IPv6, each made when it is first needed.

An answer may come from another address than was asked, as machines with several have it; whoever cannot see our
requests cannot guess their branch. A request that is longer than a packet goes out in fragments: whoever sends long
ones uses TCP. That nobody listens is not told to such a socket: a request ends as `no_answer`.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from ztp_server.sip.channel import Channel, Receiver
from ztp_server.sip.outcome import Unanswered

_RECEIVE_BUFFER = 4 << 20


class UdpChannel(Channel):
    """One socket and one address at the other end."""

    transport = "UDP"

    def __init__(self, endpoint: UdpEndpoint, remote: tuple[Any, ...]) -> None:
        self._endpoint = endpoint
        self._address = remote
        self.remote = (remote[0], remote[1])
        self.local = (endpoint.address_towards(remote), endpoint.port)

    def send(self, raw: bytes) -> None:
        self._endpoint.send(raw, self._address)

    def back(self, port: int) -> UdpChannel:
        """The same address at another port."""
        return UdpChannel(self._endpoint, (self._address[0], port, *self._address[2:]))

    def hold(self) -> None:
        """There is no connection to keep."""

    def release(self) -> None:
        """There is no connection to keep."""

    def doubt(self) -> None:
        """There is no connection to give up."""


class UdpEndpoint(asyncio.DatagramProtocol):
    """A socket of ours."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._transport: asyncio.DatagramTransport | None = None
        self._failed: OSError | None = None
        self._is_full = False
        self._bound = ""
        self.port = 0

    async def open(self, family: socket.AddressFamily, host: str, port: int) -> None:
        """Raises OSError."""
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, (host, port), family=family)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._bound, self.port = transport.get_extra_info("sockname")[:2]
        # When a registrar starts anew, all its lines are told of at once.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self._transport is not None and not self._transport.is_closing() and addr[1] and data.strip(b"\r\n\0"):
            self._receiver.received(data, UdpChannel(self, addr))

    def error_received(self, exc: Exception) -> None:
        """Called by asyncio while it sends. What the network tells later is of no address we could name."""
        self._failed = exc if isinstance(exc, OSError) else None

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def send(self, raw: bytes, remote: tuple[Any, ...]) -> None:
        """Raises Unanswered when there is no way there."""
        if self._transport is None:
            raise Unanswered("refused", "closed")
        if self._is_full:
            # As if the network had lost it: it is sent again when its time comes.
            return
        self._failed = None
        self._transport.sendto(raw, remote)
        if self._failed is not None:
            raise Unanswered("refused", self._failed.strerror or type(self._failed).__name__)

    def address_towards(self, remote: tuple[Any, ...]) -> str:
        """Our address as that peer should see it: the kernel knows which way a packet would go. Sends nothing."""
        if self._bound not in ("0.0.0.0", "::"):
            return self._bound
        family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(remote)
                return str(probe.getsockname()[0])
            except OSError:
                return self._bound

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
