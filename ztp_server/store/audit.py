"""The audit: records chained by their hashes, added in the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry, AuditRecord, Fields, Verdict, changed
from ztp_server.store.meta import MetaStore
from ztp_server.store.schema_history import audit
from ztp_server.store.vault import Vault

# How the actions end by which somebody was shown secrets.
REVEALED = ".revealed"
_HEAD = "audit head"
# Records hashed at a time: phones are served in between.
_BATCH = 250
_COLUMNS = tuple(column.name for column in audit.columns)


class AuditStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault
        self._meta = MetaStore(connection)

    def digest(self, secret: str) -> str:
        """What stands for a secret in a record."""
        return self._vault.digest(secret)

    async def add(
        self,
        who: Actor,
        action: str,
        subject: str,
        *,
        before: Fields | None = None,
        after: Fields | None = None,
        reason: str = "",
    ) -> None:
        """Write one change down; of two whole states, what differs."""
        await self.add_all(who, [AuditEntry(action, subject, before or {}, after or {}, reason)])

    async def add_all(self, who: Actor, entries: Sequence[AuditEntry]) -> None:
        """Write many changes of one actor down, in order."""
        seq, previous = await self.head()
        at = datetime.now(UTC)
        for start in range(0, len(entries), _BATCH):
            rows = []
            for entry in entries[start : start + _BATCH]:
                seq += 1
                record = self._chained(_record(seq, at, who, entry), previous)
                previous = record.hash
                rows.append({name: getattr(record, name) for name in _COLUMNS})
            await self._connection.execute(sa.insert(audit), rows)
        if entries:
            await self._meta.set(_HEAD, f"{seq}:{previous}")

    async def head(self) -> tuple[int, str]:
        """Number and hash of the newest record; (0, "") before the first."""
        text = await self._meta.get(_HEAD)
        number, _, digest = (text or "0:").partition(":")
        return int(number), digest

    async def verify(self, noted: str = "") -> Verdict:
        """Follow the chain from the first record. `noted` is a head (`12:ab34…`) written down elsewhere earlier, which
        shows whether the newest records, or all of them, were replaced."""
        seq, previous = 0, ""
        wanted_seq, _, wanted = noted.partition(":")
        async for record in self._all():
            if record.seq != seq + 1:
                return Verdict(seq, f"{seq}:{previous}", seq + 1, "is missing")
            if self._chained(record, previous).hash != record.hash:
                return Verdict(seq, f"{seq}:{previous}", record.seq, "was changed, or does not follow the one before")
            seq, previous = record.seq, record.hash
            if str(seq) == wanted_seq and previous != wanted:
                return Verdict(seq, f"{seq}:{previous}", seq, "is another than the one that was noted")
        last, _ = await self.head()
        if last > seq or (wanted_seq and int(wanted_seq) > seq):
            return Verdict(seq, f"{seq}:{previous}", seq + 1, "is missing, and what follows")
        return Verdict(seq, f"{seq}:{previous}")

    async def page(
        self, *, below: int | None, limit: int, subject: str = "", actor: str = "", action: str = ""
    ) -> list[AuditRecord]:
        """Records, newest first, with a number below the given one."""
        query = sa.select(audit).order_by(audit.c.seq.desc()).limit(limit)
        if below is not None:
            query = query.where(audit.c.seq < below)
        for column, wanted in ((audit.c.subject, subject), (audit.c.actor, actor), (audit.c.action, action)):
            if wanted:
                query = query.where(column == wanted)
        return [_read(row) for row in await self._connection.execute(query)]

    async def reveals(self, actor: str, since: datetime, most: int) -> list[datetime]:
        """When somebody was shown secrets, the newest first; at most so many, since then."""
        query = sa.select(audit.c.at).where(
            audit.c.actor == actor[:255], audit.c.at > since, audit.c.action.like(f"%{REVEALED}")
        )
        return [row.at for row in await self._connection.execute(query.order_by(audit.c.seq.desc()).limit(most))]

    async def _all(self) -> AsyncIterator[AuditRecord]:
        last = 0
        while True:
            query = sa.select(audit).where(audit.c.seq > last).order_by(audit.c.seq).limit(_BATCH)
            rows = (await self._connection.execute(query)).all()
            for row in rows:
                yield _read(row)
            if not rows:
                return
            last = rows[-1].seq

    def _chained(self, record: AuditRecord, previous: str) -> AuditRecord:
        return replace(record, hash=self._vault.chain(record.sealed_text(previous)))


def _record(seq: int, at: datetime, who: Actor, entry: AuditEntry) -> AuditRecord:
    before, after = changed(entry.before, entry.after)
    subject, reason = entry.subject[:255], entry.reason[:255]
    return AuditRecord(seq, at, who.name[:255], who.address[:64], entry.action, subject, reason, before, after, "")


def _read(row: sa.Row[Any]) -> AuditRecord:
    return AuditRecord(**row._mapping)
