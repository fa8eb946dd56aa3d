"""The bytes that phones were given, without their secrets, each once. The tag of the bytes is kept under our key: with
all but the secrets known, a bare digest would let anybody try them out."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.errors import StoreUnavailable
from ztp_server.store.schema_history import check_in_runs, served_files
from ztp_server.store.vault import Vault

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class ServedFile:
    """`etag` is that of the bytes given; `body` has `***` for each secret and is packed with zlib, `size` is what it
    was before."""

    etag: str
    content_type: str
    body: bytes
    size: int


class ServedFileStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    def tag(self, etag: str) -> str:
        """How the tag of some bytes is kept, here and with the check-ins."""
        return self._vault.tag(etag)

    async def missing(self, etags: Iterable[str]) -> set[str]:
        """Which of these files are not kept yet."""
        wanted = {self._vault.tag(etag): etag for etag in etags}
        tags = list(wanted)
        for start in range(0, len(tags), _BATCH):
            query = sa.select(served_files.c.etag).where(served_files.c.etag.in_(tags[start : start + _BATCH]))
            for row in await self._connection.execute(query):
                del wanted[row.etag]
        return set(wanted.values())

    async def add(self, files: Sequence[ServedFile]) -> None:
        """Keep files; those that another server kept meanwhile stay."""
        insert = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(served_files).on_conflict_do_nothing(index_elements=["etag"])
        now = datetime.now(UTC)
        rows = [
            {"etag": self._vault.tag(f.etag), "content_type": f.content_type, "body": f.body, "size": f.size, "at": now}
            for f in files
        ]
        for start in range(0, len(rows), _BATCH):
            await self._connection.execute(statement, rows[start : start + _BATCH])

    async def get(self, kept_tag: str) -> tuple[bytes, str] | None:
        """The bytes and their content type, by the tag as it is kept; None when they are not. Raises StoreUnavailable
        when they do not unpack."""
        query = sa.select(served_files).where(served_files.c.etag == kept_tag)
        row = (await self._connection.execute(query)).first()
        if row is None:
            return None
        try:
            return zlib.decompress(row.body), row.content_type
        except zlib.error:
            raise StoreUnavailable(f"served_files/{kept_tag}: damaged") from None

    async def forget(self, before: datetime, most: int) -> int:
        """Remove at most so many files kept before then that no check-in names any more; returns how many."""
        named = sa.exists().where(check_in_runs.c.etag == served_files.c.etag)
        old = sa.select(served_files.c.etag).where(served_files.c.at < before, ~named).limit(most)
        return (await self._connection.execute(sa.delete(served_files).where(served_files.c.etag.in_(old)))).rowcount
