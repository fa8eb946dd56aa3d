"""The HTTP server under the admin listener."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web, web_protocol

from ztp_server.api.headers import secured
from ztp_server.api.problems import problem

# A filter may name many things.
LONGEST_LINE = 32 * 1024
# Between two requests, and in which the header of one must be complete: who holds connections open takes them from
# phones, which are served by the same process.
IDLE_SECONDS = 60


class AdminProtocol(web_protocol.RequestHandler):
    """Tells a client that breaks the grammar so, without repeating what it sent. `gone` is done when it has left."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.gone = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if not self.gone.done():  # who waited may have been cancelled
            self.gone.set_result(None)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= 500 and exc is not None:
            self.log_exception("request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer is sent already")
        said = "the server failed" if status >= 500 else "this is no HTTP request, or one of too long a line"
        response = problem(status, said)
        secured(request, response)
        response.force_close()
        return response


class AdminServer(web.Server):
    def __call__(self) -> AdminProtocol:
        return AdminProtocol(
            self,
            loop=self._loop,
            keepalive_timeout=IDLE_SECONDS,
            # Bodies are taken as sent: nothing is unpacked.
            auto_decompress=False,
            max_line_size=LONGEST_LINE,
            **self._kwargs,
        )


class AdminRunner(web.AppRunner):
    """Runs the admin application."""

    async def _make_server(self) -> web.Server:
        app = self._app
        app._set_loop(asyncio.get_running_loop())
        app.on_startup.freeze()
        await app.startup()
        app.freeze()
        # An application takes web.Request, which is what its own factory makes.
        handler = cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", app._handle)
        return AdminServer(handler, request_factory=app._make_request, access_log=None)
