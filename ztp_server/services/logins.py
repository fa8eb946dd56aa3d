"""Logging in and out: from an account and its password to a token for some hours."""

from __future__ import annotations

import time

from ztp_server.domain.access import Actor
from ztp_server.domain.account import Token
from ztp_server.errors import LoginRefused
from ztp_server.services.login_limits import LoginLimits
from ztp_server.services.passwords import Passwords
from ztp_server.services.tokens import open_session
from ztp_server.store import Store

_REFUSAL = "wrong account or password"


class Logins:
    def __init__(self, store: Store, passwords: Passwords) -> None:
        self._store = store
        self._passwords = passwords
        self._limits = LoginLimits()

    async def login(self, account: str, password: str, address: str) -> tuple[str, Token]:
        """A token of the account, and its text, which nobody can show again. Raises LoginRefused: the same, and after
        as long, for an account that is unknown or disabled; and TooMany."""
        hashed = await self.check(account, password, address)
        async with self._store.write() as session:
            found = await session.accounts.find(account)
            # It takes a while to check a password, and meanwhile it may have become the old one.
            if found is None or not found.enabled or await session.accounts.password(account) != hashed:
                raise LoginRefused(_REFUSAL)
            text, token = await open_session(session, account)
            who = Actor(token.actor, (), address)
            await session.audit.add(who, "account.logged_in", token.actor)
        return text, token

    async def check(self, account: str, password: str, address: str) -> str:
        """See that a password is that of an enabled account; returns what it was checked against. Raises LoginRefused
        and TooMany."""
        reached = self._limits.begin(account, address, time.monotonic())
        async with self._store.read() as session:
            found = await session.accounts.find(account)
            hashed = await session.accounts.password(account)
        fits = await self._passwords.fits(password, hashed)
        if fits and hashed and found is not None and found.enabled:
            self._limits.succeeded(account, address)
            return hashed
        if reached:
            # What was typed is not repeated unless it is an account: people type passwords in the wrong place.
            await self._note(f"account:{account}" if found else "account", address)
        raise LoginRefused(_REFUSAL)

    async def logout(self, who: Actor) -> None:
        """End the session of the one who asks; a program's token stays until it is revoked."""
        async with self._store.write() as session:
            held = await session.tokens.held(who.token)
            if held is None or held.token.kind != "session":
                return
            await session.tokens.remove(who.token)
            await session.audit.add(who, "account.logged_out", held.token.actor)

    async def _note(self, subject: str, address: str) -> None:
        """One record for a burst of failures."""
        async with self._store.write() as session:
            await session.audit.add(Actor("nobody", (), address), "login.failed", subject, reason="too many in a row")
