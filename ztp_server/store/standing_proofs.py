"""What proves phones for good, read for many of them at once, and what changed since one looked last."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.phone import holder_of
from ztp_server.errors import Damaged
from ztp_server.store import places
from ztp_server.store.schema import changes, lines, phones
from ztp_server.store.schema_trust import digest_credentials, phone_tokens
from ztp_server.store.vault import Vault


@dataclass(frozen=True, slots=True)
class StandingProof:
    """Of one managed phone: `proofs` are those that count (None: those of its site), `steady` is the hash of its
    steady token, `holder` who is on it (`Phone.holder`). A password that does not open is empty."""

    hardware_id: str
    phone_id: str
    model: str
    site: str
    proofs: tuple[str, ...] | None
    steady: str
    digest_user: str
    digest_password: str = field(repr=False)
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes (kind, key) up to number `last`, `more` when there are others after it. Some before them `is_cut_off`
    when they were forgotten before they were read, or were never made in this database."""

    found: list[tuple[str, str]]
    last: int
    more: bool
    is_cut_off: bool


class StandingProofStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def of(self, hardware_ids: Collection[str]) -> list[StandingProof]:
        """Those of these hardware IDs that are managed phones; few enough for one statement."""
        query = _STANDING.where(phones.c.hardware_id.in_(list(hardware_ids)), phones.c.category == "managed")
        return [self._read(row) for row in await self._connection.execute(query)]

    async def changes_after(self, seq: int, most: int) -> Changes:
        """The oldest changes after a number, at most so many."""
        query = sa.select(changes).where(changes.c.seq > seq).order_by(changes.c.seq).limit(most)
        rows = (await self._connection.execute(query)).all()
        ends = sa.select(sa.func.min(changes.c.seq), sa.func.max(changes.c.seq))
        first, last = (await self._connection.execute(ends)).one()
        is_cut_off = seq > (last or 0) or seq + 1 < (first or 0)
        found = [(row.kind, row.key) for row in rows]
        return Changes(found, rows[-1].seq if rows else seq, len(rows) == most, is_cut_off)

    def _read(self, row: Any) -> StandingProof:
        found = row._mapping
        proofs = None if found["proofs"] is None else tuple(found["proofs"])
        try:
            password = self._vault.open(found["password"] or "", places.digest_credential(found["id"]))
        except Damaged:
            password = ""
        return StandingProof(
            *(found["hardware_id"], found["id"], found["model"], found["site_id"], proofs),
            *(found["hash"] or "", (password and found["user"]) or "", password),
            holder_of(found["user_id"] or "", logged_out=found["logged_out"], has_lines=found["has_lines"]),
        )


_STEADY = sa.and_(phone_tokens.c.phone_id == phones.c.id, phone_tokens.c.kind == "steady")
_STANDING = (
    sa.select(
        *(phones.c.hardware_id, phones.c.id, phones.c.model, phones.c.site_id, phones.c.proofs),
        *(phone_tokens.c.hash, digest_credentials.c.user, digest_credentials.c.password),
        *(phones.c.user_id, phones.c.logged_out, sa.exists().where(lines.c.phone_id == phones.c.id).label("has_lines")),
    )
    .outerjoin(phone_tokens, _STEADY)
    .outerjoin(digest_credentials, digest_credentials.c.phone_id == phones.c.id)
)
