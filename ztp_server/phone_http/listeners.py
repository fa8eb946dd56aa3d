"""Listening sockets for phones. Policy is the port: what a listener demands never changes with the name asked for."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from asyncio import sslproto
from collections.abc import Sequence

import structlog
from aiohttp import web

from ztp_server.config import Address
from ztp_server.domain.site import Network
from ztp_server.errors import Misconfigured
from ztp_server.phone_http.gate import Gate
from ztp_server.phone_http.protocol import Handler, PhoneProtocol, PhoneServer
from ztp_server.phone_http.proxy_header import ProxyHeader
from ztp_server.phone_http.seats import Seat
from ztp_server.services.fleet import lies_in

# Phones of a building knock together after a power cut: let them wait in the kernel rather than be turned away.
BACKLOG = 4096
# Connections taken at a time: those that have a seat get their turn in between.
_AT_ONCE = 128
# How long nothing is accepted when no more files can be opened.
_BREATH_SECONDS = 1.0
# asyncio reserves 256 KiB for each TLS connection; a phone sends a few hundred bytes (10,000 phones: 3 GB or 0.7).
TLS_READ_BUFFER = 16 * 1024

log = structlog.get_logger()


class PhoneListener:
    """One listening address. Its TLS context can be replaced while connections go on: each handshake takes the one
    that is current when it begins."""

    def __init__(
        self,
        option: str,
        address: Address,
        handler: Handler,
        context: ssl.SSLContext | None,
        networks: Sequence[Network] = (),
        gate: Gate | None = None,
        proxies: Sequence[Network] = (),
    ) -> None:
        """With `networks`, a connection from elsewhere is closed before anything is said. Listeners that share what
        there is of memory and files share a gate. Connections from `proxies` begin with the PROXY protocol."""
        self.address = address
        self.context = context
        self.networks = tuple(networks)
        self._proxies = tuple(proxies)
        self._option = option
        self._gate = gate or Gate()
        self._server = PhoneServer(handler, self._gate)
        self._runner = web.ServerRunner(self._server, handle_signals=False, shutdown_timeout=10)
        self._socket: socket.socket | None = None
        self._breath: asyncio.TimerHandle | None = None

    def protocol(self, seat: Seat) -> PhoneProtocol:
        return self._server.protocol(seat)

    def serves(self, address: str) -> bool:
        """Whether connections of this address are taken at all."""
        return not self.networks or lies_in(address, self.networks)

    async def start(self) -> None:
        """Bind and listen. Raises Misconfigured naming the option when the address cannot be had."""
        sslproto.SSLProtocol.max_size = TLS_READ_BUFFER
        self._socket = bind(self._option, self.address)
        self._socket.setblocking(False)
        self.address = Address(self.address.host, self._socket.getsockname()[1])
        await self._runner.setup()
        self._listen()

    async def replace_context(self, context: ssl.SSLContext) -> None:
        """Handshakes that begin from now on get the new context; no connection is refused, those in progress go on.

        A context cannot forget a CA, and a wrong key would kill it, so it is never changed in place.
        """
        self.context = context

    async def stop(self) -> None:
        """Finish what was begun, then close. What has not got so far as to ask is not waited for."""
        if self._socket:
            if self._breath:
                self._breath.cancel()
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        await self._gate.dismiss(self)
        await self._runner.cleanup()

    def _listen(self) -> None:
        self._breath = None
        if self._socket:
            asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._catch_breath(listening, error)
                return
            sock.setblocking(False)
            address = peer[0].partition("%")[0]
            if self._proxies and lies_in(address, self._proxies):
                self._gate.arrived(sock, address, self, ProxyHeader())
            elif not self.serves(address):
                sock.close()
                self._gate.refused("network")
            else:
                self._gate.arrived(sock, address, self)

    def _catch_breath(self, listening: socket.socket, error: OSError) -> None:
        """No file can be opened any more. The kernel would say at once again that somebody waits."""
        log.error("phones.not_accepted", listener=self._option, reason=error.strerror)
        self._gate.make_room()
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        self._breath = loop.call_later(_BREATH_SECONDS, self._listen)


def bind(option: str, address: Address) -> socket.socket:
    """A bound socket. Raises Misconfigured: port taken, address not ours, not allowed."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = "something else listens there" if error.errno == errno.EADDRINUSE else error.strerror
        raise Misconfigured(f"{option} {address}: {reason}") from None
