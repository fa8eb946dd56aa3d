"""The keys of secrets at rest: shown, made anew and changed while servers run."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.errors import Misconfigured
from ztp_server.store import Store
from ztp_server.store.key_file import KEY_BYTES, KeyFile, wrap
from ztp_server.store.sealed_values import SEALED, SealedColumn

PERMISSION = "server:maintain"
# The id of the key to which a rotation that has not ended goes over.
ROTATION = "key rotation"


@dataclass(frozen=True)
class KeyUse:
    """A data key: how many values it seals, and whether it is the one that seals new ones."""

    id: int
    created_at: datetime
    values: int
    newest: bool


@dataclass(frozen=True)
class Rotation:
    """What a rotation did: the key everything is under now, how many rows were sealed anew, whether it went on with an
    earlier one, and the places of values that do not open and stayed as they are."""

    key: int
    rows: int
    resumed: bool
    damaged: Sequence[str]


class Keys:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def show(self, who: Actor) -> list[KeyUse]:
        """Every data key, the oldest first; none of the keys themselves. Raises Forbidden."""
        who.require(PERMISSION)
        async with self._store.read() as session:
            made_at = await session.data_keys.made_at()
            counts = dict.fromkeys(made_at, 0)
            for sealed in SEALED:
                for key_id in counts:
                    counts[key_id] += await session.sealed_values.count(sealed, key_id)
        newest = max(made_at)
        return [KeyUse(key_id, at, counts[key_id], key_id == newest) for key_id, at in made_at.items()]

    async def rotate(self, who: Actor, heard: Callable[[str, int], object] = lambda name, rows: None) -> Rotation:
        """Make a data key and seal every value anew under it, some rows at a time, so that servers go on meanwhile. One
        that was cut off goes on where it was. `heard` is told how many rows of which column are done. Raises Forbidden,
        and StoreUnavailable; then it is run again."""
        who.require(PERMISSION)
        key_id, resumed = await self._begin(who)
        rows, damaged = 0, list[str]()
        for sealed in SEALED:
            done, broken = await self._reseal(sealed)
            heard(sealed.name, done)
            rows, damaged = rows + done, damaged + broken
        async with self._store.write() as session:
            await session.meta.set(ROTATION, "")
            after = {"rows": rows, "damaged": len(damaged)}
            await session.audit.add(who, "key.rotated", f"data key {key_id}", after=after)
        return Rotation(key_id, rows, resumed, damaged)

    async def rotate_wrapping(self, who: Actor) -> str:
        """Make a new key outside the database and wrap the data keys with it; returns the file. Raises Forbidden,
        Conflict while another does it, and Misconfigured when the file cannot be replaced."""
        who.require(PERMISSION)
        file = self._store.keys.file
        with file.locked():
            async with self._store.write() as session:
                wrapped = await session.data_keys.wrapped()
                file.settle(wrapped)
                keys = file.unwrap(wrapped)
                if keys is None:
                    raise Misconfigured(f"{file.path}: not the key of this database; put that one back")
                new = file.put_beside()
                await session.data_keys.wrap_anew({key_id: wrap(new, key_id, key) for key_id, key in keys.items()})
                await session.audit.add(who, "key.wrapped", "data keys", after={"keys": sorted(keys)})
            file.take_new()
        return str(file.path)

    async def _begin(self, who: Actor) -> tuple[int, bool]:
        """The key to go over to, and whether an earlier rotation goes over to it already."""
        file = self._store.keys.file
        with file.locked():
            return await self._began(who, file)

    async def _began(self, who: Actor, file: KeyFile) -> tuple[int, bool]:
        async with self._store.write() as session:
            going_on = await session.meta.get(ROTATION)
            if going_on:
                return int(going_on), True
            wrapped = await session.data_keys.wrapped()
            key_id = max(wrapped) + 1
            file.settle(wrapped)
            if file.unwrap(wrapped) is None:
                raise Misconfigured(f"{file.path}: not the key of this database; put that one back")
            new = {key_id: wrap(file.load_or_make(), key_id, secrets.token_bytes(KEY_BYTES))}
            await session.data_keys.add(key_id, new[key_id])
            await session.meta.set(ROTATION, str(key_id))
            await session.audit.add(who, "key.made", f"data key {key_id}")
        self._store.keys.learn(new)
        return key_id, False

    async def _reseal(self, sealed: SealedColumn) -> tuple[int, list[str]]:
        """All rows of a column: how many were sealed anew, and what did not open."""
        rows, damaged = 0, list[str]()
        after: tuple[Any, ...] | None = None
        while True:
            began = time.monotonic()
            async with self._store.write() as session:
                step = await session.sealed_values.reseal(sealed, after)
            # Servers write half of the time: SQLite lets go first who asks again at once.
            await asyncio.sleep(time.monotonic() - began)
            rows, damaged, after = rows + step.rows, [*damaged, *step.damaged], step.last
            if after is None:
                return rows, damaged


def key_view(key: KeyUse) -> dict[str, Any]:
    """As doors show it."""
    return {"id": key.id, "created_at": key.created_at.isoformat(), "values": key.values, "newest": key.newest}
