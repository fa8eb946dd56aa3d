"""Which phones a change of many is about: named one by one, or by a filter as lists have it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.job import JobItem
from ztp_server.domain.phone_filter import PhoneFilter
from ztp_server.errors import BadValue, Conflict, Forbidden
from ztp_server.services.phone_list import PhoneList, read_filter
from ztp_server.store import Session
from ztp_server.store.phone_targets import Target

_ID = re.compile("[0-9a-f]{32}")
# Of the phones that are named one by one.
MOST_NAMED = 10_000


@dataclass(frozen=True)
class Selection:
    """Phones by id or hardware ID in any notation, or (no ids) those that fit a filter, which may be empty: all.
    `expected` is how many the one who asks has seen, if they want to be sure."""

    ids: tuple[str, ...] = ()
    filter: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    expected: int | None = None

    @property
    def shown(self) -> dict[str, Any]:
        return {"ids": len(self.ids)} if self.ids else {"filter": dict(self.filter)}


def parse_selection(
    ids: Sequence[str] | None, filters: Mapping[str, str | Sequence[str]] | None, expected: int | None = None
) -> Selection:
    """Raises BadValue unless there is one of the two."""
    if (ids is None) == (filters is None):
        raise BadValue("filter", "either name the phones (ids) or say which are meant (filter)")
    if ids is None:
        return Selection((), dict(filters or {}), expected)
    if not 0 < len(ids) <= MOST_NAMED:
        raise BadValue("ids", f"names {len(ids)} phones, must be 1 to {MOST_NAMED}; use a filter for more")
    return Selection(tuple(ids), {}, expected)


async def select_phones(
    session: Session, phone_list: PhoneList, catalog: Catalog, who: Actor, permission: str, selection: Selection
) -> list[Target]:
    """The phones that are meant. A filter finds those at the sites where the permission is held; of phones that are
    named, none may stand elsewhere. Raises BadValue naming the one that is not there (or may not be seen), Forbidden,
    and Conflict when there are not as many as expected."""
    sites = _both(who.sites("phones:view"), who.sites(permission))
    if selection.ids:
        found = await _named(session, who, selection.ids)
        _refuse_elsewhere(found, permission, sites)
    else:
        wanted = _filter(selection, catalog)
        ids = await session.phone_list.ids(wanted, sites, await phone_list.facts(session))
        found = await session.phone_targets.of_ids(ids)
    if selection.expected is not None and selection.expected != len(found):
        raise Conflict(f"{len(found)} phones are meant by now, not {selection.expected}")
    return found


def items_of(targets: Sequence[Target]) -> Iterator[JobItem]:
    """What a job is to do, a phone an item."""
    return (JobItem(number, target.id, target.label) for number, target in enumerate(targets, 1))


def _filter(selection: Selection, catalog: Catalog) -> PhoneFilter:
    try:
        return read_filter(selection.filter, catalog)
    except BadValue as error:
        raise error.within("filter") from None


async def _named(session: Session, who: Actor, texts: Sequence[str]) -> list[Target]:
    wanted = [_wanted(number, text) for number, text in enumerate(texts, 1)]
    by_id = {t.id: t for t in await session.phone_targets.of_ids([w for w in wanted if _ID.fullmatch(w)])}
    others = [w for w in wanted if not _ID.fullmatch(w)]
    by_hardware_id = {t.hardware_id: t for t in await session.phone_targets.of_hardware_ids(others)}
    found: dict[str, Target] = {}
    for number, key in enumerate(wanted, 1):
        target = by_id.get(key) or by_hardware_id.get(key)
        if target is None or not who.may("phones:view", target.site):
            raise BadValue(f"ids.{number}", f"no phone {key}")
        found[target.id] = target
    return list(found.values())


def _wanted(number: int, text: str) -> str:
    key = text.strip().lower()
    if _ID.fullmatch(key):
        return key
    try:
        return HardwareId.parse(text).value
    except BadValue as error:
        raise BadValue(f"ids.{number}", error.reason) from None


def _refuse_elsewhere(found: Sequence[Target], permission: str, sites: frozenset[str] | None) -> None:
    elsewhere = Counter(t.site for t in found if sites is not None and t.site not in sites)
    if elsewhere:
        stand = f"{elsewhere.total()} of the {len(found)} phones are"
        raise Forbidden(permission, f"{', '.join(sorted(elsewhere))}, where {stand}")


def _both(first: frozenset[str] | None, second: frozenset[str] | None) -> frozenset[str] | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second
