"""Factory certificates that prove nothing any more."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.denied_certificate import DeniedCertificate
from ztp_server.errors import Conflict, NotFound
from ztp_server.store.changes import record
from ztp_server.store.schema_trust import denied_certificates

_OWN = denied_certificates.c


class DeniedCertificateStore:
    """Every change is told to other processes as one of kind `certificate`, with the fingerprint as its key."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def fingerprints(self) -> frozenset[str]:
        """Those of all of them."""
        return frozenset((await self._connection.execute(sa.select(_OWN.sha256))).scalars())

    async def page(self, after: str, limit: int) -> list[DeniedCertificate]:
        """At most so many, by fingerprint, that come after one."""
        query = sa.select(denied_certificates).where(_OWN.sha256 > after).order_by(_OWN.sha256).limit(limit)
        return [DeniedCertificate(**row._mapping) for row in await self._connection.execute(query)]

    async def find(self, sha256: str) -> DeniedCertificate | None:
        query = sa.select(denied_certificates).where(_OWN.sha256 == sha256)
        row = (await self._connection.execute(query)).first()
        return DeniedCertificate(**row._mapping) if row else None

    async def add(self, denied: DeniedCertificate) -> None:
        """Raises Conflict when it is denied already."""
        if await self.find(denied.sha256):
            raise Conflict(f"certificate {denied.sha256} is denied already")
        await self._connection.execute(sa.insert(denied_certificates).values(asdict(denied)))
        await record(self._connection, "certificate", [denied.sha256])

    async def remove(self, sha256: str) -> None:
        """Raises NotFound."""
        removed = await self._connection.execute(sa.delete(denied_certificates).where(_OWN.sha256 == sha256))
        if not removed.rowcount:
            raise NotFound(f"no denied certificate {sha256}")
        await record(self._connection, "certificate", [sha256])
