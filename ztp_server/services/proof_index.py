"""Whose a token or a Digest user is, and for whom a window is open: asked before any phone is looked up, so that who
shows nothing of ours learns nothing, not even by the time it takes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from ztp_server.domain.phone import Phone
from ztp_server.domain.proof import PhoneProofs, token_hash
from ztp_server.errors import Damaged, StoreUnavailable
from ztp_server.services.login_users import LoginUsers
from ztp_server.store import Session, Store

# Tokens and users remembered, with those that are nobody's any more: two for each phone remembered.
REMEMBERED = 8192
# Windows that may have changed, looked at together; with more of them all windows are read again.
MOST_UNSURE = 500
# All windows are read again so often, to forget those that are over.
READ_AGAIN = timedelta(hours=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


async def read_proofs(session: Session, phone: Phone) -> tuple[PhoneProofs, str]:
    """What a phone alone can prove itself with, and its steady token. A password that does not open is empty, and
    leaves the other proofs."""
    try:
        found = await session.phone_proofs.of_phone(phone.id)
    except Damaged:
        found = await session.phone_proofs.of_phone(phone.id, with_password=False)
    return found, session.phone_proofs.token(found.steady) if found.steady else ""


class ProofIndex:
    """Remembers what the store said until it is told to forget it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._users = LoginUsers(store)
        self._shown_by: dict[str, set[str]] = {}
        self._told = 0
        self._windows: dict[str, datetime] | None = None
        # MACs whose windows may be others by now, None: all of them may.
        self._unsure: set[str] | None = None
        self._all_read_at = _LONG_AGO
        self._reading = asyncio.Lock()

    async def owner_of_token(self, token: str) -> str:
        """The MAC of the phone whose token that is, empty when it is nobody's. One that was never made here does not
        reach the database. Raises StoreUnavailable."""
        if not self._store.is_phone_token(token):
            return ""
        hashed = token_hash(token)
        return await self._owner(f"token {hashed}", lambda session: session.phone_proofs.owner_of_token(hashed))

    async def owner_of_user(self, user: str) -> str:
        """The MAC of the phone that proves itself with this Digest user, empty when it is nobody's. One that somebody
        made up is neither asked for nor remembered. Raises StoreUnavailable."""
        key = f"user {user}"
        if key not in self._owners and not await self._users.may_be(user):
            return ""
        return await self._owner(key, lambda session: session.phone_proofs.owner_of_digest_user(user))

    async def has_window(self, mac: str, now: datetime) -> bool:
        """Whether a window is open for this MAC. What it takes to find out does not depend on the MAC. Raises
        StoreUnavailable."""
        if now - self._all_read_at > READ_AGAIN:
            self._unsure = None
        if self._unsure is None or self._unsure or self._reading.locked():
            # One that comes while another reads must not overtake it, and miss the window that was just opened.
            async with self._reading:
                await self._read_windows(now)
        return (self._windows or {}).get(mac, _LONG_AGO) > now

    def forget(self, mac: str) -> None:
        """Something of a phone's proofs is another now."""
        self._told += 1
        self._users.forget(mac)
        for key in self._shown_by.pop(mac, ()):
            self._owners.pop(key, None)
        # A token that is nobody's may be somebody's by now.
        for key in self._shown_by.pop("", ()):
            self._owners.pop(key, None)
        if self._unsure is not None:
            self._unsure.add(mac)
            self._unsure = None if len(self._unsure) > MOST_UNSURE else self._unsure

    async def _owner(self, key: str, ask: Callable[[Session], Awaitable[str]]) -> str:
        owner = self._owners.get(key)
        if owner is not None:
            self._owners.move_to_end(key)
            return owner
        told = self._told
        async with self._store.read() as session:
            owner = await ask(session)
        if told == self._told:  # else somebody said "forget" meanwhile, and it may be of before that
            self._remember(key, owner)
        return owner

    def _remember(self, key: str, owner: str) -> None:
        self._owners[key] = owner
        self._shown_by.setdefault(owner, set()).add(key)
        if len(self._owners) <= REMEMBERED:
            return
        oldest, whose = self._owners.popitem(last=False)
        left = self._shown_by[whose]
        left.discard(oldest)
        if not left:
            del self._shown_by[whose]

    async def _read_windows(self, now: datetime) -> None:
        """All windows, or those that may be others by now; when that fails, those of better days stay."""
        unsure, self._unsure = self._unsure, set()
        if unsure is not None and not unsure:
            return  # Somebody else has read them meanwhile.
        until: dict[str, datetime] = {}
        try:
            async with self._store.read() as session:
                async for found in session.phone_proofs.open_windows(now, unsure):
                    until |= found
        except BaseException as error:
            self._unsure = None if unsure is None or self._unsure is None else unsure | self._unsure
            if self._windows is None or not isinstance(error, StoreUnavailable):
                raise
            return
        if unsure is None or self._windows is None:
            self._windows, self._all_read_at = until, now
            return
        for mac in unsure:
            self._windows.pop(mac, None)
        self._windows |= until
