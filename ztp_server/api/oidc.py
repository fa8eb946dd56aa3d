"""/oidc/start and /oidc/callback: a browser is sent to a provider of OpenID Connect, and comes back with who it is."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import structlog
from aiohttp import web

from ztp_server.api import limits
from ztp_server.api.addresses import client_address
from ztp_server.api.browser import (
    check_confidential,
    cookie_of,
    own_origin,
    passing_cookie,
    session_cookie,
)
from ztp_server.api.problems import Unanswered, problem
from ztp_server.domain.site import Network
from ztp_server.domain.source import source_of
from ztp_server.errors import LoginRefused, Misconfigured, StoreUnavailable
from ztp_server.outbound import OutboundRefused
from ztp_server.services.external_logins import ExternalLogins
from ztp_server.services.oidc import Begun, Oidc
from ztp_server.services.oidc_begun import SECONDS, BegunLogins

COOKIE = "__Host-ztp-oidc"
START, CALLBACK = "/oidc/start", "/oidc/callback"
# Where a browser goes when it is logged in. A page of ours sends it there: after a redirect, which goes back to the
# provider's page, it would not send a strict cookie.
_HOME = "/api/"
_LONGEST_CODE = 4096
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={home}">'
    '<title>Logged in</title><p>You are logged in. <a href="{home}">Go on</a></p></html>'
)

log = structlog.get_logger()


class OidcDoor:
    """The two addresses, over one provider."""

    def __init__(self, provider: Oidc, logins: ExternalLogins, trusted_proxies: Sequence[Network]) -> None:
        self._provider = provider
        self._logins = logins
        self._trusted_proxies = trusted_proxies
        self._begun = BegunLogins()
        self._asked = limits.Buckets(limits.FAILURE_RATE, limits.FAILURE_BURST)

    def routes(self) -> list[web.RouteDef]:
        return [web.get(START, self._start, allow_head=False), web.get(CALLBACK, self._callback, allow_head=False)]

    async def _start(self, request: web.Request) -> web.Response:
        """To the provider, with a cookie that remembers what for."""
        try:
            self._count(request)
            check_confidential(request, self._trusted_proxies)
            url, begun = await self._provider.begin(own_origin(request, self._trusted_proxies) + CALLBACK)
        except (Unanswered, OutboundRefused) as error:
            return _refusal(error)
        kept = passing_cookie(COOKIE, self._begun.written(begun, time.monotonic()), SECONDS)
        return web.Response(status=302, headers={"Location": url, "Set-Cookie": kept})

    async def _callback(self, request: web.Request) -> web.Response:
        """Back from the provider: logged in, or told why not. Either way what the cookie remembered is used up."""
        try:
            self._count(request)
            check_confidential(request, self._trusted_proxies)
            begun, code = self._taken(request)
            identity = await self._provider.finish(begun, code)
            text, _ = await self._logins.enter(identity, client_address(request, self._trusted_proxies))
        except (Unanswered, OutboundRefused, LoginRefused, Misconfigured, StoreUnavailable) as error:
            response = _refusal(error)
        else:
            response = web.Response(text=_PAGE.format(home=_HOME), content_type="text/html", charset="utf-8")
            response.headers.add("Set-Cookie", session_cookie(text))
        response.headers.add("Set-Cookie", passing_cookie(COOKIE, "", 0))
        return response

    def _taken(self, request: web.Request) -> tuple[Begun, str]:
        """What was begun, and the code that came back. Raises LoginRefused, and Unanswered for no provider's answer."""
        given = {name: request.query.getall(name, []) for name in ("state", "code", "error")}
        if any(len(values) > 1 for values in given.values()) or len(given["state"]) != 1:
            raise Unanswered(400, "this is no answer of a provider")
        begun = self._begun.take(cookie_of(request, COOKIE), given["state"][0], time.monotonic())
        if given["error"] or not given["code"] or len(given["code"][0]) > _LONGEST_CODE:
            raise LoginRefused("the provider did not let you in")
        return begun, given["code"][0]

    def _count(self, request: web.Request) -> None:
        wait = self._asked.take(source_of(client_address(request, self._trusted_proxies)), time.monotonic())
        if wait:
            raise Unanswered(429, "too many requests", headers={"Retry-After": str(math.ceil(wait))})


def _refusal(error: Exception) -> web.Response:
    """Nothing of what another server said is repeated to a browser."""
    if isinstance(error, Unanswered):
        return problem(error.status, error.detail, headers=error.headers)
    if isinstance(error, LoginRefused):
        return problem(401, str(error))
    log.warning("oidc.failed", reason=str(error))
    if isinstance(error, StoreUnavailable):
        return problem(503, "the database cannot answer now", headers={"Retry-After": "5"})
    return problem(502, "the provider cannot be asked; the server's log says why")
