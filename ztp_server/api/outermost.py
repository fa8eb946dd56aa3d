"""What goes around every request of the admin listener: is it meant for us, does its answer tell a browser enough."""

from __future__ import annotations

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


def outermost(hosts: HostNames) -> Any:
    """The middleware of the whole application."""

    @web.middleware
    async def around(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not hosts.fit(request):
            response: web.StreamResponse = problem(421, _NOT_US)
            response.force_close()  # nothing that was sent with it is read
            return secured(request, response)
        return secured(request, await _answered(request, handler))

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
