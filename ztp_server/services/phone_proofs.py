"""What phones prove themselves with, as far as administrators make it: tokens, windows, Digest; and blocking one."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Phone
from ztp_server.domain.proof import DigestCredential, PhoneProofs, TokenKind, token_path
from ztp_server.domain.site import Site
from ztp_server.errors import BadValue, Conflict, NotFound
from ztp_server.services.address import ServerAddress
from ztp_server.services.edits import checked_reason
from ztp_server.services.lasting_proof import (
    LET_IN,
    TOKEN_LISTENERS,
    LastingProof,
    lasting_proof,
    require_proof,
    takes_tokens,
)
from ztp_server.services.phone_checks import seen_running
from ztp_server.services.reveals import note_reveal
from ztp_server.services.templates import Templates
from ztp_server.services.windows import Opened, Windows, checked_minutes, fresh_token, steady_for, token_made
from ztp_server.store import Session, Store

WINDOW_MINUTES = 60
TOKEN_KINDS: tuple[TokenKind, ...] = ("bootstrap", "steady")
_LETTERS = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 24
# Printable ASCII without what quotes or separates in the header (RFC 7616, 3.4; RFC 7617, 2: no colon).
_USER = re.compile(r"[!#-9;-\[\]-~]{1,64}")
_PASSWORD = re.compile(r"[!-~]{8,128}")
_STILL_HOLDS = (
    "the phone still holds the login that this one replaces, which is no proof any more: "
    "until it has a new file, it needs another one (a window, say)"
)


@dataclass(frozen=True, slots=True)
class ShownProofs:
    """What a phone can prove itself with, without any secret. `afterwards` says how it will when no window is open."""

    phone: Phone
    site: Site
    has: PhoneProofs
    afterwards: LastingProof


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token just made, shown this once. `addresses` are whole addresses to give to a phone, the better one first."""

    kind: TokenKind
    token: str = field(repr=False)
    addresses: Sequence[str] = field(repr=False)
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class MadeDigest:
    """User and password for HTTP Digest, shown this once."""

    user: str
    password: str = field(repr=False)
    warnings: Sequence[str] = field(default=(), compare=False)


