"""Destination → channel: names looked up, sockets made once, connections used again."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

from ztp_server.sip.channel import Channel, Receiver
from ztp_server.sip.clock import Clock, Intervals, limited
from ztp_server.sip.destination import Destination
from ztp_server.sip.outcome import Unanswered
from ztp_server.sip.stream import Connection, tls_reason
from ztp_server.sip.tls import TlsFiles, client_context
from ztp_server.sip.udp import UdpChannel, UdpEndpoint


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
        found = await asyncio.get_running_loop().getaddrinfo(
            destination.host, destination.port, type=socket.SOCK_DGRAM, proto=socket.IPPROTO_UDP
        )
        family, *_, address = found[0]
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
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self._receiver, self._clock, self._intervals, destination.transport.upper()),
                destination.host,
                destination.port,
                **over_tls,
            )
        self._connections = {place: one for place, one in self._connections.items() if one.is_open}
        self._connections[destination] = connection
        if self._is_closed:
            connection.give_up("refused", "closed")
        return connection

    def close(self) -> None:
        """Close every socket at once."""
        self._is_closed = True
        for opening in list(self._opening.values()):
            opening.cancel()
        for endpoint in self._endpoints.values():
            endpoint.close()
        for connection in list(self._connections.values()):
            connection.give_up("no_answer", "closed")
