"""Rules by which unknown phones become phones."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.approval_rule import ApprovalRule
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store.schema_trust import approval_rules

_OWN = approval_rules.c


class ApprovalRuleStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, rule_id: str) -> ApprovalRule:
        """Raises NotFound."""
        row = (await self._connection.execute(sa.select(approval_rules).where(_OWN.id == rule_id))).first()
        if row is None:
            raise NotFound(f"no approval rule {rule_id}")
        return _read(row)

    async def page(self, after: str, limit: int) -> list[ApprovalRule]:
        """At most so many of them by id, those that come after an id."""
        query = sa.select(approval_rules).where(_OWN.id > after).order_by(_OWN.id).limit(limit)
        return [_read(row) for row in await self._connection.execute(query)]

    async def naming(self, *, site: str = "", base_settings: str = "") -> list[str]:
        """Ids of the rules that name a site, or base settings."""
        named = _OWN.site_id == site if site else _OWN.base_settings_id == base_settings
        rows = await self._connection.execute(sa.select(_OWN.id).where(named).order_by(_OWN.id))
        return [row.id for row in rows]

    async def count(self) -> int:
        return (await self._connection.execute(sa.select(sa.func.count()).select_from(approval_rules))).scalar_one()

    async def add(self, rule: ApprovalRule) -> ApprovalRule:
        """Raises Conflict when the id is taken."""
        if (await self._connection.execute(sa.select(_OWN.id).where(_OWN.id == rule.id))).first():
            raise Conflict(f"approval rule {rule.id} exists already")
        await self._connection.execute(sa.insert(approval_rules).values(_row(rule) | {"approved": 0, "revision": 1}))
        return await self.get(rule.id)

    async def replace(self, rule: ApprovalRule) -> ApprovalRule:
        """Keep what an administrator says of a rule, not how many it has approved. Raises Stale when it is another by
        now."""
        unchanged = sa.and_(_OWN.id == rule.id, _OWN.revision == rule.revision)
        values = _row(rule) | {"revision": rule.revision + 1}
        if (await self._connection.execute(sa.update(approval_rules).where(unchanged).values(values))).rowcount != 1:
            raise Stale(f"approval rule {rule.id} was changed by somebody else meanwhile")
        return await self.get(rule.id)

    async def take_one(self, rule: ApprovalRule) -> bool:
        """Count a phone that it approves; False when it has approved all that it may, or is another by now."""
        may = sa.and_(_OWN.id == rule.id, _OWN.revision == rule.revision, _OWN.approved < _OWN.most)
        taken = await self._connection.execute(sa.update(approval_rules).where(may).values(approved=_OWN.approved + 1))
        return taken.rowcount == 1

    async def remove(self, rule_id: str) -> None:
        await self._connection.execute(sa.delete(approval_rules).where(_OWN.id == rule_id))


def _row(rule: ApprovalRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "site_id": rule.site,
        "base_settings_id": rule.base_settings,
        "networks": list(rule.networks),
        "proof": rule.proof,
        "most": rule.most,
        "until": rule.until,
        "created_by": rule.created_by,
    }


def _read(row: sa.Row[Any]) -> ApprovalRule:
    return ApprovalRule(
        id=row.id,
        site=row.site_id,
        base_settings=row.base_settings_id,
        most=row.most,
        networks=tuple(row.networks),
        proof=row.proof,
        until=row.until,
        approved=row.approved,
        created_by=row.created_by,
        revision=row.revision,
    )
