"""The admin listener: its socket, its TLS, and the application behind both."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from aiohttp import web

from ztp_server.api.doorway import Doorway
from ztp_server.api.server import AdminRunner, AdminServer
from ztp_server.domain.site import Network
from ztp_server.pki.admin_pair import AdminPair


class AdminListener:
    """Serves an application on a bound socket: over TLS with a pair of files, over plain HTTP without."""

    def __init__(
        self, app: web.Application, sock: socket.socket, pair: AdminPair | None, proxies: Sequence[Network] = ()
    ) -> None:
        self._runner = AdminRunner(app, shutdown_timeout=10)
        self._socket = sock
        self._pair = pair
        self._proxies = proxies
        self._doorway: Doorway | None = None
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Raises Misconfigured for a certificate that cannot be used."""
        context = self._pair.load() if self._pair else None
        await self._runner.setup()
        assert isinstance(self._runner.server, AdminServer)
        self._doorway = Doorway(self._socket, self._runner.server, context, self._proxies)
        self._doorway.open()

    async def refresh(self) -> None:
        """Take another certificate into service, if its files have changed: connections in progress go on. Raises
        Misconfigured; then the one before stays."""
        if not self._pair:
            return
        async with self._changing:
            if self._doorway is None:
                return
            if await asyncio.to_thread(self._pair.changed):
                self._doorway.context = await asyncio.to_thread(self._pair.load)

    async def stop(self) -> None:
        """Finish what was begun (at most 10 s), then close."""
        async with self._changing:
            doorway, self._doorway = self._doorway, None
            if doorway:
                doorway.shut()
            await self._runner.cleanup()
            if doorway:
                await doorway.clear()
            self._socket.close()