class PhoneProofsService:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._address = address

    async def show(self, who: Actor, text: str) -> ShownProofs:
        """The proofs of a phone by its id or hardware ID. Raises BadValue, and NotFound, also for a phone that is given
        no files; so does everything below."""
        async with self._store.read() as session:
            phone, site, running = await _place(session, who, text)
            base = await session.base_settings.get(phone.base_settings)
            has = await session.phone_proofs.of_phone(phone.id, with_password=False)
        if has.window and has.window.until <= datetime.now(UTC):
            has = replace(has, window=None)
        afterwards = lasting_proof(self._templates.catalog, self._address, phone, site, base, has, running)
        return ShownProofs(phone, site, has, afterwards)

    async def new_token(self, who: Actor, text: str, kind: str = "bootstrap", reason: str = "") -> MadeToken:
        """Make a token instead of the phone's earlier one of that kind. With a bootstrap token goes a steady one, if
        the phone will need it. Raises Forbidden, BadValue when tokens do not count, and Conflict when no listener would
        serve one."""
        made = _kind(kind)
        reason = checked_reason(reason)
        async with self._store.write() as session:
            phone, site, running = await _allowed(session, who, text)
            require_proof(phone, site, "token")
            if not takes_tokens(self._address, site):
                raise Conflict(_no_listener(self._address, site))
            has = await session.phone_proofs.of_phone(phone.id, with_password=False)
            token, shown = fresh_token(session, who, phone, made)
            await session.phone_proofs.put_token(token)
            entries = [token_made(phone, made, reason)]
            catalog = self._templates.catalog
            base = await session.base_settings.get(phone.base_settings)
            steady = steady_for(session, catalog, self._address, who, phone, site, base, has, running)
            if made == "bootstrap" and steady:
                await session.phone_proofs.put_token(steady)
                entries.append(token_made(phone, "steady", reason))
            await session.audit.add_all(who, entries)
        return MadeToken(made, shown, self._addresses(site, shown), self._warnings(made, site, has))

    async def remove_token(self, who: Actor, text: str, kind: str, reason: str = "") -> None:
        """From now on it proves nothing. Raises NotFound when there is none."""
        gone = _kind(kind)
        reason = checked_reason(reason)
        async with self._store.write() as session:
            phone, _, _ = await _allowed(session, who, text)
            if not await session.phone_proofs.remove_token(phone.id, gone):
                raise NotFound(f"phone {phone.hardware_id} has no {gone} token")
            was = {"kind": gone}
            await session.audit.add(who, "phone_token.removed", phone.hardware_id, before=was, reason=reason)

    async def open_window(self, who: Actor, text: str, minutes: int = WINDOW_MINUTES, reason: str = "") -> Opened:
        """Believe the first who asks in the phone's name, until it proves itself otherwise or the time is over. Raises
        Forbidden, and BadValue when windows do not count."""
        checked_minutes(minutes)
        reason = checked_reason(reason)
        async with self._store.write() as session:
            phone, site, running = await _allowed(session, who, text)
            windows = Windows(session, self._templates.catalog, self._address, who, minutes, reason)
            return await windows.open(phone, site, running)

    async def close_window(self, who: Actor, text: str, reason: str = "") -> None:
        """Raises NotFound when none is open."""
        reason = checked_reason(reason)
        async with self._store.write() as session:
            phone, _, _ = await _allowed(session, who, text)
            has = await session.phone_proofs.of_phone(phone.id, with_password=False)
            await session.phone_proofs.close_window(phone.id)
            if has.window is None or has.window.until <= datetime.now(UTC):
                raise NotFound(f"no window is open for phone {phone.hardware_id}")
            was = {"until": has.window.until.isoformat(), "address": has.window.address}
            await session.audit.add(who, "window.closed", phone.hardware_id, before=was, reason=reason)

    async def set_digest(
        self, who: Actor, text: str, user: str = "", password: str = "", reason: str = ""
    ) -> MadeDigest:
        """Give a phone a user (left out: its MAC) and a password (left out: one is made) instead of those it had.
        Raises Forbidden, Conflict when another phone has that user, and BadValue naming the field."""
        reason = checked_reason(reason)
        password = password or "".join(secrets.choice(_LETTERS) for _ in range(_PASSWORD_LENGTH))
        if not _PASSWORD.fullmatch(password):
            raise BadValue("password", "must be 8 to 128 printable ASCII characters, without spaces")
        async with self._store.write() as session:
            phone, site, _ = await _allowed(session, who, text)
            require_proof(phone, site, "digest")
            user = user or phone.hardware_id
            if not _USER.fullmatch(user):
                raise BadValue("user", 'must be 1 to 64 printable ASCII characters, without spaces and " : \\')
            has = await session.phone_proofs.of_phone(phone.id, with_password=False)
            made = DigestCredential(phone.id, user, password, who.name[:255], datetime.now(UTC))
            await session.phone_proofs.put_digest(made)
            was = {"user": has.digest.user} if has.digest else {}
            now = {"user": user, "password": session.audit.digest(password)}
            await session.audit.add(who, "digest.set", phone.hardware_id, before=was, after=now, reason=reason)
        return MadeDigest(user, password, [_STILL_HOLDS] if has.digest else [])

    async def reveal_digest(self, who: Actor, text: str, reason: str) -> MadeDigest:
        """User and password once more, which takes a permission and a reason, and is written down. Raises Forbidden,
        NotFound when there are none, and Damaged."""
        async with self._store.write() as session:
            phone, _, _ = await _place(session, who, text)
            who.require("phones:reveal", phone.site)
            reason = checked_reason(reason, needed=True)
            has = await session.phone_proofs.of_phone(phone.id)
            if has.digest is None:
                raise NotFound(f"phone {phone.hardware_id} has no Digest credential")
            shown = {"digest": has.digest.user}
            await note_reveal(session, who, "phone.revealed", phone.hardware_id, after=shown, reason=reason)
        return MadeDigest(has.digest.user, has.digest.password)

    async def remove_digest(self, who: Actor, text: str, reason: str = "") -> None:
        """Raises NotFound when there is none."""
        reason = checked_reason(reason)
        async with self._store.write() as session:
            phone, _, _ = await _allowed(session, who, text)
            has = await session.phone_proofs.of_phone(phone.id, with_password=False)
            if has.digest is None:
                raise NotFound(f"phone {phone.hardware_id} has no Digest credential")
            await session.phone_proofs.remove_digest(phone.id)
            gone = {"user": has.digest.user}
            await session.audit.add(who, "digest.removed", phone.hardware_id, before=gone, reason=reason)

    async def block(self, who: Actor, text: str, reason: str = "") -> Phone:
        """Give a phone nothing any more, whatever it shows: no proof counts, and its tokens, window and Digest
        credential are gone. Its record may be damaged. Raises Forbidden: it takes the permission to edit a phone."""
        return await self._count(who, text, (), "phone.blocked", reason)

    async def unblock(self, who: Actor, text: str, reason: str = "") -> Phone:
        """Let the proofs of its site count again for a phone that was blocked; what it had is not given back."""
        return await self._count(who, text, None, "phone.unblocked", reason)

    async def _count(self, who: Actor, text: str, proofs: tuple[str, ...] | None, action: str, reason: str) -> Phone:
        reason = checked_reason(reason)
        async with self._store.write() as session:
            phone, _, _ = await _place(session, who, text)
            who.require("phones:edit", phone.site)
            if phone.proofs == proofs or (proofs is None and phone.proofs != ()):
                return phone
            await session.phone_proofs.count(phone, proofs)
            after = replace(phone, proofs=proofs, revision=phone.revision + 1)
            records = {"before": _proofs_record(phone), "after": _proofs_record(after)}
            await session.audit.add(who, action, phone.hardware_id, **records, reason=reason)
            return after

    def _addresses(self, site: Site, token: str) -> list[str]:
        """A phone without our CA gets nowhere with HTTPS, unless the certificate is by a CA that everybody knows."""
        server = self._address.server
        kinds = [kind for kind in TOKEN_LISTENERS if kind in server.urls and (kind != "http" or site.plain_secrets)]
        if server.ca:
            kinds.reverse()
        return [server.urls[kind] + token_path(token) for kind in kinds]

    def _warnings(self, kind: TokenKind, site: Site, had: PhoneProofs) -> list[str]:
        warnings = []
        if kind == "steady" and had.steady and had.steady.first_used_at:
            warnings.append(
                "the phone still asks with the token that this one replaces, which is no proof any more: "
                "until it has a new file, it needs another one (a window, say)"
            )
        if self._address.server.ca and not site.plain_secrets:
            warnings.append(
                "the server's certificate is by its own CA, and plain HTTP gives no secrets at this site: "
                "the phone must trust that CA already"
            )
        return warnings


