"""The status of phones, pushed: who follows is told of each change in a second or two, whichever process made it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from ztp_server.domain.access import Actor
from ztp_server.errors import Forbidden, StoreUnavailable, TooMany
from ztp_server.services.phone_list import PhoneList
from ztp_server.services.status_changes import News, Position, StatusChanges, cut
from ztp_server.services.templates import Templates
from ztp_server.store import Store
from ztp_server.store.changes import ChangeFeed

# Who follows, in all and of one actor: each holds a connection to the admin listener, which has 256.
MOST_FOLLOWERS, MOST_OF_ONE = 64, 8
# News that wait for one who is slow to read; one who has more waiting is hung up on.
MOST_WAITING = 16
# Between two looks; so long nothing is said at most; and after so long whoever follows has to come again and show that
# they still may.
LOOK_SECONDS = 0.25
BEAT_SECONDS = 15.0
LONGEST_SECONDS = 300.0
# So long after a look at what a token allows it is looked at again before more is told.
_TRUSTED_SECONDS = 1.0
# At least so often, because some things change by the clock.
_CLOCK_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(eq=False)
class _Follower:
    sites: frozenset[str] | None
    waiting: asyncio.Queue[News | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING + 1))

    def tell(self, news: News) -> bool:
        """Whether there was room."""
        if self.waiting.qsize() >= MOST_WAITING:
            return False
        self.waiting.put_nowait(news)
        return True


class StatusFeed:
    """Looks only while somebody follows, once for all of them."""

    def __init__(self, store: Store, templates: Templates, phone_list: PhoneList) -> None:
        self._store = store
        self._parts = store, templates, phone_list
        self._followers: set[_Follower] = set()
        self._of_actor: Counter[str] = Counter()
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False
        self._begun = asyncio.Event()
        self._started_at = datetime.now(UTC)

    async def follow(self, who: Actor, after: str = "") -> AsyncGenerator[News | None, None]:
        """What is new of the phones that one may see, from a position on (empty: from now on). The first is where that
        is, or that the list is to be read anew; None from time to time says that nothing is new. It ends when too much
        waits to be read, after five minutes, when the token is good no more or for other sites, and when the server
        stops: then follow on from the last position. Raises Forbidden, and TooMany."""
        sites = who.sites("phones:view")
        if len(self._followers) >= MOST_FOLLOWERS or self._of_actor[who.name] >= MOST_OF_ONE:
            raise TooMany("too many follow already", 30)
        return self._follow(who, sites, after)

    def close(self) -> None:
        """Let everybody go, and nobody in."""
        self._is_closed = True
        for follower in list(self._followers):
            self._hang_up(follower)

    async def _follow(self, who: Actor, sites: frozenset[str] | None, after: str) -> AsyncGenerator[News | None, None]:
        if self._is_closed:
            return
        follower, name = _Follower(sites), who.name
        self._followers.add(follower)
        self._of_actor[name] += 1
        self._look()
        try:
            # From where it looks on: what is new before that would be told to nobody.
            await self._begun.wait()
            yield cut(await self._first(after), sites)
            loop = asyncio.get_running_loop()
            checked = loop.time()
            end = checked + LONGEST_SECONDS
            while loop.time() < end:
                try:
                    async with asyncio.timeout(min(BEAT_SECONDS, max(0.0, end - loop.time()))):
                        news = await follower.waiting.get()
                except TimeoutError:
                    found: News | None = None
                else:
                    if news is None:
                        return
                    found = cut(news, sites)
                    if not (found.phones or found.refresh):
                        continue
                if loop.time() - checked >= _TRUSTED_SECONDS:
                    if not await self._may_still(who, sites):
                        return
                    checked = loop.time()
                yield found
        finally:
            self._followers.discard(follower)
            self._of_actor[name] -= 1
            if not self._of_actor[name]:
                del self._of_actor[name]
            if not self._followers and self._looking:
                self._looking.cancel()
                self._looking = None
                self._begun.clear()

    async def _may_still(self, who: Actor, sites: frozenset[str] | None) -> bool:
        """Whether the token that was shown allows the same as it did: people are logged out, and tokens revoked, while
        a stream goes on."""
        if not who.token:
            return True
        try:
            async with self._store.read() as session:
                held = await session.tokens.held(who.token)
            return held is not None and Actor(who.name, held.grants).sites("phones:view") == sites
        except Forbidden:
            return False
        except StoreUnavailable:
            return True  # what was found out before is all there is to tell

    async def _first(self, after: str) -> News:
        changes = StatusChanges(*self._parts)
        here = await changes.begin()
        if not after:
            return News(here)
        position = Position.parse(after)
        if position is None:
            return News(here, refresh="that is no position")
        if position.at < self._started_at:
            return News(here, refresh="the server was started anew")
        return await changes.since(position, again=True)

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())

    async def _look_on(self) -> None:
        feed: ChangeFeed | None = None
        position: Position | None = None
        changes, looked_at = StatusChanges(*self._parts), 0.0
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    feed = feed or self._store.new_feed()
                    if position is None:
                        feed.moved()
                        position = await changes.begin()
                        self._begun.set()
                    elif feed.moved() or loop.time() - looked_at >= _CLOCK_SECONDS:
                        looked_at = loop.time()
                        news = await changes.since(position)
                        position = news.position
                        self._tell(news)
                except StoreUnavailable:
                    pass  # what is new then is told when it is back
                except Exception:
                    log.exception("status_feed.failed")
                    position = None
                    for follower in list(self._followers):
                        self._hang_up(follower)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            if feed:
                feed.close()

    def _tell(self, news: News) -> None:
        if not news.phones and not news.refresh:
            return
        for follower in list(self._followers):
            if not follower.tell(news):
                self._hang_up(follower)

    def _hang_up(self, follower: _Follower) -> None:
        self._followers.discard(follower)
        while not follower.waiting.empty():
            follower.waiting.get_nowait()
        follower.waiting.put_nowait(None)
