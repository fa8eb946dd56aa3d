"""What the database says of the state of an installation: questions of the doctor, which change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.account import EVERYTHING
from ztp_server.errors import Damaged
from ztp_server.store.meta import MetaStore
from ztp_server.store.schema import firmware, phones, sites
from ztp_server.store.schema_access import accounts, jobs, role_grants, tokens
from ztp_server.store.schema_history import audit, check_in_runs, events, phone_status
from ztp_server.store.schema_trust import approval_rules, denied_certificates, provisioning_windows, unknown_phones
from ztp_server.store.sealed_values import SEALED, SealedColumn
from ztp_server.store.vault import Vault

# How a sealed text begins (store/vault.py).
_SEALED = (b"v1:", b"v2:")
# Rows of a kind that are named; how many there are in all is counted.
_MOST = 1000


class Sample(NamedTuple):
    """How many sealed values were opened, and why some did not open."""

    opened: int
    damaged: Sequence[str]


@dataclass(frozen=True)
class Seen:
    """How often an event of a kind happened, and what it last was about."""

    count: int
    subject: str
    reason: str


class ExaminationStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def meta(self, name: str) -> str | None:
        """A fact about the data as a whole (store/meta.py)."""
        return await MetaStore(self._connection).get(name)

    async def newest(self) -> Mapping[str, datetime]:
        """When the newest record of each kind was written."""
        columns = {"audit": audit.c.at, "events": events.c.at, "check-ins": phone_status.c.last_at}
        found = {name: (await self._rows(sa.select(sa.func.max(at).label("at"))))[0].at for name, at in columns.items()}
        return {name: at for name, at in found.items() if at is not None}

    async def sealed_sample(self, vault: Vault, most: int) -> Sample:
        """Open some of the sealed values of each column."""
        opened, damaged = 0, list[str]()
        for sealed in SEALED:
            query = sa.select(*sealed.key, sealed.column).order_by(*(c.desc() for c in sealed.key)).limit(most)
            if sealed.only is not None:
                query = query.where(sealed.only)
            for row in await self._rows(query):
                for text, place in _values(sealed, getattr(row, sealed.column.name), sealed.place(row)):
                    try:
                        vault.open(text, place)
                        opened += 1
                    except Damaged as error:
                        damaged.append(str(error))
        return Sample(opened, damaged)

    async def phones(self) -> int:
        """How many phones are provisioned here."""
        return await self._count(sa.select(phones.c.id).where(phones.c.category == "managed"))

    async def accounts(self) -> tuple[int, int]:
        """How many accounts there are, and how many of them are enabled and may do everything."""
        query = sa.select(accounts.c.id).join(
            role_grants, role_grants.c.owner == sa.literal("account:") + accounts.c.id
        )
        query = query.where(role_grants.c.role == EVERYTHING.role, role_grants.c.site == EVERYTHING.site)
        return await self._count(sa.select(accounts.c.id)), await self._count(query.where(accounts.c.enabled))

    async def tokens(self, kind: str) -> Sequence[Any]:
        """Tokens of a kind: `name`, `created_at`, `expires_at`, `last_used_at`."""
        own = tokens.c
        query = sa.select(own.name, own.created_at, own.expires_at, own.last_used_at).where(own.kind == kind)
        return await self._rows(query.order_by(own.name).limit(_MOST))

    async def sites(self) -> Sequence[Any]:
        """Sites: `id`, `networks`, `proofs`, `plain_secrets`."""
        own = sites.c
        query = sa.select(own.id, own.networks, own.proofs, own.plain_secrets).order_by(own.id).limit(_MOST)
        return await self._rows(query)

    async def addresses(self, since: datetime, more_than: int) -> Mapping[str, int]:
        """Addresses from which more than so many different phones, ours or unknown, asked last."""
        ours = sa.select(phone_status.c.address, phone_status.c.phone_id.label("who")).where(
            phone_status.c.last_at >= since
        )
        others = sa.select(unknown_phones.c.address, unknown_phones.c.mac).where(unknown_phones.c.last_at >= since)
        both = sa.union_all(ours, others).subquery()
        count = sa.func.count()
        query = sa.select(both.c.address, count.label("phones")).where(both.c.address != "").group_by(both.c.address)
        query = query.having(count > more_than).order_by(count.desc(), both.c.address).limit(_MOST)
        return {row.address: row.phones for row in await self._rows(query)}

    async def blocked(self) -> Sequence[str]:
        """Hardware IDs of phones for which no proof counts."""
        query = sa.select(phones.c.hardware_id).where(sa.cast(phones.c.proofs, sa.Text) == "[]")
        return [row.hardware_id for row in await self._rows(query.order_by(phones.c.hardware_id).limit(_MOST))]

    async def windows(self, now: datetime, opened_before: datetime) -> Sequence[Any]:
        """Windows that are open and were opened before a time: `hardware_id`, `opened_at`, `until`."""
        own = provisioning_windows.c
        query = sa.select(phones.c.hardware_id, own.opened_at, own.until).join_from(provisioning_windows, phones)
        query = query.where(own.until > now, own.opened_at < opened_before)
        return await self._rows(query.order_by(own.opened_at).limit(_MOST))

    async def events(self, since: datetime) -> Mapping[str, Seen]:
        """What the server reported, by what happened."""
        newest = sa.select(events.c.action, sa.func.count().label("count"), sa.func.max(events.c.seq).label("seq"))
        per = newest.where(events.c.at >= since).group_by(events.c.action).subquery()
        query = sa.select(per.c.action, per.c.count, events.c.subject, events.c.detail)
        found = await self._rows(query.join_from(per, events, events.c.seq == per.c.seq))
        return {row.action: Seen(row.count, row.subject, str(row.detail.get("reason", ""))) for row in found}

    async def failed_logins(self, since: datetime) -> int:
        """How many log-ins of administrators failed."""
        query = sa.select(audit.c.after).where(audit.c.at >= since, audit.c.action == "login.failed").limit(_MOST)
        return sum(int(row.after.get("failures", 0)) for row in await self._rows(query))

    async def denied_in_use(self, since: datetime) -> Sequence[Any]:
        """Denied certificates that were shown all the same: `sha256`, `subject`, and the last `address`."""
        runs = check_in_runs.c
        query = sa.select(
            denied_certificates.c.sha256, denied_certificates.c.subject, sa.func.max(runs.address).label("address")
        )
        query = query.join_from(check_in_runs, denied_certificates, denied_certificates.c.sha256 == runs.certificate)
        query = query.where(runs.last_at >= since).group_by(denied_certificates.c.sha256, denied_certificates.c.subject)
        return await self._rows(query.order_by(denied_certificates.c.sha256).limit(_MOST))

    async def open_rules(self) -> Sequence[Any]:
        """Rules that approve unknown phones with no end: `id`, `proof`."""
        query = sa.select(approval_rules.c.id, approval_rules.c.proof).where(approval_rules.c.until.is_(None))
        return await self._rows(query.order_by(approval_rules.c.id).limit(_MOST))

    async def images(self) -> Sequence[Any]:
        """Firmware images: `model`, `version`, `sha256`, `size`."""
        own = firmware.c
        query = sa.select(own.model, own.version, own.sha256, own.size).order_by(own.model, own.version)
        return await self._rows(query)

    async def stuck_jobs(self, before: datetime) -> Sequence[Any]:
        """Jobs that wait since then, or whose worker was last heard of then: `id`, `kind`, `state`."""
        own = jobs.c
        waits = sa.and_(own.state == "queued", own.created_at < before)
        lost = sa.and_(own.state == "running", sa.func.coalesce(own.lease_until, own.created_at) < before)
        query = sa.select(own.id, own.kind, own.state).where(sa.or_(waits, lost)).order_by(own.id)
        return await self._rows(query.limit(_MOST))

    async def failed_jobs(self, since: datetime) -> Sequence[Any]:
        """Jobs that ended in failure since then: `id`, `kind`, `reason`."""
        own = jobs.c
        query = sa.select(own.id, own.kind, own.reason).where(own.state == "failed", own.finished_at >= since)
        return await self._rows(query.order_by(own.id).limit(_MOST))

    async def last_of(self, action: str) -> Mapping[str, Any] | None:
        """What the newest record of the audit says of an action: what was so after it."""
        query = sa.select(audit.c.after).where(audit.c.action == action).order_by(audit.c.seq.desc()).limit(1)
        found = await self._rows(query)
        return dict(found[0].after) if found else None

    async def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        rows: Sequence[Any] = (await self._connection.execute(query)).all()
        return rows

    async def _count(self, query: sa.Select[Any]) -> int:
        return int(
            (await self._connection.execute(sa.select(sa.func.count()).select_from(query.subquery()))).scalar_one()
        )


def _values(sealed: SealedColumn, value: Any, place: str) -> Iterator[tuple[str, str]]:
    """The sealed texts of a value, with their places."""
    if sealed.shape == "settings":
        yield from ((one["sealed"], f"{place}/{name}") for name, one in value.items() if isinstance(one, dict))
    elif sealed.shape == "whole":
        yield value["sealed"], place
    elif sealed.shape == "bytes":
        if value.startswith(_SEALED):  # and not a log of a phone, which is packed alone
            yield value.decode("latin-1"), place
    elif value:
        yield value, place
