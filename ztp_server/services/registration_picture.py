"""What one platform's source tells: taken in as it comes, and what of it is not written down yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from ztp_server.domain.platform import Platform
from ztp_server.domain.registration import Contact
from ztp_server.errors import ZtpError
from ztp_server.sip.sources.source import Everything, Place, Silent, Source, Told, Untold
from ztp_server.store.registrations import MOST_CONTACTS
from ztp_server.store.registrations import Told as Kept

Key = tuple[str, str]
OpenSource = Callable[[Platform], Source | None]

# Addresses of record remembered of one platform, ours or not: some 400 bytes each.
MOST_REMEMBERED = 200_000
# So many at a time, so that others get their turn in between.
_AT_ONCE = 200
# What a name may have in the database; who is longer is nobody of ours.
_LONGEST_USER, _LONGEST_DOMAIN = 128, 253
AGAIN_SECONDS = 15.0

log = structlog.get_logger()


class Picture:
    """What a platform told of each address of record. `unwritten` are those of which something new is known;
    `silent_because` is why it tells nothing now: None as long as it was not heard of, empty when it does tell.
    `changed` is set whenever there is something to write down."""

    def __init__(self, platform: Platform, changed: asyncio.Event) -> None:
        self.platform = platform
        self.silent_because: str | None = None
        self.unwritten: dict[Key, None] = {}
        self._known: dict[Key, tuple[tuple[Contact, ...], str]] = {}
        self._domains = tuple(dict.fromkeys(("", *(domain.lower() for domain in platform.domains))))
        self._changed = changed

    def remember(self, kept: Collection[Kept]) -> None:
        """Take in what was written down in earlier times."""
        for one in kept:
            self._known[one.user, one.domain] = (one.contacts, one.untold)

    def told_of(self, user: str) -> list[Kept]:
        """What is known of a SIP user, at each domain that this platform may tell of."""
        found = []
        for domain in self._domains:
            known = self._known.get((user, domain))
            if known:
                found.append(Kept(self.platform.id, user, domain, *known))
        return found

    def written(self, keys: Collection[Key]) -> None:
        """What is new of these was heeded."""
        for key in keys:
            self.unwritten.pop(key, None)

    async def take(self, report: object) -> None:
        """Take in a report of the source."""
        if isinstance(report, Everything):
            await self._take_everything(report)
        elif isinstance(report, Told):
            self._take(report.user, report.domain, _contacts(report.contacts), "")
        elif isinstance(report, Untold):
            self._take(report.user, report.domain, (), report.reason or "its platform does not say why")
        if isinstance(report, Silent):
            self.silent_because = report.reason or "it does not say why"
        else:
            self.silent_because = ""
        self._changed.set()

    async def _take_everything(self, report: Everything) -> None:
        told: set[Key] = set()
        for number, one in enumerate(report.told, 1):
            told.add((one.user, one.domain.lower()))
            self._take(one.user, one.domain, _contacts(one.contacts), "")
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        gone = [key for key, known in self._known.items() if key not in told and known != ((), "")]
        for number, key in enumerate(gone, 1):
            self._take(*key, (), "")
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _take(self, user: str, domain: str, contacts: tuple[Contact, ...], untold: str) -> None:
        key, value = (user, domain.lower()), (contacts, untold)
        if self._known.get(key) == value or not 0 < len(user) <= _LONGEST_USER or len(domain) > _LONGEST_DOMAIN:
            return
        if key[1] not in self._domains:
            return  # No phone of ours registers there.
        if (key not in self._known and len(self._known) >= MOST_REMEMBERED) or "\0" in user + domain:
            return
        self._known[key] = value
        self.unwritten[key] = None


class Reader:
    """Reads the source of a platform into its picture, for ever."""

    def __init__(self, picture: Picture, open_source: OpenSource) -> None:
        self.picture = picture
        self._open_source = open_source
        self._source: Source | None = None
        self._wanted: frozenset[str] | None = None
        self._task = asyncio.create_task(self._run())

    def want(self, aors: frozenset[str]) -> None:
        """Which addresses of record are ours."""
        if aors != self._wanted:
            self._wanted = aors
            if self._source:
                self._source.want(aors)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except ZtpError as error:  # a CA that cannot be used, an address that is none
                await self.picture.take(Silent(str(error)))
            except Exception:
                log.exception("registrations.failed", platform=self.picture.platform.id)
                await self.picture.take(Silent("a failure of our own: see the log"))
            finally:
                self._source = None
            await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self) -> None:
        source = self._open_source(self.picture.platform)
        if source is None:
            return
        async with source:
            self._source = source
            if self._wanted is not None:
                source.want(self._wanted)
            async for report in source:
                await self.picture.take(report)


def _contacts(places: tuple[Place, ...]) -> tuple[Contact, ...]:
    return tuple(
        Contact(
            uri=_storable(one.uri),
            transport=_storable(one.transport)[:16],
            user_agent=_storable(one.user_agent),
            expires_at=one.expires_at,
            received=_storable(one.received),
        )
        for one in places[:MOST_CONTACTS]
    )


def _storable(text: str) -> str:
    """What a database takes: hostile peers send anything."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:1024]
