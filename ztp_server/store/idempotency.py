"""Answers kept by the key their request named. Sealed: an answer may hold what is shown only once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store import places
from ztp_server.store.schema_access import idempotency_keys as keys
from ztp_server.store.vault import Vault

_RUNNING, _DONE = 0, 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A request by its digest (`IdempotencyStore.digest`), and its answer; None while it is being done."""

    request: str
    answer: str | None


class IdempotencyStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    def digest(self, request: str) -> str:
        """What stands for a request: a bare digest would let anybody with the database try out the passwords in it."""
        return self._vault.digest(request)

    async def get(self, actor: str, key: str) -> Kept | None:
        row = (await self._connection.execute(sa.select(keys).where(_is(actor, key)))).first()
        if row is None:
            return None
        place = places.idempotency_answer(actor, key)
        return Kept(row.request, self._vault.open(row.answer, place) if row.status == _DONE else None)

    async def claim(self, actor: str, key: str, request: str) -> None:
        row = {"actor": actor, "key": key, "request": request, "status": _RUNNING, "answer": ""}
        await self._connection.execute(sa.insert(keys).values(row | {"at": datetime.now(UTC)}))

    async def finish(self, actor: str, key: str, answer: str) -> None:
        sealed = self._vault.seal(answer, places.idempotency_answer(actor, key))
        await self._connection.execute(sa.update(keys).where(_is(actor, key)).values(status=_DONE, answer=sealed))

    async def forget(self, actor: str, key: str) -> None:
        await self._connection.execute(sa.delete(keys).where(_is(actor, key)))

    async def forget_all(self, actor: str) -> None:
        """Forget the answers to whoever had this name before: they are not for the next one."""
        await self._connection.execute(sa.delete(keys).where(keys.c.actor == actor))

    async def prune(self, before: datetime) -> None:
        await self._connection.execute(sa.delete(keys).where(keys.c.at < before))


def _is(actor: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(keys.c.actor == actor, keys.c.key == key)
