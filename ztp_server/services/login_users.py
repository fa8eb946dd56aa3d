"""Which names are those of users of HTTP Digest, in memory: 8 bytes each, so that one that somebody made up costs no
query, and pushes out nothing that is remembered of phones.

It may say yes of one that is gone, never no of one that is there: each change is told in the transaction that makes it,
and heard before the next request is answered (store/changes.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from array import array
from bisect import bisect_left

from ztp_server.store import Store

# Phones whose user may be another, looked up together; with more of them all are read again.
MOST_UNSURE = 500
# Users told one by one since all were read; with more of them all are read again.
MOST_ADDED = 5000


class LoginUsers:
    def __init__(self, store: Store) -> None:
        self._store = store
        # Nobody else knows which names would be taken for one another.
        self._key = secrets.token_bytes(16)
        self._all: array[int] | None = None
        self._added: set[int] = set()
        # MACs whose user may be another by now, None: all of them.
        self._unsure: set[str] | None = None
        self._reading = asyncio.Lock()

    async def may_be(self, user: str) -> bool:
        """Whether this may be the user of a phone of ours; who is told yes looks it up. Raises StoreUnavailable while
        nobody can find out."""
        number = self._number(user)
        if self._has(number):
            return True
        if self._unsure is None or self._unsure or self._reading.locked():
            # One that comes while another reads must not overtake it.
            async with self._reading:
                await self._read()
        return self._has(number)

    def forget(self, mac: str) -> None:
        """Something of a phone's proofs is another now."""
        if self._unsure is not None:
            self._unsure.add(mac)
            self._unsure = None if len(self._unsure) > MOST_UNSURE else self._unsure

    async def _read(self) -> None:
        """All users, or those of phones that may have another by now."""
        unsure, self._unsure = self._unsure, set()
        if unsure is not None and not unsure:
            return  # Somebody else has read them meanwhile.
        found: array[int] = array("Q")
        try:
            async with self._store.read() as session:
                async for users in session.phone_proofs.digest_users(unsure):
                    found.extend(map(self._number, users))
        except BaseException:
            self._unsure = None if unsure is None or self._unsure is None else unsure | self._unsure
            raise
        if unsure is None:
            self._all, self._added = array("Q", sorted(found)), set()
            return
        self._added.update(found)
        if len(self._added) > MOST_ADDED:
            self._unsure = None

    def _has(self, number: int) -> bool:
        known = self._all
        if known is None:
            return False
        at = bisect_left(known, number)
        return number in self._added or (at < len(known) and known[at] == number)

    def _number(self, user: str) -> int:
        return int.from_bytes(hashlib.blake2b(user.encode(), digest_size=8, key=self._key).digest())
