"""Listening sockets for phones. Policy is the port: what a listener demands never changes with the name asked for."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from asyncio import sslproto
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web, web_protocol

from ztp_server.config import Address
from ztp_server.errors import Misconfigured

# Phones of a building knock together after a power cut: let them wait in the kernel rather than be turned away.
BACKLOG = 4096
# Also the time in which a request's header must be complete.
IDLE_SECONDS = 15
HANDSHAKE_SECONDS = 10
# asyncio reserves 256 KiB for each TLS connection; a phone sends a few hundred bytes (10,000 phones: 3 GB or 0.7).
TLS_READ_BUFFER = 16 * 1024

# What answers call this program: no version of ours or of what we are built with.
SERVER = "ztp"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Protocol(web_protocol.RequestHandler):
    """Tells a client that breaks the grammar so, without repeating what it sent."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= 500 and exc is not None:
            self.log_exception("request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer is sent already")
        response = web.Response(status=503 if status >= 500 else status, headers={hdrs.SERVER: SERVER})
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> web_protocol.RequestHandler:
        return _Protocol(
            self,
            loop=self._loop,
            keepalive_timeout=IDLE_SECONDS,
            # Bodies are taken as sent: nothing a stranger sends is unpacked.
            auto_decompress=False,
        )


class _Site(web.SockSite):
    """A site whose clients must finish their TLS handshake in time."""

    async def start(self) -> None:
        await web.BaseSite.start(self)
        self._server = await asyncio.get_running_loop().create_server(
            self._runner.server,  # type: ignore[arg-type]
            sock=self._sock,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self._ssl_context else None,
        )

    async def stop(self) -> None:
        # A connection taken in the very turn in which asyncio closes its server is neither served nor closed, and the
        # phone at its other end hangs: so no more are taken first, and those that were get their turn.
        if isinstance(self._server, asyncio.Server):
            for sock in self._server.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
            await asyncio.sleep(0)
        await super().stop()


class PhoneListener:
    """One listening address. Its TLS context can be replaced while connections go on."""

    def __init__(self, option: str, address: Address, handler: Handler, context: ssl.SSLContext | None) -> None:
        self.address = address
        self._option = option
        self._context = context
        self._runner = web.ServerRunner(_Server(handler), handle_signals=False, shutdown_timeout=10)
        self._socket: socket.socket | None = None
        self._site: web.SockSite | None = None
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Bind and listen. Raises Misconfigured naming the option when the address cannot be had."""
        sslproto.SSLProtocol.max_size = TLS_READ_BUFFER
        self._socket = bind(self._option, self.address)
        self.address = Address(self.address.host, self._socket.getsockname()[1])
        await self._runner.setup()
        self._site = self._make_site(self._socket.dup())
        await self._site.start()

    async def replace_context(self, context: ssl.SSLContext) -> None:
        """New connections get the new context; no connection is refused meanwhile, those in progress go on.

        A context cannot forget a CA, and a wrong key would kill it, so it is never changed in place.
        """
        # Cancelled halfway, asyncio would leave a socket open that nobody knows.
        await asyncio.shield(self._replace(context))

    async def _replace(self, context: ssl.SSLContext) -> None:
        async with self._changing:
            if not self._socket or not self._site:
                return
            self._context = context
            before, self._site = self._site, self._make_site(self._socket.dup())
            await self._site.start()
            await before.stop()

    async def stop(self) -> None:
        """Finish what was begun, then close. A change of context in progress ends first; a later one does nothing."""
        async with self._changing:
            await self._runner.cleanup()
            if self._socket:
                self._socket.close()
                self._socket = None

    def _make_site(self, sock: socket.socket) -> web.SockSite:
        return _Site(self._runner, sock, ssl_context=self._context, backlog=BACKLOG)


def bind(option: str, address: Address) -> socket.socket:
    """A bound socket. Raises Misconfigured: port taken, address not ours, not allowed."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = "something else listens there" if error.errno == errno.EADDRINUSE else error.strerror
        raise Misconfigured(f"{option} {address}: {reason}") from None
