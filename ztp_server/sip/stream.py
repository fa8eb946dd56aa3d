"""SIP over TCP and TLS: a connection we made, kept while somebody waits for something on it.

We listen nowhere: who wants to tell us something does so on the connection by which we asked to be told, whose address
is the Contact we give.
"""

from __future__ import annotations

import asyncio
import ssl

from ztp_server.sip.channel import Channel, Receiver
from ztp_server.sip.clock import Clock, Intervals, Timer
from ztp_server.sip.framing import Framer
from ztp_server.sip.message import Malformed
from ztp_server.sip.outcome import Kind, Unanswered

# What waits to be sent to a peer that does not read; beyond it the connection is given up.
_MOST_WAITING = 1 << 20
_PING, _PONG = b"\r\n\r\n", b"\r\n"


class Connection(Channel, asyncio.Protocol):
    """One connection. Told to `receiver`: each message, and that it is gone."""

    def __init__(self, receiver: Receiver, clock: Clock, intervals: Intervals, transport: str) -> None:
        self.transport = transport
        self.local = self.remote = ("", 0)
        self.is_open = False
        self._receiver = receiver
        self._clock = clock
        self._intervals = intervals
        self._framer = Framer()
        self._wire: asyncio.Transport | None = None
        self._holders = 0
        self._heard = self._used = clock.time()
        self._awake: Timer | None = None
        self._whole: Timer | None = None
        self._gone: tuple[Kind, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport
        self.local = transport.get_extra_info("sockname")[:2]
        self.remote = transport.get_extra_info("peername")[:2]
        self.is_open = True
        self._heard = self._used = self._clock.time()
        self._awake = self._clock.call_later(self._intervals.keepalive, self._stay)

    def data_received(self, data: bytes) -> None:
        if not self.is_open:
            return
        self._heard = self._used = self._clock.time()
        pings = self._framer.pings
        try:
            messages = self._framer.feed(data)
        except Malformed as error:
            self._receiver.garbled(data, self)
            self.give_up("malformed", str(error))
            return
        if self._framer.pings > pings and self._wire is not None:
            self._wire.write(_PONG)
        for message in messages:
            self._receiver.received(message, self)
        self._watch(bool(messages))

    def _watch(self, was_whole: bool) -> None:
        """A message that is begun must be whole before long, however it trickles in."""
        if self._whole and (was_whole or not self._framer.is_amid):
            self._whole.cancel()
            self._whole = None
        if self._framer.is_amid and self._whole is None and self.is_open:
            self._whole = self._clock.call_later(
                self._intervals.whole_message, lambda: self.give_up("malformed", "a message that does not end")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):
            kind, reason = tls_reason(exc)
        elif self._framer.is_amid:
            kind, reason = "malformed", "closed amid a message"
        else:
            kind, reason = "no_answer", "the connection was closed"
        self._finish(kind, reason)

    def send(self, raw: bytes) -> None:
        if not self.is_open or self._wire is None or self._wire.is_closing():
            raise Unanswered("no_answer", "the connection was closed")
        if self._wire.get_write_buffer_size() > _MOST_WAITING:
            self.give_up("no_answer", "the peer does not read")
            raise Unanswered("no_answer", "the peer does not read")
        self._used = self._clock.time()
        self._wire.write(raw)

    def hold(self) -> None:
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        self._used = self._clock.time()

    def doubt(self) -> None:
        if self._clock.time() - self._heard >= self._intervals.give_up:
            self.give_up("no_answer", "the peer says nothing")

    def give_up(self, kind: Kind, reason: str) -> None:
        """Close at once; those who wait are told why."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()
        self._finish(kind, reason)

    def _stay(self) -> None:
        """Every keepalive interval: closed when nobody needs it any more, else kept open in the middle boxes too."""
        if self._holders == 0 and self._clock.time() - self._used >= self._intervals.idle:
            self.give_up("no_answer", "idle")
        elif self.is_open and self._wire is not None:
            self._wire.write(_PING)
            self._awake = self._clock.call_later(self._intervals.keepalive, self._stay)

    def _finish(self, kind: Kind, reason: str) -> None:
        was_open, self.is_open = self.is_open, False
        for timer in (self._awake, self._whole):
            if timer is not None:
                timer.cancel()
        if was_open:
            self._receiver.lost(self, kind, reason)


def tls_reason(error: ssl.SSLError) -> tuple[Kind, str]:
    """Why TLS failed, in a few words of OpenSSL's."""
    said = getattr(error, "verify_message", "") or (error.reason or type(error).__name__).replace("_", " ").lower()
    return "tls_failed", said
