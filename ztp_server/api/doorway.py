"""Connections to the admin listener: so many of one source, and so many together. Phones are served by the same
process, and what strangers hold open here would be missing there."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Sequence

import structlog

from ztp_server.api.server import AdminServer
from ztp_server.domain.site import Network, is_among
from ztp_server.domain.source import source_of

# Open ones, those in their TLS handshake among them (some 90 KB each). A browser has six at a time, and one address may
# be that of an office.
MOST, MOST_OF_ONE = 256, 64
HANDSHAKE_SECONDS = 10
_BACKLOG = 128
# Taken at a time, so that others get their turn in between.
_AT_ONCE = 32
# How long nothing is accepted when no more files can be opened.
_BREATH_SECONDS = 1.0

log = structlog.get_logger()


class Doorway:
    """Takes connections from a bound socket. `context` may be another one at any time: each handshake takes the one
    that is there when it begins; None is plain HTTP. A proxy of `proxies` stands for many, and is not one source."""

    def __init__(
        self, sock: socket.socket, server: AdminServer, context: ssl.SSLContext | None, proxies: Sequence[Network] = ()
    ) -> None:
        self.context = context
        self._socket = sock
        self._server = server
        self._proxies = proxies
        self._open: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._breath: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Let them in."""
        self._socket.setblocking(False)
        self._socket.listen(_BACKLOG)
        self._listen()

    def shut(self) -> None:
        """Let nobody in any more; those who are in stay."""
        if self._breath:
            self._breath.cancel()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    async def clear(self) -> None:
        """Hang up on those that are still in their handshake."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listen(self) -> None:
        self._breath = None
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("admin.not_accepted", reason=error.strerror)
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._socket)
                self._breath = loop.call_later(_BREATH_SECONDS, self._listen)
                return
            self._take(sock, peer[0].partition("%")[0])

    def _take(self, sock: socket.socket, address: str) -> None:
        source = source_of(address)
        of_one = MOST if is_among(address, self._proxies) else MOST_OF_ONE
        if self._open.total() >= MOST or self._open[source] >= of_one:
            sock.close()
            return
        sock.setblocking(False)
        self._open[source] += 1
        task = asyncio.get_running_loop().create_task(self._serve(sock, source))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket, source: str) -> None:
        loop, context = asyncio.get_running_loop(), self.context
        try:
            _, protocol = await loop.connect_accepted_socket(
                self._server, sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None
            )
            await protocol.gone
        except OSError:
            # A handshake that fails; by then its transport, if there was one, has let go of the socket.
            loop.call_soon(sock.close)
        finally:
            self._open[source] -= 1
            if not self._open[source]:
                del self._open[source]