def _kind(text: str) -> TokenKind:
    found = next((kind for kind in TOKEN_KINDS if kind == text), None)
    if found is None:
        raise BadValue("kind", f"must be one of {', '.join(TOKEN_KINDS)}")
    return found


def _proofs_record(phone: Phone) -> dict[str, list[str]]:
    return {} if phone.proofs is None else {"proofs": list(phone.proofs)}


async def _place(session: Session, who: Actor, text: str) -> tuple[Phone, Site, str]:
    """A managed phone with its site and the firmware it last said it runs."""
    phone, running = await seen_running(session, who, text)
    if phone.category != "managed":
        raise NotFound(f"phone {phone.hardware_id or phone.id} is {phone.category}: it is given no files")
    return phone, await session.sites.get(phone.site), running


async def _allowed(session: Session, who: Actor, text: str) -> tuple[Phone, Site, str]:
    """As `_place`, for who may let phones in. Raises Forbidden."""
    found = await _place(session, who, text)
    who.require(LET_IN, found[0].site)
    return found


def _no_listener(address: ServerAddress, site: Site) -> str:
    if "http" in address.server.urls:
        return f"no listener takes a token: --phone-https is off, and plain HTTP gives no secrets at site {site.id}"
    return "no listener takes a token: --phone-https and --phone-http are off"
