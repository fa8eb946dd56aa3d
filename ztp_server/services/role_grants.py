"""Roles that are given to somebody: what may be given, and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from ztp_server.domain.access import Actor, Grant
from ztp_server.domain.account import RoleGrant, grants_of
from ztp_server.errors import BadValue, Conflict, NotFound
from ztp_server.store import Session


def parse_roles(texts: Iterable[str], sites: Iterable[str] = ()) -> tuple[RoleGrant, ...]:
    """`editor` or `editor@madrid`; one that names no site is given at each of `sites`, without any everywhere."""
    places = tuple(sites) or ("",)
    found: list[RoleGrant] = []
    for text in texts:
        role, at, site = text.partition("@")
        if at and not site:
            raise BadValue("roles", f"{text[:64]!r} names no site; write editor, or editor@madrid")
        found += [RoleGrant(role, site)] if at else [RoleGrant(role, place) for place in places]
    return tuple(dict.fromkeys(found))


async def checked_grants(session: Session, who: Actor, roles: Iterable[RoleGrant]) -> tuple[RoleGrant, ...]:
    """Roles that may be given by the one who asks. Raises BadValue for a role or site that is not there, and Forbidden
    for what they have not themselves."""
    given = tuple(dict.fromkeys(roles))
    for number, grant in enumerate(given, 1):
        try:
            await session.roles.get(grant.role)
        except NotFound as error:
            raise BadValue(f"roles.{number}.role", str(error)) from None
        try:
            await session.sites.get(grant.site) if grant.site else None
        except NotFound as error:
            raise BadValue(f"roles.{number}.site", str(error)) from None
    require_all(who, await amount(session, given))
    return given


async def amount(session: Session, roles: Iterable[RoleGrant]) -> tuple[Grant, ...]:
    """What roles allow now."""
    return grants_of([(await session.roles.get(grant.role), grant.site) for grant in roles])


async def as_of_now(session: Session, who: Actor) -> Actor:
    """Who asked for something some time ago, with what they may do now: nothing when the account is gone or disabled,
    or the token revoked. Who is neither, such as a person at the command line, is who they were."""
    kind, _, name = who.name.partition(":")
    if kind == "account":
        account = await session.accounts.find(name)
        given = account.roles if account and account.enabled else ()
    elif kind == "token":
        token = await session.tokens.named(name)
        is_good = token and (token.expires_at is None or token.expires_at > datetime.now(UTC))
        given = token.roles if token and is_good else ()
    else:
        return who
    return Actor(who.name, await amount(session, given))


def require_all(who: Actor, grants: Iterable[Grant]) -> None:
    """Raises Forbidden naming a permission that is in the grants and not held: nobody gives away what they have not,
    or changes what is above them."""
    for grant in grants:
        for permission in sorted(grant.permissions):
            who.require(permission, grant.site)


async def refuse_granted_at(session: Session, who: Actor, site: str) -> None:
    """Raises Conflict while somebody has a role at a site: a later site of that id would be theirs as well."""
    holders = await session.roles.holders(site=site)
    if holders:
        named = ", ".join(holders) if who.may("accounts:view") else "accounts or tokens"
        raise Conflict(f"site {site} is where {named} have a role; take it back first")
