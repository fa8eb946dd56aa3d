"""Who is asking: the bearer token of a request, resolved; and whether they ask too often."""

from __future__ import annotations

import math
import re
import time
from typing import Protocol

from aiohttp import web

from ztp_server.api import limits
from ztp_server.api.problems import CHALLENGE, Unanswered
from ztp_server.domain.access import Actor

_BEARER = re.compile(r"[Bb]earer +([A-Za-z0-9._~+/=-]{1,512}) *")


class Access(Protocol):
    """Who knows tokens."""

    async def authenticate(self, token: str, address: str) -> Actor | None:
        """The one a token belongs to, asking from `address`; None for one that is unknown, expired or withdrawn."""


class Gate:
    """Lets those in who have a token and do not ask too often."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._actors = limits.Buckets(limits.ACTOR_RATE, limits.ACTOR_BURST)
        self._failures = limits.Buckets(limits.FAILURE_RATE, limits.FAILURE_BURST)

    async def admit(self, request: web.Request, address: str) -> Actor:
        """Raises Unanswered 401 and 429."""
        given = request.headers.getall("Authorization", [])
        found = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
        actor = await self._access.authenticate(found[1], address) if found else None
        if actor is None:
            # A right token is always let in, so that nobody is locked out by others behind the same address.
            self._count(self._failures, address)
            error = ', error="invalid_token"' if given else ""
            said = "needs a valid token: Authorization: Bearer …"
            raise Unanswered(401, said, headers={"WWW-Authenticate": CHALLENGE + error})
        self._count(self._actors, actor.name)
        return actor

    def stranger(self, address: str) -> Actor:
        """Somebody without a token, for what takes none: they may nothing. Raises Unanswered 429."""
        self._count(self._failures, address)
        return Actor("nobody", (), address)

    def _count(self, buckets: limits.Buckets, key: str) -> None:
        wait = buckets.take(key, time.monotonic())
        if wait:
            raise Unanswered(429, "too many requests", headers={"Retry-After": str(math.ceil(wait))})
