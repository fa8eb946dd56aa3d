"""/roles: permissions under a name."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ztp_server.api.accounts import refuse_null
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.services.access_views import role_view

routes = Routes("roles", "Permissions under a name, to be given to accounts and tokens.")


class RoleRecord(Answer):
    """A role: `permissions` as written (`phones:*` and `*` stand for all of a kind), `allowed` all they stand for."""

    id: str
    name: str
    built_in: bool
    permissions: list[str]
    allowed: list[str]
    revision: int


class NewRole(Body):
    """Left out, the name is the id."""

    id: str = Field(max_length=64)
    name: str = Field("", max_length=255)
    permissions: list[str] = Field(min_length=1, max_length=200)


class RolePatch(Body):
    """What is to change. Permissions replace."""

    name: str | None = Field(None, max_length=255)
    permissions: list[str] | None = Field(None, min_length=1, max_length=200)


@routes.get("/roles", answer=Page[RoleRecord], permission="accounts:view")
async def list_roles(call: Call, query: PageQuery) -> Any:
    """List roles, by id: those that are built in, and those of administrators."""
    after = read_cursor(query.cursor, str)
    found = sorted(await call.services.roles.all(call.who), key=lambda role: role.id)
    rows = [role_view(role) for role in found if after is None or role.id > after[0]]
    shown = rows[: query.limit]
    return page(shown, make_cursor(shown[-1]["id"]) if len(rows) > query.limit else None)


@routes.post("/roles", answer=RoleRecord, status=201, permission="accounts:edit")
async def add_role(call: Call, body: NewRole) -> Any:
    """Make a role.

    Nobody puts a permission into it that they have not themselves, everywhere."""
    role = await call.services.roles.add(call.who, body.id, body.name, body.permissions)
    return Reply(role_view(role), location=f"/roles/{role.id}")


@routes.get("/roles/{id}", answer=RoleRecord, permission="accounts:view")
async def get_role(call: Call, id: str) -> Any:
    """Show a role."""
    return role_view(await call.services.roles.get(call.who, id))


@routes.patch("/roles/{id}", answer=RoleRecord, permission="accounts:edit", revised=True)
async def edit_role(call: Call, id: str, body: RolePatch) -> Any:
    """Change a role, for everybody who has it. A built-in one stays as it is."""
    refuse_null(call, "name", "permissions")
    role = await call.services.roles.edit(
        call.who, id, name=body.name, permissions=body.permissions, revision=call.revision
    )
    return role_view(role)


@routes.delete("/roles/{id}", permission="accounts:edit", revised=True)
async def remove_role(call: Call, id: str) -> None:
    """Remove a role that nobody has."""
    await call.services.roles.remove(call.who, id, revision=call.revision)
