"""Logging in and out: from an account and its password to a token for some hours."""

from __future__ import annotations

import asyncio
import time

import structlog

from ztp_server.domain.access import Actor
from ztp_server.domain.account import Token
from ztp_server.errors import LoginRefused, StoreUnavailable, TooMany
from ztp_server.services.failed_logins import FailedLogins
from ztp_server.services.login_limits import LoginLimits
from ztp_server.services.passwords import Passwords
from ztp_server.services.tokens import open_session
from ztp_server.store import Session, Store

REFUSAL = "wrong account or password"
_LOGGED_IN = "account.logged_in"
# Of the audit, at the start: from where people log in.
_MOST_KNOWN = 1000
_WRITE_SECONDS = 60.0

log = structlog.get_logger()


class Logins:
    def __init__(self, store: Store, passwords: Passwords) -> None:
        self._store = store
        self._passwords = passwords
        self._limits = LoginLimits()
        self.failures = FailedLogins()

    async def login(self, account: str, password: str, address: str) -> tuple[str, Token]:
        """A token of the account, and its text, which nobody can show again. Raises LoginRefused: the same, and after
        as long, for an account that is unknown or disabled; and TooMany."""
        hashed = await self.check(account, password, address)
        async with self._store.write() as session:
            found = await session.accounts.find(account)
            # It takes a while to check a password, and meanwhile it may have become the old one.
            if found is None or not found.enabled or await session.accounts.password(account) != hashed:
                raise LoginRefused(REFUSAL)
            return await enter(session, account, address)

    async def check(self, account: str, password: str, address: str) -> str:
        """See that a password is that of an enabled account; returns what it was checked against. Raises LoginRefused
        and TooMany."""
        try:
            self._limits.begin(account, address, time.monotonic())
        except TooMany:
            self.failures.turned_away()
            raise
        async with self._store.read() as session:
            found = await session.accounts.find(account)
            hashed = await session.accounts.password(account)
        fits = await self._passwords.fits(password, hashed)
        if fits and hashed and found is not None and found.enabled:
            self._limits.succeeded(account, address)
            return hashed
        self.failures.failed(f"account:{account}" if found else "account", address)
        raise LoginRefused(REFUSAL)

    async def session(self, who: Actor) -> Token | None:
        """The session of the one who asks; None for a program."""
        async with self._store.read() as session:
            held = await session.tokens.held(who.token)
        return held.token if held and held.token.kind == "session" else None

    async def logout(self, who: Actor) -> None:
        """End the session of the one who asks; a program's token stays until it is revoked."""
        async with self._store.write() as session:
            held = await session.tokens.held(who.token)
            if held is None or held.token.kind != "session":
                return
            await session.tokens.remove(who.token)
            await session.audit.add(who, "account.logged_out", held.token.actor)

    async def note_failures(self) -> None:
        """Write down what failed since the last time."""
        found = self.failures.take()
        try:
            if found:
                async with self._store.write() as session:
                    for who, entry in found:
                        await session.audit.add_all(who, [entry])
        except StoreUnavailable as error:
            log.warning("logins.not_written", reason=str(error), records=len(found))

    async def run(self) -> None:
        """Note failures once a minute, for ever; cancelled at the end, which notes once more."""
        await self._recall()
        try:
            while True:
                await asyncio.sleep(_WRITE_SECONDS)
                await self.note_failures()
        finally:
            await self.note_failures()

    async def _recall(self) -> None:
        """From where people logged in before the server was started again."""
        try:
            async with self._store.read() as session:
                records = await session.audit.page(below=None, limit=_MOST_KNOWN, action=_LOGGED_IN)
        except StoreUnavailable as error:
            log.warning("logins.not_read", reason=str(error))
            return
        for record in reversed(records):
            self._limits.known(record.subject.removeprefix("account:"), record.address)


async def enter(session: Session, account: str, address: str, reason: str = "") -> tuple[str, Token]:
    """Open a session of an account that has shown who it is, and write that down."""
    text, token = await open_session(session, account)
    await session.audit.add(Actor(token.actor, (), address), _LOGGED_IN, token.actor, reason=reason)
    return text, token
