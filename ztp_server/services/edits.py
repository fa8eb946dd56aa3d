"""What an edit of something phones share does, or would do: the same to whoever only asks and to whoever saves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import Fields, changed
from ztp_server.domain.phone_group import PhoneGroup
from ztp_server.domain.settings import SettingsTable
from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue, Forbidden, InUse, Stale
from ztp_server.services.firmware_warnings import VERSION, find_warnings
from ztp_server.services.sample_diffs import Sample, Shared, hidden_secret
from ztp_server.store import Session

T = TypeVar("T")
# How many phones a refusal names.
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that changes, by its dotted name (`settings.rtp_dscp`). None: not there, inherited. A secret is `***`,
    and `*** (another one)` in place of another."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Affected:
    """How many phones a change touches, and how many of them by model, site and base settings, the most first."""

    phones: int = 0
    models: Mapping[str, int] = field(default_factory=dict)
    sites: Mapping[str, int] = field(default_factory=dict)
    base_settings: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Sequence[PhoneGroup]) -> Affected:
        return cls(
            sum(group.phones for group in groups),
            _counted((group.model, group.phones) for group in groups),
            _counted((group.site, group.phones) for group in groups),
            _counted((group.base_settings, group.phones) for group in groups),
        )


@dataclass(frozen=True, slots=True)
class Edited(Generic[T]):
    """The record after an edit, what changed, which phones that touches, what is to be said of it, and (only where
    nothing is saved) what becomes of the files of a few phones."""

    record: T
    changes: tuple[FieldChange, ...] = ()
    affected: Affected = Affected()
    warnings: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()


def changes_between(table: SettingsTable, before: Fields, after: Fields) -> tuple[FieldChange, ...]:
    """What differs between two records (services/records.py, their secrets in the clear), to be shown."""
    old, new = changed(before, after)
    return tuple(_change(name, old.get(name), new.get(name), table) for name in sorted({**old, **new}))


def _change(name: str, before: Any, after: Any, table: SettingsTable) -> FieldChange:
    setting = name.removeprefix("settings.")
    if setting == name or not table.is_secret(setting):
        return FieldChange(name, before, after)
    return FieldChange(name, hidden_secret(before, before), hidden_secret(after, before))


async def firmware_warnings(session: Session, source: str, changed_names: Iterable[str], shared: Shared) -> list[str]:
    """What is to be said of a version among changes, if base settings or a site were these."""
    if VERSION not in changed_names:
        return []
    where = {"site": shared.site.id} if shared.site else {"base_settings": shared.base.id if shared.base else ""}
    wishes = await session.phone_groups.firmware_wishes(**where)
    found = await find_warnings(session, wishes, site=shared.site, base=shared.base)
    return [warning.text for warning in found if warning.source == source]


async def refuse_in_use(session: Session, who: Actor, what: str, *, site: str = "", base_settings: str = "") -> None:
    """Raises InUse naming the first phones of those that the one who asks may see."""
    groups = await session.phone_groups.groups(site=site, base_settings=base_settings)
    if not groups:
        return
    try:
        visible = who.sites("phones:view")
    except Forbidden:
        visible = frozenset()
    first = await session.phone_groups.first(MOST_NAMED, visible, site=site, base_settings=base_settings)
    raise InUse(what, sum(group.phones for group in groups), first)


def check_revision(what: str, wanted: int | None, current: int) -> None:
    """Raises Stale when the one who writes has read another revision."""
    if wanted is not None and wanted != current:
        raise Stale(f"{what} changed by somebody else meanwhile: revision {current}, not {wanted}")


def checked_reason(reason: str, *, needed: bool = False) -> str:
    """Why somebody does something, as it is written down. Raises BadValue."""
    if needed and not reason.strip():
        raise BadValue("reason", "must say why: it is written down with your name")
    return check_text("reason", reason.strip())


def _counted(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, number in counts:
        if name:
            found[name] = found.get(name, 0) + number
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
