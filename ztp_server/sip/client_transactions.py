"""Requests under way: sent again until answered, given up in time (RFC 3261, section 17.1.2; no INVITE is ever sent).

Timer K has no counterpart: it is there to swallow repeated answers, and one that nobody waits for is dropped anyway.
"""

from __future__ import annotations

import asyncio
import re

import sipmessage

from ztp_server.sip.channel import Channel
from ztp_server.sip.clock import Clock, Intervals, Timer
from ztp_server.sip.message import COOKIE, Malformed, split, via
from ztp_server.sip.outcome import Kind, Unanswered

MOST = 20_000
_BRANCH = re.compile(rf"{COOKIE}[0-9a-f]{{32}}".encode())


class ClientTransactions:
    """Branch → request under way. A branch holds 128 random bits, so whoever answers has seen the request."""

    def __init__(self, clock: Clock, intervals: Intervals) -> None:
        self._clock = clock
        self._intervals = intervals
        self._open: dict[str, _Transaction] = {}

    async def run(self, channel: Channel, branch: str, raw: bytes, call_id: str, cseq: int, method: str) -> _Final:
        """The final response. Raises Unanswered."""
        if len(self._open) >= MOST:
            raise Unanswered("refused", f"more than {MOST} requests at once")
        one = self._open[branch] = _Transaction(self._clock, self._intervals, channel, raw, (call_id, cseq, method))
        channel.hold()
        try:
            one.start()
            return await one.final
        finally:
            del self._open[branch]
            one.stop()
            channel.release()

    def response(self, message: sipmessage.Response) -> bool:
        """Whether somebody waits for this. Raises Malformed."""
        one = self._open.get(via(message).branch)
        if one is None or len(split(message.headers.getlist("Via"))) != 1:
            return False
        return one.response(message)

    def garbled(self, raw: bytes, channel: Channel) -> None:
        """Remember of whom something came that cannot be understood; that who answered may do better yet."""
        for one in (self._open.get(found.decode()) for found in _BRANCH.findall(raw)[:4]):
            if one is not None:
                one.is_garbled = True

    def lost(self, channel: Channel, kind: Kind, reason: str) -> None:
        """A connection is gone, and with it what was asked on it."""
        for one in list(self._open.values()):
            if one.channel is channel:
                one.fail(Unanswered(kind, reason))

    def close(self) -> None:
        for one in list(self._open.values()):
            one.fail(Unanswered("no_answer", "closed"))


_Final = sipmessage.Response


class _Transaction:
    def __init__(
        self, clock: Clock, intervals: Intervals, channel: Channel, raw: bytes, about: tuple[str, int, str]
    ) -> None:
        self.channel = channel
        self.final: asyncio.Future[_Final] = asyncio.get_running_loop().create_future()
        self.is_garbled = False
        self._clock = clock
        self._intervals = intervals
        self._raw = raw
        self._about = about
        self._wait = intervals.t1
        self._is_proceeding = False
        self._timers: dict[str, Timer] = {}

    def start(self) -> None:
        """Raises Unanswered when it cannot even be sent."""
        self.channel.send(self._raw)
        self._timers["F"] = self._clock.call_later(self._intervals.give_up, self._give_up)
        if not self.channel.is_reliable:
            self._timers["E"] = self._clock.call_later(self._wait, self._send_again)

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def response(self, message: sipmessage.Response) -> bool:
        if (message.headers["Call-ID"], message.cseq.sequence, message.cseq.method) != self._about:
            raise Malformed("an answer to something else")
        if message.code < 200:
            self._is_proceeding = True
        elif not self.final.done():
            self.final.set_result(message)
        return True

    def fail(self, error: Unanswered) -> None:
        if not self.final.done():
            self.final.set_exception(error)

    def _send_again(self) -> None:
        self._wait = self._intervals.t2 if self._is_proceeding else min(2 * self._wait, self._intervals.t2)
        try:
            self.channel.send(self._raw)
        except Unanswered as error:
            self.fail(error)
            return
        self._timers["E"] = self._clock.call_later(self._wait, self._send_again)

    def _give_up(self) -> None:
        self.channel.doubt()
        seconds = f"{self._intervals.give_up:.0f} s"
        if self.is_garbled:
            self.fail(Unanswered("malformed", f"nothing that can be understood within {seconds}"))
        else:
            self.fail(Unanswered("no_answer", f"no final answer within {seconds}"))
