"""The admin listener: its socket, its TLS, and the application behind both."""

from __future__ import annotations

import asyncio
import socket
import ssl

from aiohttp import web

from ztp_server.api.server import AdminRunner
from ztp_server.pki.admin_pair import AdminPair

HANDSHAKE_SECONDS = 10


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


class AdminListener:
    """Serves an application on a bound socket: over TLS with a pair of files, over plain HTTP without."""

    def __init__(self, app: web.Application, sock: socket.socket, pair: AdminPair | None) -> None:
        self._runner = AdminRunner(app, shutdown_timeout=10)
        self._socket = sock
        self._pair = pair
        self._site: _Site | None = None
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Raises Misconfigured for a certificate that cannot be used."""
        context = self._pair.load() if self._pair else None
        await self._runner.setup()
        self._site = await self._served(context)

    async def refresh(self) -> None:
        """Take another certificate into service, if its files have changed: connections in progress go on. Raises
        Misconfigured; then the one before stays."""
        if not self._pair:
            return
        async with self._changing:
            if not self._site or not await asyncio.to_thread(self._pair.changed):
                return
            context = await asyncio.to_thread(self._pair.load)
            # Cancelled halfway, a socket would stay open that nobody knows.
            await asyncio.shield(self._replace(self._site, context))

    async def stop(self) -> None:
        """Finish what was begun (at most 10 s), then close."""
        async with self._changing:
            await self._runner.cleanup()
            self._socket.close()
            self._site = None

    async def _replace(self, before: _Site, context: ssl.SSLContext) -> None:
        self._site = await self._served(context)
        await before.stop()

    async def _served(self, context: ssl.SSLContext | None) -> _Site:
        site = _Site(self._runner, self._socket.dup(), ssl_context=context)
        await site.start()
        return site
