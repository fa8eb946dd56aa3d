"""Who is asking: a request's bearer token, or the cookie of a browser, resolved; and whether they ask too often."""

from __future__ import annotations

import base64
import binascii
import math
import re
import time
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from ztp_server.api import limits
from ztp_server.api.browser import check_page, cookie_of
from ztp_server.api.problems import CHALLENGE, Unanswered
from ztp_server.domain.access import Actor
from ztp_server.domain.site import Network
from ztp_server.domain.source import source_of

_BEARER = re.compile(r"[Bb]earer +([A-Za-z0-9._~+/=-]{1,512}) *")
_BASIC = re.compile(r"[Bb]asic +([A-Za-z0-9+/]{1,1022}={0,2}) *")


class Access(Protocol):
    """Who knows tokens."""

    async def authenticate(self, token: str, address: str) -> Actor | None:
        """The one a token belongs to, asking from `address`; None for one that is unknown, expired or withdrawn."""


class Gate:
    """Lets those in who have a token and do not ask too often."""

    def __init__(self, access: Access, trusted_proxies: Sequence[Network] = ()) -> None:
        self._access = access
        self._trusted_proxies = trusted_proxies
        self._actors = limits.Buckets(limits.ACTOR_RATE, limits.ACTOR_BURST)
        self._failures = limits.Buckets(limits.FAILURE_RATE, limits.FAILURE_BURST)

    async def admit(self, request: web.Request, address: str, *, machine: bool = False) -> tuple[Actor, str]:
        """Who asks, and the text of their session where it is a browser's cookie that says so, else nothing. With an
        Authorization header that alone counts: a program may have a cookie jar. A `machine` may show its token as the
        password of Basic, and asks more often. Raises Unanswered 401, 403 and 429."""
        given = request.headers.getall("Authorization", [])
        found = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
        session = "" if given else cookie_of(request)
        basic = _basic_password(given[0]) if machine and len(given) == 1 and not found else ""
        token = found[1] if found else basic or session
        actor = await self._access.authenticate(token, address) if token else None
        if actor is None:
            # A right token is always let in, so that nobody is locked out by others behind the same address.
            self._count(self._failures, source_of(address))
            error = ', error="invalid_token"' if given else ""
            said = "needs a valid token: Authorization: Bearer …, or the cookie of a session that is not over"
            raise Unanswered(401, said, headers={"WWW-Authenticate": CHALLENGE + error})
        if session:
            check_page(request, session, self._trusted_proxies)
        self._count(self._actors, actor.name, limits.MACHINE_WEIGHT if machine else 1.0)
        return actor, session

    def stranger(self, address: str) -> Actor:
        """Somebody without a token, for what takes none: they may nothing. Raises Unanswered 429."""
        self._count(self._failures, source_of(address))
        return Actor("nobody", (), address)

    def _count(self, buckets: limits.Buckets, key: str, weight: float = 1.0) -> None:
        wait = buckets.take(key, time.monotonic(), weight)
        if wait:
            raise Unanswered(429, "too many requests", headers={"Retry-After": str(math.ceil(wait))})


def _basic_password(header: str) -> str:
    """The password of Basic (RFC 7617), empty when it is none. Who sends it, the user, is left alone."""
    found = _BASIC.fullmatch(header)
    try:
        return base64.b64decode(found[1], validate=True).decode().partition(":")[2] if found else ""
    except (binascii.Error, ValueError):
        return ""
