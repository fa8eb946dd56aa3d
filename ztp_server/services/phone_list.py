"""Lists of phones: filtered, in an order, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone_filter import PhoneFilter
from ztp_server.domain.phone_order import Place, Sort
from ztp_server.domain.status import NOT_KNOWN, Registration, Status
from ztp_server.domain.text import nearest
from ztp_server.errors import BadValue
from ztp_server.services.history_views import status_view
from ztp_server.services.phone_registration import hearing
from ztp_server.services.phone_views import phone_views
from ztp_server.services.status import PhoneStatus
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.store.phone_conditions import Facts
from ztp_server.store.phone_list import Listed

MOST = 1000
Filters = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class PhonePage:
    """Phones as doors show them, the cursor of the next page (None: there is none), and how many phones fit in all, if
    that was asked."""

    items: list[dict[str, Any]]
    next_cursor: str | None
    total: int | None = None


class PhoneList:
    def __init__(self, store: Store, templates: Templates, status: PhoneStatus) -> None:
        self._store = store
        self._templates = templates
        self._status = status

    async def page(
        self,
        who: Actor,
        filters: Filters,
        *,
        sort: str = "name",
        limit: int = 100,
        cursor: str | None = None,
        count: bool = False,
    ) -> PhonePage:
        """A page of the phones that fit, of those that one may see. Raises BadValue naming the filter, `sort`, `limit`
        or `cursor`, and Forbidden."""
        sites = who.sites("phones:view")
        order = Sort.parse(sort)
        after = None if cursor is None else Place.parse(cursor, order)
        if not 1 <= limit <= MOST:
            raise BadValue("limit", f"must be 1 to {MOST}")
        catalog = self._templates.catalog
        wanted = read_filter(filters, catalog)
        async with self._store.read() as session:
            facts = await self.facts(session)
            found, place = await session.phone_list.page(wanted, sites, facts, order, after, limit)
            total = await session.phone_list.count(wanted, sites, facts) if count else None
            views = await phone_views(session, catalog, [listed.phone for listed in found])
        statuses = (status_view(listed_status(listed)) for listed in found)
        items = [{**view, "status": status} for view, status in zip(views, statuses, strict=True)]
        return PhonePage(items, place.cursor if place else None, total)

    async def count(self, who: Actor, filters: Filters) -> int:
        """How many phones fit, of those that one may see."""
        sites = who.sites("phones:view")
        wanted = read_filter(filters, self._templates.catalog)
        async with self._store.read() as session:
            return await session.phone_list.count(wanted, sites, await self.facts(session))

    async def facts(self, session: Session) -> Facts:
        """What filters depend on, as it is now."""
        catalog = self._templates.catalog
        models = {model.id: (catalog.vendor_of(model).id, model.family) for model in catalog.models.values()}
        inputs = await self._status.current_inputs(session)
        heard = (await hearing(session)).heard
        return Facts(datetime.now(UTC), frozenset(filter(None, inputs.values())), models, heard)

    async def every(
        self, who: Actor, filters: Filters, *, sort: str = "name", most: int | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """All phones that fit (or so many at most), a page in memory at a time."""
        cursor: str | None = None
        while most is None or most > 0:
            page = await self.page(who, filters, sort=sort, cursor=cursor, limit=min(most or MOST, MOST))
            for item in page.items:
                yield item
            cursor, most = page.next_cursor, None if most is None else most - len(page.items)
            if cursor is None:
                return


def read_filter(filters: Filters, catalog: Catalog) -> PhoneFilter:
    """The filter as it is written. Raises BadValue naming the one that is wrong, also a vendor or family that no folder
    of templates has."""
    wanted = PhoneFilter.parse(filters)
    families = {family for vendor in catalog.vendors.values() for family in vendor.family}
    for name, known in (("vendor", set(catalog.vendors)), ("family", families)):
        choice = wanted.choices.get(name)
        for pattern in (*choice.wanted, *choice.unwanted) if choice else ():
            if pattern.pieces[0] not in known:
                there = ", ".join(sorted(known))
                text = pattern.pieces[0][:64]
                raise BadValue(name, f"unknown {name} {text!r}{nearest(text, known)}; there are: {there}")
    return wanted


def listed_status(listed: Listed) -> Status:
    """The status without what only a closer look at the phone tells."""
    known, kept = listed.progress, listed.registration
    registration = Registration(kept.rolled_up.state, kept.rolled_up.reason, kept.since) if kept else NOT_KNOWN
    if known is None:
        return Status(listed.state, "", registration=registration)
    return Status(
        provisioning=listed.state,
        reason=known.problem if listed.state == "error" else "",
        since=known.due_at if listed.state == "stale" else known.since,
        first_seen=known.first_at,
        last_seen=known.last_at,
        address=known.address,
        firmware=known.firmware,
        firmware_wanted=known.firmware_wanted,
        registration=registration,
    )
