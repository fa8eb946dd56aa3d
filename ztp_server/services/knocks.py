"""What knocked: requests in the name of phones that are none of ours, gathered for a second and written down together.

Anybody can make up a million MACs, so there is a bound to what is remembered, to what is written in a second, and to
the table itself. Beyond it a knock is counted and nothing else; a phone that is really there asks again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ztp_server.domain.request import Outcome, PhoneRequest
from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.services.templates import Templates
from ztp_server.store import Session

# MACs remembered between two flushes, and of them those that one address may name: one that makes them up leaves room
# for others.
MOST_WAITING = 1000
MOST_OF_ADDRESS = 100
# New rows of one flush.
MOST_NEW = 200
# Of a name, so many characters are looked at.
_MOST_NAME = 129
_REPORT_EVERY = timedelta(minutes=1)

Knocked = dict[str, UnknownPhone]


class Knocks:
    """`left_out` counts the requests that were not written down because there were too many."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._waiting: Knocked = {}
        self._of_address: Counter[str] = Counter()
        self._reported_at = datetime.min.replace(tzinfo=UTC)
        self._unreported: list[UnknownPhone] = []
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, request: PhoneRequest, outcome: Outcome) -> None:
        """Remember that somebody without a proof asked in the name of a MAC, if it may be a phone: its address block,
        User-Agent or the name it asks for is a maker's. Whether the MAC is a phone's of ours is looked up later."""
        mac = outcome.mac
        if outcome.proof or not mac:
            return
        vendor = outcome.vendor or self._templates.catalog.vendor_of_oui(mac) or ""
        if not vendor and not outcome.file:
            return
        earlier = self._waiting.get(mac)
        if earlier is None and not self._has_room(request.address):
            self.left_out += 1
            return
        knock = _knock(request, outcome, vendor)
        self._waiting[mac] = earlier.then(knock) if earlier else knock

    def take(self) -> Knocked:
        """What came since the last time, to be written now."""
        waiting, self._waiting = self._waiting, {}
        self._of_address.clear()
        return waiting

    def put_back(self, waiting: Knocked) -> None:
        """What could not be written waits for the next time."""
        for mac, later in self._waiting.items():
            waiting[mac] = waiting[mac].then(later) if mac in waiting else later
        self._waiting = dict(list(waiting.items())[:MOST_WAITING])

    async def write(self, session: Session, waiting: Knocked) -> list[UnknownPhone]:
        """Write down what knocked and is no phone of ours. Returns those of whom somebody wants to hear, as they are
        known now. Raises StoreUnavailable."""
        if not waiting:
            return []
        now = datetime.now(UTC)
        ours = await session.phones.taken(waiting)
        knocks = [knock.harmless() for mac, knock in waiting.items() if mac not in ours]
        there = await session.unknown_phones.of([knock.mac for knock in knocks])
        again = [there[knock.mac].then(knock) for knock in knocks if knock.mac in there]
        new = [self._told_by_name(knock) for knock in knocks if knock.mac not in there]
        self.left_out += sum(knock.count for knock in new[MOST_NEW:])
        new = new[:MOST_NEW]
        await session.unknown_phones.keep([*again, *new])
        if new:
            await session.unknown_phones.make_room(now)
        await self._report(session, new, now)
        return [phone for phone in (*again, *new) if not phone.denied_by]

    def _has_room(self, address: str) -> bool:
        if len(self._waiting) >= MOST_WAITING or self._of_address[address] >= MOST_OF_ADDRESS:
            return False
        self._of_address[address] += 1
        return True

    def _told_by_name(self, knock: UnknownPhone) -> UnknownPhone:
        """Where nothing else tells the vendor, the name it asks for may be that of one alone."""
        if knock.vendor or not knock.files:
            return knock
        vendors = {candidate.vendor for candidate in self._templates.catalog.match(knock.files[0]).candidates}
        return replace(knock, vendor=vendors.pop()) if len(vendors) == 1 else knock

    async def _report(self, session: Session, new: Sequence[UnknownPhone], now: datetime) -> None:
        """An event that new ones are there, once a minute at most."""
        self._unreported = [*self._unreported, *new][:MOST_WAITING]
        if not self._unreported or now - self._reported_at < _REPORT_EVERY:
            return
        first, more = self._unreported[0], len(self._unreported) - 1
        self._reported_at, self._unreported = now, []
        words = (first.mac, first.model or first.vendor, first.address and f"at {first.address}")
        said = " ".join(filter(None, words)) + (f", and {more} more" if more else "")
        await session.events.add("server", "phone.knocked", first.mac, {"reason": said})


def _knock(request: PhoneRequest, outcome: Outcome, vendor: str) -> UnknownPhone:
    now, shown = datetime.now(UTC), request.certificate
    if shown and shown.mac == outcome.mac:
        vendor = shown.vendor
    # Of what a User-Agent says, only that of the same maker can be true.
    said = vendor == outcome.vendor
    return UnknownPhone(
        mac=outcome.mac,
        first_at=now,
        last_at=now,
        vendor=vendor,
        model=outcome.model if said else "",
        firmware=outcome.firmware if said else "",
        address=request.address,
        certificate=shown.sha256 if shown else "",
        certified=shown.mac if shown else "",
        files=((outcome.file or request.path)[:_MOST_NAME],),
    )
