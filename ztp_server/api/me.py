"""/me: who is asking."""

from __future__ import annotations

from typing import Any

from ztp_server.api.operation import Call, Routes
from ztp_server.api.shapes import Answer
from ztp_server.domain.access import Actor

routes = Routes("me", "Who you are.")


class Held(Answer):
    """Permissions held at a site, or (null) everywhere."""

    site: str | None
    permissions: list[str]


class Me(Answer):
    """The one a token belongs to."""

    name: str
    grants: list[Held]


@routes.get("/me", answer=Me)
async def who_am_i(call: Call) -> Any:
    """Show who you are, what you may do, and where."""
    return {"name": call.who.name, "grants": held(call.who)}


def held(who: Actor) -> list[dict[str, Any]]:
    """What somebody may do, by site."""
    found: dict[str, frozenset[str]] = {}
    for grant in who.grants:
        found[grant.site] = found.get(grant.site, frozenset()) | grant.permissions
    return [{"site": site or None, "permissions": sorted(names)} for site, names in sorted(found.items())]
