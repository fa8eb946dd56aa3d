"""A subscription that lasts (RFC 6665): asked for, refreshed, asked for again when it was lost, and given back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass
from types import TracebackType

from ztp_server.errors import ZtpError
from ztp_server.sip.clock import Clock, Intervals, limited
from ztp_server.sip.destination import Destination
from ztp_server.sip.digest import Login
from ztp_server.sip.inbound import Inbound
from ztp_server.sip.outcome import Response, Unanswered
from ztp_server.sip.requester import Call, Part, Requester, as_outcome
from ztp_server.sip.subscribe_call import Ended, Notified, SubscribeCall

MOST_WAITING = 64
# What asking again later can change (RFC 3261, section 21): the others say no for good.
_PASSING = frozenset({408, 423, 429, 430, 480, 481, 482, 483, 486, 491})
_MOST_SECONDS = 3600
# Whatever a notifier grants: it is not to make us ask without end.
_SHORTEST = 1.0


@dataclass(frozen=True, slots=True)
class Interrupted:
    """We are not told anything at the moment: what was known may be out of date. It is asked for again, and everything
    is told anew then, unless `is_over`."""

    reason: str
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is subscribed to. `expires` is in seconds; `call` is copied for each dialog."""

    target: str
    recipient: str
    sender: str
    event: str
    accept: str
    expires: int


