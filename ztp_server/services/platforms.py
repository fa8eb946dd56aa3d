"""SIP platforms: which there are, where requests to their phones go, who tells of registrations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cryptography import x509

from ztp_server.domain.access import Actor
from ztp_server.domain.platform import (
    LONGEST_CA,
    LONGEST_LOGIN,
    MOST_PLATFORMS,
    SOURCE_KINDS,
    Platform,
    check_platform,
    parse_address,
    parse_domains,
    parse_source_address,
)
from ztp_server.domain.site import check_slug
from ztp_server.domain.text import check_text, switch
from ztp_server.errors import BadValue, Conflict
from ztp_server.pki.extensions import UNREADABLE
from ztp_server.services.checks import checked_name
from ztp_server.services.edits import check_revision, checked_reason
from ztp_server.store import Session, Store

# What is to change of a platform, by field; None empties one.
Changes = Mapping[str, Any]
FIELDS = ("domains", "address", "user", "password", "ca", "direct", "source", "source_address", "source_user",
          "source_password")  # fmt: skip
_LOGINS = ("user", "password", "source_user", "source_password")
# Who is shown a password: when one of these is another, it must be given anew.
_SHOWN_TO = {"password": ("address", "ca"), "source_password": ("source", "source_address", "ca")}


class Platforms:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, who: Actor, after: str = "", limit: int = 100) -> tuple[list[Platform], bool]:
        """Platforms by id, beyond one; and whether there are more. Raises Forbidden."""
        who.require("platforms:view")
        async with self._store.read() as session:
            found = [platform for platform in await session.platforms.all() if platform.id > after]
        return found[:limit], len(found) > limit

    async def get(self, who: Actor, platform_id: str) -> Platform:
        """Raises NotFound and Forbidden."""
        who.require("platforms:view")
        async with self._store.read() as session:
            return await session.platforms.get(platform_id)

    async def add(self, who: Actor, platform_id: str, name: str, changes: Changes, *, reason: str = "") -> Platform:
        """`domains` have to be said. Raises Forbidden, Conflict when the id is taken, and BadValue naming the field."""
        who.require("platforms:edit")
        check_slug("id", platform_id)
        reason = checked_reason(reason)
        named = Platform(platform_id, checked_name(name or platform_id), ())
        if not changes.get("domains"):
            raise BadValue("domains", "is missing: the SIP servers whose lines register there")
        platform = _changed(named, changes)
        async with self._store.write() as session:
            others = await session.platforms.all()
            if len(others) >= MOST_PLATFORMS:
                raise Conflict(f"there are {MOST_PLATFORMS} platforms, and no more can be")
            _check_domains(platform, others)
            kept = await session.platforms.add(platform)
            after = _record(session, kept)
            await session.audit.add(who, "platform.added", _subject(kept), after=after, reason=reason)
        return kept

    async def edit(
        self,
        who: Actor,
        platform_id: str,
        name: str | None,
        changes: Changes,
        *,
        reason: str = "",
        revision: int | None = None,
    ) -> Platform:
        """Change what is said. Who moves a platform to another address gives its password again: it would be shown to
        whoever is there. Raises as `add`, and NotFound and Stale."""
        who.require("platforms:edit")
        reason = checked_reason(reason)
        async with self._store.write() as session:
            before = await session.platforms.get(platform_id)
            check_revision(f"platform {platform_id} was", revision, before.revision)
            named = before if name is None else replace(before, name=checked_name(name))
            after = _changed(named, changes)
            if after == before:
                return before
            _check_secrets(before, after, changes)
            _check_domains(after, await session.platforms.all())
            kept = await session.platforms.edit(after)
            old, new = _record(session, before), _record(session, kept)
            await session.audit.add(who, "platform.changed", _subject(kept), before=old, after=new, reason=reason)
        return kept

    async def remove(self, who: Actor, platform_id: str, *, reason: str = "", revision: int | None = None) -> None:
        """With what is known of who is registered there. Raises NotFound, Stale and Forbidden."""
        who.require("platforms:edit")
        reason = checked_reason(reason)
        async with self._store.write() as session:
            platform = await session.platforms.get(platform_id)
            check_revision(f"platform {platform_id} was", revision, platform.revision)
            await session.platforms.remove(platform_id)
            before = _record(session, platform)
            await session.audit.add(who, "platform.removed", _subject(platform), before=before, reason=reason)


def _changed(platform: Platform, changes: Changes) -> Platform:
    """A platform with what was written of it. Raises BadValue."""
    for name in changes:
        if name not in FIELDS:
            raise BadValue(name[:64], f"is no field of a platform; there are: {', '.join(FIELDS)}")
    fields: dict[str, Any] = {name: _text(name, changes[name]) for name in _LOGINS if name in changes}
    if "domains" in changes:
        fields["domains"] = parse_domains(_listed(changes["domains"]))
    if "address" in changes:
        fields["address"] = parse_address(_text("address", changes["address"], most=None))
    if "ca" in changes:
        fields["ca"] = _ca(changes["ca"])
    if "direct" in changes:
        given = changes["direct"]
        fields["direct"] = given if isinstance(given, bool) else switch("direct", str(given or "off"))
    if "source" in changes:
        fields["source"] = changes["source"] or "none"
    after = replace(platform, **fields)
    if after.source not in SOURCE_KINDS:
        raise BadValue("source", f"must be one of {', '.join(SOURCE_KINDS)}")
    door = _text("source_address", changes.get("source_address", platform.source_address), most=None)
    after = replace(after, source_address=parse_source_address(after.source, door))
    for name in _LOGINS:
        check_text(name, getattr(after, name), max_length=LONGEST_LOGIN)
    return check_platform(after)


def _listed(value: Any) -> Sequence[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [_text(f"domains.{number}", part) for number, part in enumerate(value or (), 1)]


def _text(name: str, value: Any, most: int | None = LONGEST_LOGIN) -> str:
    text = "" if value is None else value
    if not isinstance(text, str):
        raise BadValue(name, "must be text")
    return text.strip() if most is None else check_text(name, text, max_length=most)


def _ca(given: Any) -> str:
    """Certificates in PEM, and nothing else: it is shown to all who may see the platform. Raises BadValue."""
    text = check_text("ca", _text("ca", given, most=None).replace("\r\n", "\n"), max_length=LONGEST_CA, lines=True)
    if not text:
        return ""
    if "PRIVATE KEY" in text:
        raise BadValue("ca", "holds a private key, which belongs nowhere but where it was made")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except UNREADABLE:
        raise BadValue("ca", "must be certificates in PEM: -----BEGIN CERTIFICATE----- …") from None
    if not text.isascii():
        raise BadValue("ca", "must be ASCII; leave out what stands beside the certificates")
    assert found
    return text.rstrip("\n") + "\n"


def _check_secrets(before: Platform, after: Platform, changes: Changes) -> None:
    """Raises BadValue where a stored password would be shown to somebody else than it was given for."""
    for secret, places in _SHOWN_TO.items():
        moved = [name for name in places if getattr(before, name) != getattr(after, name)]
        if moved and getattr(after, secret) and secret not in changes:
            raise BadValue(secret, f"give it again: {moved[0]} is another, and it would be shown there")


def _check_domains(platform: Platform, others: Sequence[Platform]) -> None:
    """Raises BadValue when a SIP server is another platform's already."""
    for other in others:
        taken = [domain for domain in platform.domains if domain in other.domains]
        if taken and other.id != platform.id:
            number = platform.domains.index(taken[0]) + 1
            raise BadValue(f"domains.{number}", f"{taken[0]} is of platform {other.id} already")


def _subject(platform: Platform) -> str:
    return f"platform:{platform.id}"


def _record(session: Session, platform: Platform) -> dict[str, Any]:
    """As the audit keeps it: passwords as digests, certificates by their hash."""
    shown = {name: getattr(platform, name) for name in ("name", *FIELDS)}
    secrets = {name: session.audit.digest(shown[name]) for name in ("password", "source_password")}
    ca = hashlib.sha256(platform.ca.encode()).hexdigest() if platform.ca else ""
    return {**shown, **secrets, "ca": ca and f"sha256:{ca}", "domains": list(platform.domains)}
