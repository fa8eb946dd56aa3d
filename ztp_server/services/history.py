"""What phones asked for and were given, at any time that is still remembered: removed phones as well."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime

from ztp_server.domain.access import Actor
from ztp_server.domain.attempt import Attempt, Given
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.moment import shown_moment
from ztp_server.errors import NotFound
from ztp_server.store import Session, Store


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file as a phone was given it, with `***` for each secret."""

    given: Given
    content_type: str
    body: bytes


class History:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def attempts(
        self, who: Actor, phone: str, limit: int, *, file: str = "", below: int | None = None
    ) -> list[Attempt]:
        """What a phone asked for and was answered, newest first: runs of requests alike, also what was refused in its
        name. `phone` is an id or a hardware ID; `below` is the number of the last run of the page before. Raises
        BadValue and NotFound."""
        async with self._store.read() as session:
            mac = await _hardware_id(session, who, phone)
            return await session.check_in_log.page(mac, limit=limit, file=file, below=below, sites=_sites(who))

    async def given(self, who: Actor, phone: str, at: datetime) -> list[Given]:
        """What a phone had been given last of each file by a time. Raises BadValue and NotFound."""
        async with self._store.read() as session:
            mac = await _hardware_id(session, who, phone)
            return await session.check_in_log.given(mac, at, sites=_sites(who))

    async def file(self, who: Actor, phone: str, name: str, at: datetime) -> GivenFile:
        """The bytes of a file as a phone had been given them last by a time. Raises BadValue, and NotFound when it had
        been given none by then, or they are not kept."""
        async with self._store.read() as session:
            mac = await _hardware_id(session, who, phone)
            found = await session.check_in_log.given(mac, at, name, sites=_sites(who))
            if not found:
                raise NotFound(f"{mac} had been given no {name[:255]} by {shown_moment(at)}")
            kept = await session.served_files.get(found[0].etag)
        if kept is None:
            raise NotFound(f"the bytes of {name} as given at {shown_moment(found[0].at)} are not kept")
        return GivenFile(found[0], kept[1], kept[0])

    async def diff(self, who: Actor, phone: str, name: str, earlier: datetime, later: datetime) -> str:
        """What differs between a file as a phone had been given it by two times, as a unified diff; empty when nothing
        but secrets does. Raises as `file`."""
        one, other = await self.file(who, phone, name, earlier), await self.file(who, phone, name, later)
        return "".join(difflib.unified_diff(_lines(one.body), _lines(other.body), _title(one), _title(other)))


async def _hardware_id(session: Session, who: Actor, phone: str) -> str:
    """The hardware ID under which a phone's history stands. Who may see the audit may see that of phones that are
    gone; of one that may not be seen nothing is told, not even that it is there."""
    try:
        found = await session.phones.get_any(phone)
    except NotFound:
        if not who.may("audit:view") or _is_id(phone):
            raise
        return HardwareId.parse(phone).value
    if not who.may("phones:view", found.site):
        raise NotFound(f"no phone {phone.strip().lower()}")
    return found.hardware_id


def _sites(who: Actor) -> frozenset[str] | None:
    """Of which sites one may see what was given there. The address of a phone that is one's own may have been another's
    before."""
    return None if who.may("audit:view") else who.sites("phones:view")


def _is_id(text: str) -> bool:
    return len(text.strip()) == 32


def _title(shown: GivenFile) -> str:
    return f"{shown.given.file} {shown.given.at:%Y-%m-%dT%H:%M:%SZ}"


def _lines(body: bytes) -> list[str]:
    """Each with an end, so that what is last in a file shows as a line of its own."""
    return [f"{line}\n" for line in body.decode("utf-8", "replace").splitlines()]
