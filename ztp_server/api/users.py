"""/users: the people phones belong to."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ztp_server.api.accounts import refuse_null
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.domain.phone import LineChange
from ztp_server.services.access_views import user_view, user_with_phones

routes = Routes("users", "The people phones belong to. They do not log in: that is what accounts are for.")


class UserLineRecord(Answer):
    """A line of a user, without its password."""

    user: str
    auth_user: str
    display_name: str
    label: str
    shared: bool


class UserRecord(Answer):
    """A person."""

    id: str
    name: str
    extension: str
    lines: list[UserLineRecord]
    revision: int


class UserPhone(Answer):
    """A phone that belongs to a user."""

    id: str
    hardware_id: str | None
    name: str
    logged_in: bool | None = Field(description="Null: nobody logs in on such a phone.")


class UserDetails(UserRecord):
    """A person, and the phones of theirs that this token may see."""

    phones: list[UserPhone]


class UserLineBody(Body):
    """A line. Without a password it keeps that of the line with the same user."""

    user: str = Field(max_length=128)
    auth_user: str = Field("", max_length=128)
    password: str | None = Field(None, max_length=128)
    display_name: str = Field("", max_length=128)
    label: str = Field("", max_length=128)
    shared: bool = False


class NewUser(Body):
    """Left out, the name is the id."""

    id: str = Field(max_length=64)
    name: str = Field("", max_length=255)
    extension: str = Field("", max_length=64)
    lines: list[UserLineBody] = Field([], max_length=64)


class UserPatch(Body):
    """What is to change. Lines replace; null takes the extension or the lines away."""

    name: str | None = Field(None, max_length=255)
    extension: str | None = Field(None, max_length=64)
    lines: list[UserLineBody] | None = Field(None, max_length=64)


class UserQuery(PageQuery):
    """Which users."""

    q: str = Field("", max_length=200, description="Part of an id, a name or an extension; `*` stands for any text.")


@routes.get("/users", answer=Page[UserRecord], permission="users:view")
async def list_users(call: Call, query: UserQuery) -> Any:
    """List users, by id."""
    after = read_cursor(query.cursor, str)
    found, more = await call.services.users.page(call.who, query.q, after[0] if after else "", query.limit)
    return page(map(user_view, found), make_cursor(found[-1].id) if more else None)


@routes.post("/users", answer=UserRecord, status=201, permission="users:add")
async def add_user(call: Call, body: NewUser) -> Any:
    """Make a user."""
    user = await call.services.users.add(call.who, body.id, body.name, body.extension, _lines(body.lines))
    return Reply(user_view(user), location=f"/users/{user.id}")


@routes.get("/users/{id}", answer=UserDetails, permission="users:view")
async def get_user(call: Call, id: str) -> Any:
    """Show a user, with their phones."""
    user = await call.services.users.get(call.who, id)
    return user_with_phones(user, await call.services.users.phones(call.who, id))


@routes.patch("/users/{id}", answer=UserRecord, permission="users:edit", revised=True)
async def edit_user(call: Call, id: str, body: UserPatch) -> Any:
    """Change a user.

    With another extension, the browser phones of the user register as that; a phone without lines of its own, on which
    the user is logged in, gets their lines as they are now."""
    refuse_null(call, "name")
    user = await call.services.users.edit(
        call.who,
        id,
        name=body.name,
        extension=(body.extension or "") if "extension" in call.given else None,
        lines=_lines(body.lines or []) if "lines" in call.given else None,
        revision=call.revision,
    )
    return user_view(user)


@routes.delete("/users/{id}", permission="users:delete", revised=True)
async def remove_user(call: Call, id: str) -> None:
    """Remove a user to whom no phone belongs."""
    await call.services.users.remove(call.who, id, revision=call.revision)


def _lines(given: list[UserLineBody]) -> list[LineChange]:
    return [LineChange(**line.model_dump()) for line in given]
