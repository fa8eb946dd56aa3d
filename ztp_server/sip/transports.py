"""Destination → channel: names looked up, sockets made once, connections used again."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ztp_server.domain.reachable import may_ask
from ztp_server.sip.channel import Channel, Receiver
from ztp_server.sip.clock import Clock, Intervals, limited
from ztp_server.sip.destination import Destination
from ztp_server.sip.outcome import Unanswered
from ztp_server.sip.stream import Connection, tls_reason
from ztp_server.sip.tls import TlsFiles, client_context
from ztp_server.sip.udp import UdpChannel, UdpEndpoint

_Address = tuple[socket.AddressFamily, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """Our own side: addresses to bind to, the UDP port (0 takes any; the same for both families), files for TLS."""

    ipv4: str = "0.0.0.0"
    ipv6: str = "::"
    udp_port: int = 0
    tls: TlsFiles = field(default_factory=TlsFiles)


class Transports:
    """All sockets of one user agent."""

    def __init__(self, receiver: Receiver, binding: Binding, clock: Clock, intervals: Intervals) -> None:
        self._receiver = receiver
        self._binding = binding
        self._clock = clock
        self._intervals = intervals
        self._endpoints: dict[socket.AddressFamily, UdpEndpoint] = {}
        self._connections: dict[Destination, Connection] = {}
        # One opens for all who wait, and fails for all.
        self._opening: dict[Destination, asyncio.Task[Connection]] = {}
        self._one_endpoint = asyncio.Lock()
        # Made at the start: a wrong file is a mistake of the configuration, not of a peer.
        self._tls = client_context(binding.tls)
        self._is_closed = False

    async def open(self, destination: Destination) -> Channel:
        """A channel to that place. Raises Unanswered, kind `refused`, `no_answer` or `tls_failed`."""
        if self._is_closed:
            raise Unanswered("refused", "closed")
        try:
            async with limited(self._clock, self._intervals.connect):
                if destination.transport == "udp":
                    return await self._udp(destination)
                return await self._connection(destination)
        except TimeoutError:
            raise Unanswered("no_answer", f"no connection within {self._intervals.connect:.0f} s") from None
        except ssl.SSLError as error:
            raise Unanswered(*tls_reason(error)) from None
        except (OSError, UnicodeError) as error:
            raise Unanswered("refused", getattr(error, "strerror", None) or type(error).__name__) from None

    async def _udp(self, destination: Destination) -> UdpChannel:
        family, address = (await _addresses(destination, socket.SOCK_DGRAM))[0]
        async with self._one_endpoint:
            endpoint = self._endpoints.get(family) or await self._new_endpoint(family)
        return UdpChannel(endpoint, address)

    async def _new_endpoint(self, family: socket.AddressFamily) -> UdpEndpoint:
        host = self._binding.ipv6 if family == socket.AF_INET6 else self._binding.ipv4
        endpoint = self._endpoints[family] = UdpEndpoint(self._receiver)
        try:
            await endpoint.open(family, host, self._binding.udp_port)
        except BaseException:
            del self._endpoints[family]
            raise
        if self._is_closed:
            endpoint.close()
        return endpoint

    async def _connection(self, destination: Destination) -> Connection:
        known = self._connections.get(destination)
        if known is not None and known.is_open:
            return known
        opening = self._opening.get(destination)
        if opening is None:
            opening = self._opening[destination] = asyncio.create_task(self._new_connection(destination))
            opening.add_done_callback(lambda done: self._opened(destination, done))
        return await asyncio.shield(opening)

    def _opened(self, destination: Destination, done: asyncio.Task[Connection]) -> None:
        del self._opening[destination]
        if not done.cancelled():
            # Looked at, so that nobody complains when those who waited are gone.
            done.exception()

    async def _new_connection(self, destination: Destination) -> Connection:
        over_tls: dict[str, Any] = {}
        if destination.transport == "tls":
            over_tls = {"ssl": self._tls, "server_hostname": destination.tls_name or destination.host}
        async with limited(self._clock, self._intervals.connect):
            connection = await self._first(await _addresses(destination, socket.SOCK_STREAM), destination, over_tls)
        self._connections = {place: one for place, one in self._connections.items() if one.is_open}
        self._connections[destination] = connection
        if self._is_closed:
            connection.give_up("refused", "closed")
        return connection

    async def _first(
        self, addresses: Sequence[_Address], destination: Destination, over_tls: dict[str, Any]
    ) -> Connection:
        """A connection to the first address that takes it. Raises OSError: why the last did not, or TLS failed."""
        refused = OSError(errno.EADDRNOTAVAIL, "no such host")
        for family, address in addresses:
            try:
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._receiver, self._clock, self._intervals, destination.transport.upper()),
                    *(address[0], address[1]),
                    family=family,
                    **over_tls,
                )
            except ssl.SSLError:
                raise
            except OSError as error:
                # asyncio says it in words of its own, with the address once more.
                refused = OSError(error.errno, os.strerror(error.errno)) if error.errno else error
            else:
                return connection
        raise refused

    def close(self) -> None:
        """Close every socket at once."""
        self._is_closed = True
        for opening in list(self._opening.values()):
            opening.cancel()
        for endpoint in self._endpoints.values():
            endpoint.close()
        for connection in list(self._connections.values()):
            connection.give_up("no_answer", "closed")


async def _addresses(destination: Destination, kind: socket.SocketKind) -> Sequence[_Address]:
    """The addresses of a destination. Private ones are where phones and their platforms are; what is nobody's server is
    left out, whatever name led there. Raises OSError, also when nothing is left."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(destination.host, destination.port, type=kind)
    usable = [(family, address) for family, *_, address in found if may_ask(str(address[0]), allow_private=True)]
    if not usable:
        raise OSError(errno.EACCES, "a reserved address, to which nothing is sent")
    return usable
