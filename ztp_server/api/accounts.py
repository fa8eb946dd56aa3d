"""/accounts, /login, /logout: people who log in."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.domain.account import RoleGrant
from ztp_server.errors import BadValue
from ztp_server.services.access_views import account_view, account_with_tokens

routes = Routes("accounts", "Logins of people, with what they may do and where.")


class GrantBody(Body):
    """A role, at one site or (null) everywhere."""

    role: str = Field(max_length=64)
    site: str | None = Field(None, max_length=64)


class GrantRecord(Answer):
    """A role, at one site or (null) everywhere."""

    role: str
    site: str | None


class AccountRecord(Answer):
    """A login. Its password is never shown."""

    id: str
    name: str
    enabled: bool
    external_id: str | None
    roles: list[GrantRecord]
    created_at: str
    revision: int


class AccountDetails(AccountRecord):
    """A login, and the names of the tokens for programs that it made: they stay when it goes."""

    tokens: list[str]


class NewAccount(Body):
    """Left out, the name is the id. A password has 12 characters or more. `external_id` is who it is to a provider of
    OpenID Connect, `https://idp.example.net#4711`: issuer and subject; then it needs no password."""

    id: str = Field(max_length=64)
    name: str = Field("", max_length=255)
    password: str = Field("", max_length=1024)
    external_id: str = Field("", max_length=255)
    roles: list[GrantBody] = Field([], max_length=1000)


class FirstAccount(Body):
    """The token that the server showed at its start, and the account to make."""

    token: str = Field(max_length=512)
    id: str = Field(max_length=64)
    name: str = Field("", max_length=255)
    password: str = Field(max_length=1024)


class AccountPatch(Body):
    """What is to change. Roles replace. An `external_id` of null: logs in here only."""

    name: str | None = Field(None, max_length=255)
    enabled: bool | None = None
    external_id: str | None = Field(None, max_length=255)
    roles: list[GrantBody] | None = Field(None, max_length=1000)


class PasswordBody(Body):
    """Another password. One's own takes the current one as well."""

    password: str = Field(max_length=1024)
    current: str | None = Field(None, max_length=1024)


class LoginBody(Body):
    """Who logs in."""

    account: str = Field(max_length=64)
    password: str = Field(max_length=1024)


class LoginRecord(Answer):
    """A token to send as `Authorization: Bearer …`, until it expires or is logged out."""

    token: str
    account: str
    expires_at: str


@routes.post("/login", answer=LoginRecord, public=True)
async def login(call: Call, body: LoginBody) -> Any:
    """Log in.

    The token is good for 8 hours, or until nobody used it for 60 minutes. Whoever fails too often has to
    wait: 429 says how long."""
    text, token = await call.services.logins.login(body.account, body.password, call.who.address)
    return {"token": text, "account": token.account, "expires_at": token.expires_at}


@routes.post("/logout", repeatable=True)
async def logout(call: Call) -> Any:
    """Log out: the token of this request ends, if it is one of a login."""
    await call.services.logins.logout(call.who)
    return Reply(session="" if call.session else None)


@routes.get("/accounts", answer=Page[AccountRecord], permission="accounts:view")
async def list_accounts(call: Call, query: PageQuery) -> Any:
    """List accounts, by id."""
    after = read_cursor(query.cursor, str)
    found, more = await call.services.accounts.page(call.who, after[0] if after else "", query.limit)
    return page(map(account_view, found), make_cursor(found[-1].id) if more else None)


@routes.post("/accounts", answer=AccountRecord, status=201, permission="accounts:edit")
async def add_account(call: Call, body: NewAccount) -> Any:
    """Make an account.

    Nobody gives a role that allows more than they may themselves."""
    given = grants(body.roles)
    account = await call.services.accounts.add(
        call.who, body.id, body.name, body.password, given, external_id=body.external_id
    )
    return Reply(account_view(account), location=f"/accounts/{account.id}")


@routes.post("/accounts/first", answer=AccountRecord, status=201, public=True)
async def add_first_account(call: Call, body: FirstAccount) -> Any:
    """Make the first account, which may do everything.

    The server shows a token for it when it starts without any account. It is good for 24 hours, once."""
    account = await call.services.accounts.add_first(body.token, body.id, body.name, body.password, call.who.address)
    return Reply(account_view(account), location=f"/accounts/{account.id}")


@routes.get("/accounts/{id}", answer=AccountDetails, permission="accounts:view")
async def get_account(call: Call, id: str) -> Any:
    """Show an account."""
    account = await call.services.accounts.get(call.who, id)
    return account_with_tokens(account, await call.services.accounts.tokens_made(call.who, id))


@routes.patch("/accounts/{id}", answer=AccountRecord, permission="accounts:edit", revised=True)
async def edit_account(call: Call, id: str, body: AccountPatch) -> Any:
    """Change an account.

    It counts from the next request on. A disabled account is logged out. The last one that may do everything stays."""
    refuse_null(call, "name", "enabled")
    given = grants(body.roles or []) if "roles" in call.given else None
    elsewhere = (body.external_id or "") if "external_id" in call.given else None
    account = await call.services.accounts.edit(
        *(call.who, id),
        name=body.name,
        enabled=body.enabled,
        roles=given,
        external_id=elsewhere,
        revision=call.revision,
    )
    return account_view(account)


@routes.post("/accounts/{id}/password", answer=AccountRecord, revised=True, refusals=(403,))
async def set_account_password(call: Call, id: str, body: PasswordBody) -> Any:
    """Change a password.

    Everybody changes their own, with the current one; those of others take the permission `accounts:edit`. Whoever was
    logged in with the old one is logged out."""
    account = await call.services.accounts.set_password(
        call.who, id, body.password, current=body.current, revision=call.revision
    )
    return account_view(account)


@routes.delete("/accounts/{id}", permission="accounts:edit", revised=True)
async def remove_account(call: Call, id: str) -> None:
    """Remove an account. The last one that may do everything stays."""
    await call.services.accounts.remove(call.who, id, revision=call.revision)


def grants(roles: list[GrantBody]) -> list[RoleGrant]:
    """Roles as a body gives them."""
    return [RoleGrant(grant.role, grant.site or "") for grant in roles]


def refuse_null(call: Call, *names: str) -> None:
    """Raises BadValue for a field that has no value to go back to."""
    for name in names:
        if name in call.given and call.given[name] is None:
            raise BadValue(name, "cannot be null")
