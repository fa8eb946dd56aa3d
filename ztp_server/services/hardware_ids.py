"""Which MACs are those of phones of ours, in memory: 8 bytes each, so that one that is not costs no query.

It may say yes of a phone that is gone, never no of one that is there: each change of a phone is told in the transaction
that makes it, and heard before the next request is answered (store/changes.py).
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left

from ztp_server.store import Store

# More of them at once, as after an import, and all are read again.
MOST_UNSURE = 5000
_MAC = re.compile("[0-9a-f]{12}")


class HardwareIds:
    """Read when first asked; then only what changed is told apart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._macs: array[int] | None = None
        self._unsure: set[str] = set()
        self._is_reading = False

    async def may_be(self, mac: str) -> bool:
        """Whether a MAC may be a phone's of ours; who is told yes looks it up. Raises StoreUnavailable while nobody can
        find out."""
        macs = self._macs
        if macs is None:
            # Who comes while another reads is not kept waiting: there is a query to be asked instead.
            if self._is_reading:
                return True
            macs = await self._read()
        return _is_in(macs, mac) or mac in self._unsure

    def forget(self, hardware_id: str) -> None:
        """A phone has or had this hardware ID, and was changed."""
        if not _MAC.fullmatch(hardware_id) or (self._macs is not None and _is_in(self._macs, hardware_id)):
            return
        self._unsure.add(hardware_id)
        if len(self._unsure) > MOST_UNSURE:
            self._macs = None

    async def _read(self) -> array[int]:
        self._is_reading = True
        # What is told from now on may be missing in what is read.
        before, self._unsure = self._unsure, set()
        macs: array[int] = array("Q")
        try:
            async with self._store.read() as session:
                async for found in session.phones.hardware_ids():
                    macs.extend(int(one, 16) for one in found if _MAC.fullmatch(one))
        except BaseException:
            self._unsure |= before
            raise
        finally:
            self._is_reading = False
        # In the order of the text, which the database may not share.
        self._macs = array("Q", sorted(macs))
        return self._macs


def _is_in(macs: array[int], mac: str) -> bool:
    number = int(mac, 16)
    at = bisect_left(macs, number)
    return at < len(macs) and macs[at] == number
