"""What is new of the status of phones, read from the database: whichever process wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ztp_server.services.history_views import status_view
from ztp_server.services.phone_list import PhoneList, listed_status
from ztp_server.services.phone_registration import hearing
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.store.status_changes import Newest

# Phones told of at once; when more changed, whoever follows reads the list anew.
MOST_PHONES = 1000
# Check-ins are written some time after they happened.
_WRITTEN_LATE = timedelta(seconds=15)
# Changes by which the status of no phone changes.
_OF_NO_CONCERN = frozenset({"proof", "certificate"})
_PLATFORM = "a platform began or ceased to tell who is registered"
_POSITION = re.compile(r"([0-9]{1,15})-([0-9]{1,15})-([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Position:
    """How far somebody followed."""

    newest: Newest
    at: datetime

    def __str__(self) -> str:
        return f"{self.newest.change}-{self.newest.registration}-{int(self.at.timestamp() * 1000)}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """None for what is no position."""
        found = _POSITION.fullmatch(text)
        try:
            if found is None:
                return None
            change, registration, milliseconds = map(int, found.groups())
            return cls(Newest(change, registration), datetime.fromtimestamp(milliseconds / 1000, UTC))
        except (ValueError, OverflowError, OSError):
            return None


@dataclass(frozen=True, slots=True)
class News:
    """What is new up to `position`: `phones` as they are now, or `refresh`, why a list is to be read anew."""

    position: Position
    phones: tuple[Mapping[str, Any], ...] = ()
    refresh: str = ""


class StatusChanges:
    """Reads on from one position to the next. `moved` is what is remembered beside it."""

    def __init__(self, store: Store, templates: Templates, phone_list: PhoneList) -> None:
        self._store = store
        self._templates = templates
        self._phone_list = phone_list
        self._snapshot: object = templates.snapshot
        self._hearing: object = None
        self._seen: dict[str, datetime] = {}

    async def begin(self) -> Position:
        """Where everything is as it is now. Raises StoreUnavailable."""
        async with self._store.read() as session:
            self._hearing = await hearing(session)
            return Position(await session.status_changes.newest(), datetime.now(UTC))

    async def since(self, position: Position, *, again: bool = False) -> News:
        """What is new since a position; `again` for who comes back with it. Raises StoreUnavailable."""
        async with self._store.read() as session:
            newest = await session.status_changes.newest()
            here = Position(newest, datetime.now(UTC))
            reason = await self._of_all(session, position, newest)
            if again and not reason:
                states = await session.registrations.states()
                reason = _PLATFORM if any(since > position.at for _, since in states.values()) else ""
            if reason:
                return News(here, refresh=reason)
            found = await self._of_some(session, position, here)
            if isinstance(found, str):
                return News(here, refresh=found)
            facts = await self._phone_list.facts(session)
            listed = await session.phone_list.some(found, facts)
            phones = tuple(
                {
                    **{name: getattr(one.phone, name) for name in ("id", "name", "site")},
                    "hardware_id": one.phone.hardware_id or None,
                    "status": status_view(listed_status(one)),
                }
                for one in listed
            )
            return News(here, phones)

    async def _of_all(self, session: Session, position: Position, newest: Newest) -> str:
        """Why all phones may have another status now; empty when it is some at most."""
        if self._templates.snapshot is not self._snapshot:
            self._snapshot = self._templates.snapshot
            return "templates were changed"
        now = await hearing(session)
        if now != self._hearing:
            self._hearing = now
            return _PLATFORM
        behind = position.newest.change
        if behind > newest.change or position.newest.registration > newest.registration:
            return "this is another database"
        if behind + 1 < await session.status_changes.oldest_change():
            return "too much was changed"
        return ""

    async def _of_some(self, session: Session, position: Position, here: Position) -> list[str] | str:
        """The ids of the phones that may have another status; or why it may be all of them."""
        changes, most = session.status_changes, MOST_PHONES + 1
        changed = await changes.changed(position.newest, most)
        others = {kind for kind, _ in changed} - _OF_NO_CONCERN - {"phone"}
        if others:
            return f"{', '.join(sorted(others))} changed"
        keys = {key for kind, key in changed if kind == "phone"}
        ids = dict.fromkeys(await session.registrations.ids_of(keys))
        if len(ids) < len(keys):
            return "phones were removed"
        seen = await changes.seen(position.at - _WRITTEN_LATE, most)
        ids |= dict.fromkeys(phone_id for phone_id, at in seen if self._seen.get(phone_id) != at)
        self._seen = dict(seen)
        ids |= dict.fromkeys(await changes.registered(position.newest, most))
        ids |= dict.fromkeys(await changes.due(position.at, here.at, most))
        return "too much was changed" if max(len(ids), len(changed), len(seen)) > MOST_PHONES else list(ids)


def cut(news: News, sites: frozenset[str] | None) -> News:
    """What of it concerns these sites (None: all)."""
    if sites is None:
        return news
    return replace(news, phones=tuple(phone for phone in news.phones if phone["site"] in sites))
