"""Files that phones sent: logs as they are, and what their users changed, sealed. Each belongs to one phone."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.errors import NotFound, StoreUnavailable
from ztp_server.store import places
from ztp_server.store.schema import phones, uploads
from ztp_server.store.vault import Vault


@dataclass(frozen=True, slots=True)
class StoredParameters:
    """Parameters of one file, and when they came."""

    at: datetime
    parameters: Mapping[str, str]


class UploadStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def get(self, phone_id: str, name: str) -> bytes | None:
        """What `put` kept. Raises StoreUnavailable when it does not unpack."""
        query = sa.select(uploads.c.body).where(uploads.c.phone_id == phone_id, uploads.c.name == name)
        body = (await self._connection.execute(query)).scalar()
        try:
            return None if body is None else zlib.decompress(body)
        except zlib.error:
            raise StoreUnavailable(f"{places.upload(phone_id, name)}: damaged, or of another kind") from None

    async def has(self, phone_id: str, name: str) -> bool:
        """Whether something of that name is kept, of either kind."""
        query = sa.select(uploads.c.size).where(uploads.c.phone_id == phone_id, uploads.c.name == name)
        return (await self._connection.execute(query)).first() is not None

    async def put(self, phone_id: str, name: str, body: bytes, size: int) -> bool:
        """Keep a file instead of the one of that name; returns whether there was none. `body` is packed with zlib,
        `size` what it was before. Raises NotFound when the phone was removed meanwhile."""
        if (await self._connection.execute(sa.select(phones.c.id).where(phones.c.id == phone_id))).first() is None:
            raise NotFound("the phone is gone")
        own = sa.and_(uploads.c.phone_id == phone_id, uploads.c.name == name)
        removed = await self._connection.execute(sa.delete(uploads).where(own))
        row = {"phone_id": phone_id, "name": name, "body": body, "size": size}
        await self._connection.execute(sa.insert(uploads).values(row | {"at": datetime.now(UTC)}))
        return removed.rowcount == 0

    async def get_parameters(self, phone_id: str, name: str) -> StoredParameters | None:
        """What `put_parameters` kept. Raises StoreUnavailable when it does not open with this key."""
        query = sa.select(uploads).where(uploads.c.phone_id == phone_id, uploads.c.name == name)
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            return None
        text = self._vault.open(row.body.decode("latin-1"), places.upload(phone_id, name))
        return StoredParameters(row.at, json.loads(text))

    async def put_parameters(self, phone_id: str, name: str, parameters: Mapping[str, str]) -> bool:
        """Keep parameters, encrypted, instead of those of that name; returns whether there were none."""
        text = json.dumps(dict(parameters), sort_keys=True)
        sealed = self._vault.seal(text, places.upload(phone_id, name)).encode()
        return await self.put(phone_id, name, sealed, len(text))
