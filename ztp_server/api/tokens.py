"""/tokens: what programs show instead of a login."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ztp_server.api.accounts import GrantBody, GrantRecord, grants
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.services.access_views import token_view
from ztp_server.services.tokens import parse_expiry

routes = Routes("tokens", "What programs show instead of a login.")


class TokenRecord(Answer):
    """A token, without what it is shown by. `last_used_at` is noted once a minute."""

    id: str
    name: str
    roles: list[GrantRecord]
    created_by: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class NewTokenRecord(TokenRecord):
    """A token just made; `token` is shown this once."""

    token: str


class NewToken(Body):
    """The audit calls it by its name. `expires` is like 12h, 90d, 6w, 1y, or never."""

    name: str = Field(max_length=64)
    roles: list[GrantBody] = Field(min_length=1, max_length=1000)
    expires: str = Field("1y", max_length=16)


@routes.get("/tokens", answer=Page[TokenRecord], permission="accounts:view")
async def list_tokens(call: Call, query: PageQuery) -> Any:
    """List tokens of programs, by id."""
    after = read_cursor(query.cursor, str)
    found, more = await call.services.tokens.page(call.who, after[0] if after else "", query.limit)
    return page(map(token_view, found), make_cursor(found[-1].id) if more else None)


@routes.post("/tokens", answer=NewTokenRecord, status=201, permission="accounts:edit")
async def create_token(call: Call, body: NewToken) -> Any:
    """Make a token.

    Nobody gives it a role that allows more than they may themselves."""
    expires = parse_expiry(body.expires)
    text, token = await call.services.tokens.create(call.who, body.name, grants(body.roles), expires)
    return Reply(token_view(token) | {"token": text}, location=f"/tokens/{token.id}")


@routes.get("/tokens/{id}", answer=TokenRecord, permission="accounts:view")
async def get_token(call: Call, id: str) -> Any:
    """Show a token, by its id or its name."""
    return token_view(await call.services.tokens.get(call.who, id))


@routes.delete("/tokens/{id}", permission="accounts:edit")
async def revoke_token(call: Call, id: str) -> None:
    """Revoke a token, by its id or its name: its next request is refused."""
    await call.services.tokens.revoke(call.who, id)
