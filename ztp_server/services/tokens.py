"""Tokens: what a request shows instead of a login."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from ztp_server.domain.access import Actor
from ztp_server.domain.account import RoleGrant, Token, TokenKind
from ztp_server.domain.site import check_slug
from ztp_server.errors import BadValue, Conflict, StoreUnavailable
from ztp_server.services.role_grants import amount, checked_grants, require_all
from ztp_server.store import Session, Store

YEAR = timedelta(days=365)
SESSION = timedelta(hours=8)
# A session that nobody uses ends sooner. When it was used is noted once a minute, so no request writes for it.
IDLE = timedelta(minutes=60)
FIRST = timedelta(hours=24)
_MOST_SESSIONS = 50
_NOTE_SECONDS = 60.0
_DURATION = re.compile(r"([0-9]{1,5})([hdwy])|never")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": YEAR}
_SHAPE = re.compile(r"ztp_([0-9a-f]{16})_[0-9a-f]{64}")

log = structlog.get_logger()


class Tokens:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._used: dict[str, datetime] = {}

    async def authenticate(self, token: str, address: str) -> Actor | None:
        """Who shows this token, with what they may do now; None when it is not, or no longer, good. One query, so that
        what was revoked a moment ago is good nowhere. Raises StoreUnavailable."""
        shape = _SHAPE.fullmatch(token)
        if shape is None:
            return None
        async with self._store.read() as session:
            held = await session.tokens.held(shape[1])
        now = datetime.now(UTC)
        if not hmac.compare_digest(held.hash if held else "", hash_of(token)) or held is None:
            return None
        found = held.token
        if found.kind == "first" or (found.expires_at is not None and found.expires_at <= now):
            return None
        if found.kind == "session" and now - self._last_used(found) > IDLE:
            return None
        self._used[found.id] = now
        return Actor(found.actor, held.grants, address, found.id)

    async def create(
        self, who: Actor, name: str, roles: Sequence[RoleGrant], expires: timedelta | None = YEAR
    ) -> tuple[str, Token]:
        """A token for a program, and its text, which nobody can show again. None never expires. Raises BadValue,
        Conflict when a token has that name, and Forbidden when it could do more than the one who asks."""
        who.require("accounts:edit")
        check_slug("name", name)
        if not roles:
            raise BadValue("roles", "a token without a role could do nothing")
        now = datetime.now(UTC)
        expires_at = None if expires is None else _later(now, expires)
        async with self._store.write() as session:
            given = await checked_grants(session, who, roles)
            await self._free_name(session, name, now)
            text, token = new_token("api", name, who.name, expires_at)
            token = replace(token, roles=given)
            await session.tokens.add(token, hash_of(text))
            await session.idempotency.forget_all(token.actor)
            await session.audit.add(who, "token.added", f"token:{name}", after=_record(token))
        return text, token

    async def page(self, who: Actor, after: str = "", limit: int = 100) -> tuple[list[Token], bool]:
        """Tokens of programs by id, beyond one. Whether there are more."""
        who.require("accounts:view")
        async with self._store.read() as session:
            found = await session.tokens.page(after, limit + 1)
        return found[:limit], len(found) > limit

    async def get(self, who: Actor, token_id: str) -> Token:
        """A program's token by id or name. Raises NotFound."""
        who.require("accounts:view")
        async with self._store.read() as session:
            return await session.tokens.named(token_id) or await session.tokens.get(token_id)

    async def revoke(self, who: Actor, token_id: str) -> Token:
        """End a program's token, by id or name, at once. Raises NotFound, and Forbidden for one that may do more."""
        who.require("accounts:edit")
        async with self._store.write() as session:
            token = await session.tokens.named(token_id) or await session.tokens.get(token_id)
            require_all(who, await amount(session, token.roles))
            await session.tokens.remove(token.id)
            await session.audit.add(who, "token.revoked", f"token:{token.name}", before=_record(token))
        return token

    async def new_first(self) -> str:
        """The text of a token that makes the first account, instead of the one before; empty if there is one."""
        async with self._store.read() as session:
            if await session.accounts.any():
                return ""
        async with self._store.write() as session:
            if await session.accounts.any():
                return ""
            await session.tokens.forget_first()
            text, token = new_token("first", "first", "server", datetime.now(UTC) + FIRST)
            await session.tokens.add(token, hash_of(text))
        return text

    async def note_uses(self) -> None:
        """Write down when tokens were last used, and forget sessions that are over."""
        used = dict(self._used)
        try:
            async with self._store.write() as session:
                await session.tokens.note_use(used)
                await session.tokens.forget_expired(datetime.now(UTC))
        except StoreUnavailable as error:
            log.warning("tokens.not_written", reason=str(error))
            return
        for token_id, at in used.items():
            if self._used[token_id] == at:
                del self._used[token_id]

    async def run(self) -> None:
        """Note uses once a minute, for ever; cancelled at the end, which notes once more."""
        try:
            while True:
                await asyncio.sleep(_NOTE_SECONDS)
                await self.note_uses()
        finally:
            await self.note_uses()

    def _last_used(self, token: Token) -> datetime:
        """By what is written down, and what is not yet."""
        noted = token.last_used_at or token.created_at
        return max(noted, self._used.get(token.id, noted))

    async def _free_name(self, session: Session, name: str, now: datetime) -> None:
        """A name tells whose a record of the audit is, so only one token has it; an expired one makes room."""
        known = await session.tokens.named(name)
        if known and (known.expires_at is None or known.expires_at > now):
            raise Conflict(f"token {name} exists already; revoke it first, or take another name")
        if known:
            await session.tokens.remove(known.id)


async def open_session(session: Session, account: str) -> tuple[str, Token]:
    """A token of a person who has just logged in, and its text. Of too many the oldest ends."""
    text, token = new_token("session", "", f"account:{account}", datetime.now(UTC) + SESSION, account)
    await session.tokens.end_sessions(account, but_newest=_MOST_SESSIONS - 1)
    await session.tokens.add(token, hash_of(text))
    return text, token


def new_token(
    kind: TokenKind, name: str, created_by: str, expires_at: datetime | None, account: str = ""
) -> tuple[str, Token]:
    """A token that is stored nowhere yet, and its text: 256 bits that nobody can guess."""
    token_id = secrets.token_hex(8)
    token = Token(token_id, name, kind, created_by, datetime.now(UTC), account, expires_at=expires_at)
    return f"ztp_{token_id}_{secrets.token_hex(32)}", token


def hash_of(text: str) -> str:
    """What is stored of a token. No slow hash is needed: there is nothing to guess."""
    return hashlib.sha256(text.encode()).hexdigest()


def parse_expiry(text: str) -> timedelta | None:
    """`12h`, `90d`, `6w`, `1y`, or `never` (None). Raises BadValue."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise BadValue("expires", "must be like 12h, 90d, 6w, 1y, or never")
    return int(found[1]) * _UNITS[found[2]] if found[1] else None


def _later(now: datetime, expires: timedelta) -> datetime:
    if expires <= timedelta(0):
        raise BadValue("expires", "must lie in the future")
    try:
        return now + expires
    except OverflowError:
        raise BadValue("expires", "is too far away; a token may also never expire") from None


def _record(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "roles": [str(role) for role in token.roles],
        "expires_at": token.expires_at.isoformat() if token.expires_at else "never",
        "created_by": token.created_by,
    }
