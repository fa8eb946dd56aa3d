"""What goes around every request of the admin listener: is it meant for us, does its answer tell a browser enough, and
is it written down."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from ztp_server.api.headers import secured
from ztp_server.api.hosts import HostNames
from ztp_server.api.problems import problem

_NOT_US = (
    "this server has no such name; those it has besides its address are given with --public-name and --admin-names"
)

log = structlog.get_logger()


def outermost(hosts: HostNames, note: Callable[[web.Request, int, float], None]) -> Any:
    """The middleware of the whole application. `note` is told the status and seconds of what was turned away and of
    what no door below writes down."""

    @web.middleware
    async def around(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        started = time.perf_counter()
        if hosts.fit(request):
            response = await _answered(request, handler)
        else:
            response = problem(421, _NOT_US)
            response.force_close()  # nothing that was sent with it is read
        if response.status == 421 or request.path.startswith("/oidc/"):
            note(request, response.status, time.perf_counter() - started)
        return secured(request, response)

    return around


async def _answered(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return problem(error.status, "there is nothing here" if error.status == 404 else error.reason, headers=headers)
    except Exception:
        log.exception("admin.failed")
        return problem(500, "the server failed; its log says why")
