"""Phones read for those who ask: all that wait at the same time in one transaction. After a power cut every phone asks
within seconds, and each transaction costs as much as a phone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.proof import PhoneProofs
from ztp_server.errors import StoreUnavailable
from ztp_server.services.own_files import NO_PROOFS
from ztp_server.services.proof_index import read_proofs
from ztp_server.store import Session, Store

# Each phone is unsealed, and those that ask meanwhile wait no longer than for so many.
MOST_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Read:
    """A phone, the firmware it last said it runs, what it alone can prove itself with, the token in its files, and the
    lines of the user it borrows from."""

    phone: Phone
    running: str
    proofs: PhoneProofs
    steady_token: str = field(repr=False)
    user_lines: tuple[Line, ...] = ()


class PhoneReads:
    """Reads one batch after another; what is asked for while one is read comes with the next, so that nobody gets what
    was read before he asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, asyncio.Future[Read | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def find(self, mac: str) -> Read | None:
        """The managed phone of this MAC. Raises StoreUnavailable."""
        found = self._waiting.get(mac)
        if found is None:
            found = self._waiting[mac] = asyncio.get_running_loop().create_future()
            # Whoever asked may have hung up by then.
            found.add_done_callback(lambda future: future.cancelled() or future.exception())
        if self._task is None:
            self._task = asyncio.create_task(self._read_all())
        return await asyncio.shield(found)

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                macs = list(self._waiting)[:MOST_AT_ONCE]
                await self._settle({mac: self._waiting.pop(mac) for mac in macs})
        finally:
            self._task = None

    async def _settle(self, asked: dict[str, asyncio.Future[Read | None]]) -> None:
        try:
            async with self._store.read() as session:
                found = await _read(session, list(asked))
            for mac, future in asked.items():
                future.set_result(found.get(mac))
        except asyncio.CancelledError:
            for future in asked.values():
                future.cancel()
            raise
        except Exception as error:
            if len(asked) == 1 or isinstance(error, StoreUnavailable):
                for future in asked.values():
                    future.set_exception(error)
                return
            # What is wrong with one row is no reason to leave the others without their files.
            for mac, future in asked.items():
                await self._settle({mac: future})


async def _read(session: Session, macs: list[str]) -> dict[str, Read]:
    found = await session.phones.find_running(macs)
    lines = await session.users.lines_of({phone.borrows_from for phone, _, _ in found.values()} - {""})
    return {
        mac: Read(
            *(phone, running, *(await read_proofs(session, phone) if has_proofs else (NO_PROOFS, ""))),
            lines.get(phone.borrows_from, ()),
        )
        for mac, (phone, running, has_proofs) in found.items()
    }