class Subscription:
    """`async with` keeps it, `async for` gives what is told: Notified and Interrupted. It ends when it was refused for
    good, or left. Whoever reads too slowly is told Interrupted, and then everything anew. Those that share a `gate`
    have only so many requests under way."""

    def __init__(
        self,
        requester: Requester,
        inbound: Inbound,
        clock: Clock,
        intervals: Intervals,
        destination: Destination,
        wanted: Wanted,
        login: Login,
        gate: asyncio.Semaphore | None = None,
    ) -> None:
        # Whether we are told of changes now.
        self.is_active = False
        self._requester = requester
        self._inbound = inbound
        self._clock = clock
        self._intervals = intervals
        self._destination = destination
        self._wanted = wanted
        self._login = login
        self._gate = gate or asyncio.Semaphore(1)
        self._expires = wanted.expires
        self._failures = 0
        self._asked_anew = False
        self._no_more_pause = asyncio.Event()
        self._items: deque[Notified | Interrupted] = deque()
        self._readable = asyncio.Event()
        self._current: SubscribeCall | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Subscription:
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Notified | Interrupted:
        while not self._items:
            if self._task is None or self._task.done():
                raise StopAsyncIteration
            self._readable.clear()
            await self._readable.wait()
        return self._items.popleft()

    def refresh(self) -> None:
        """Ask now, whatever time is left, or was to pass until it is tried again: the notifier tells everything anew
        (RFC 6665, section 4.4.1)."""
        self._asked_anew = True
        self._no_more_pause.set()
        if self._current is not None:
            self._current.changed.set()

    def start_over(self) -> None:
        """Ask in a new dialog: the notifier seems to have forgotten this one."""
        self._no_more_pause.set()
        if self._current is not None:
            self._current.end(Ended("asked for anew", retry_after=0))

    async def close(self) -> None:
        """Give it back, as far as the other side listens, and end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._readable.set()

    async def _live(self) -> None:
        try:
            while True:
                ended = await self._one_dialog()
                self.is_active = False
                self._put(Interrupted(ended.reason, ended.is_final))
                if ended.is_final:
                    return
                await self._pause(ended)
        finally:
            self.is_active = False
            self._readable.set()

    async def _one_dialog(self) -> Ended:
        """From the first SUBSCRIBE to the end of the dialog."""
        wanted = self._wanted
        call = SubscribeCall(Call(wanted.target, wanted.recipient, wanted.sender), wanted.event, self._told)
        place = (call.call.call_id, call.call.tag)
        self._inbound.dialogs[place] = self._current = call
        try:
            return await self._refreshed(call)
        except asyncio.CancelledError:
            await self._give_back(call)
            raise
        finally:
            call.drop_channel()
            del self._inbound.dialogs[place]
            self._current = None

    async def _refreshed(self, call: SubscribeCall) -> Ended:
        while True:
            self._asked_anew = False
            try:
                response = await self._subscribe(call, self._expires)
            except ZtpError as error:
                return Ended(f"an answer that cannot be followed: {error}")
            if not response.ok:
                return call.ended or self._refusal(response)
            granted = response.number("Expires")
            call.granted = None
            seconds = min(self._expires, self._expires if granted is None else granted)
            ended = await self._until_due(call, seconds)
            if ended is not None:
                return ended

    async def _until_due(self, call: SubscribeCall, granted: int) -> Ended | None:
        """Wait until it is time to refresh; why the dialog is over, if it is."""
        now = self._clock.time()
        due, told_by = now + _margin(granted), now + self._intervals.give_up
        while True:
            if call.ended is not None or granted == 0:
                return call.ended or Ended("granted for no time")
            if call.granted is not None:
                due, call.granted = min(due, self._clock.time() + _margin(call.granted)), None
            if self._asked_anew:
                return None
            now = self._clock.time()
            if not call.was_told and now >= told_by:
                # Timer N (RFC 6665, section 4.1.2.4).
                return Ended("accepted, but nothing was told")
            if now >= due:
                return None
            await self._wait(call, (due if call.was_told else min(due, told_by)) - now)

    async def _wait(self, call: SubscribeCall, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with limited(self._clock, seconds):
                await call.changed.wait()
        call.changed.clear()

    def _told(self, one: Notified) -> None:
        self._failures = 0
        self.is_active = one.state != "terminated"
        self._put(one)

    def _put(self, item: Notified | Interrupted) -> None:
        if len(self._items) >= MOST_WAITING:
            self._items.clear()
            self._items.append(Interrupted("what was told was not read in time"))
            self._asked_anew = isinstance(item, Notified)
        else:
            self._items.append(item)
        self._readable.set()

    async def _subscribe(self, call: SubscribeCall, expires: int) -> Response:
        """Raises Malformed, and BadValue when what was learnt of the other side cannot be said."""
        wanted = self._wanted
        headers = (("Event", wanted.event), ("Accept", wanted.accept), ("Expires", str(expires)))
        part = Part("SUBSCRIBE", headers, contact=True)
        try:
            async with self._gate:
                final, channel = await self._requester.send(call.call, part, self._destination, self._login)
        except Unanswered as error:
            return error.as_response()
        if 200 <= final.code < 300:
            call.accepted(final, channel)
        return as_outcome(final)

    def _refusal(self, response: Response) -> Ended:
        least = response.number("Min-Expires")
        if response.code == 423 and least is not None and self._expires < least <= 24 * _MOST_SECONDS:
            self._expires = least
            return Ended(str(response), retry_after=0)
        is_passing = response.kind != "answered" or response.code in _PASSING or 500 <= response.code < 600
        is_final = not is_passing or response.code == 501
        return Ended(str(response), 0 if response.code == 481 else response.number("Retry-After"), is_final)

    async def _pause(self, ended: Ended) -> None:
        """Before it is asked for again: at once after the first loss, and the longer the more often it fails."""
        self._failures += 1
        is_first = self._failures == 1 and ended.retry_after == 0
        longer = min(self._intervals.t1 * 2 ** min(self._failures, 10), self._intervals.most_pause)
        least = 0.0 if is_first else longer * random.uniform(0.75, 1.0)
        await self._sleep(max(least, min(ended.retry_after or 0, _MOST_SECONDS)))

    async def _sleep(self, seconds: float) -> None:
        self._no_more_pause.clear()
        with contextlib.suppress(TimeoutError):
            async with limited(self._clock, seconds):
                await self._no_more_pause.wait()

    async def _give_back(self, call: SubscribeCall) -> None:
        if not call.call.remote_tag or call.ended is not None:
            return
        with contextlib.suppress(TimeoutError, ZtpError):
            async with limited(self._clock, self._intervals.t2):
                await self._subscribe(call, 0)


def _margin(granted: int) -> float:
    """After how much of a granted time it is refreshed: not all at the same moment, and with time to ask twice."""
    return max(granted * random.uniform(0.75, 0.9), _SHORTEST)
