"""Passwords of accounts: the rules, and Argon2id."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Callable

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ztp_server.domain.text import check_text, forbidden_character
from ztp_server.errors import BadValue, TooMany

SHORTEST, LONGEST = 12, 1024
# RFC 9106, section 4, the choice for little memory: 64 MiB, in KiB. One lane, not four: with several, two at once wait
# for each other for ever in the threads of OpenSSL.
_MEMORY, _ITERATIONS, _LANES = 65_536, 3, 1
# Each takes 64 MiB and a tenth of a second or more: so many at a time, and so many who wait.
_AT_ONCE, _MOST_WAITING = 2, 32
# What a password is checked against where there is no account, so that the answer takes as long.
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def checked_password(password: str, *names: str) -> str:
    """A password that may be set. Raises BadValue, which does not repeat it. What it is made of is left to its owner:
    length is what counts."""
    check_text("password", password, max_length=LONGEST)
    if len(password) < SHORTEST:
        raise BadValue("password", f"{len(password)} characters, at least {SHORTEST}")
    if password.casefold().strip() in {name.casefold().strip() for name in names}:
        raise BadValue("password", "is the name of the account")
    return password


class Passwords:
    """Hashes and checks, in threads, a few at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A password as it is kept. Raises TooMany."""
        return await self._run(_hash, password, "")

    async def fits(self, password: str, hashed: str | None) -> bool:
        """Whether it is the one that was hashed; takes as long where there is none. Raises TooMany."""
        possible = len(password) <= LONGEST and forbidden_character(password) is None
        fits = await self._run(_fits, password if possible else "", hashed or _NOBODYS)
        return bool(fits) and possible and hashed is not None

    async def _run(self, work: Callable[[bytes, str], str], password: str, hashed: str) -> str:
        if self._waiting >= _MOST_WAITING:
            raise TooMany("too many log in at once", 5)
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(work, _spelled(password), hashed)
        finally:
            self._waiting -= 1


def _hash(password: bytes, _hashed: str) -> str:
    argon = Argon2id(salt=os.urandom(16), length=32, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY)
    return argon.derive_phc_encoded(password)


def _fits(password: bytes, hashed: str) -> str:
    try:
        Argon2id.verify_phc_encoded(password, hashed)
    except InvalidKey:
        return ""
    return hashed


def _spelled(password: str) -> bytes:
    """One spelling of the same letters, whatever keyboard they come from (RFC 8265, section 4)."""
    return unicodedata.normalize("NFC", password).encode()
