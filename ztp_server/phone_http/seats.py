"""Connections that were let in: each has a seat, from its TLS handshake to its end."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from contextlib import suppress

from ztp_server.phone_http.doorstep import Entry
from ztp_server.phone_http.slow_readers import Pace
from ztp_server.phone_http.sources import Source


class Seat:
    """One connection. `task` speaks TLS with it; `transport` is there when that is done. `client` is whose a proxy said
    it is: empty when it named nobody, None where no proxy said anything."""

    __slots__ = ("client", "entry", "has_left", "pace", "since", "source", "task", "transport")

    def __init__(self, source: Source, entry: Entry, since: float, client: str | None = None) -> None:
        self.client = client
        self.source = source
        self.entry = entry
        self.since = since
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.BaseTransport | None = None
        self.pace = Pace()
        self.has_left = False

    def abort(self) -> None:
        """End a connection that is idle, without a word."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    def cut(self) -> None:
        """End a connection at work: what is being sent fails, as when the other end had hung up. (asyncio does not bear
        an abort while it sends a file.)"""
        sock = self.transport.get_extra_info("socket") if self.transport else None
        self.transport = None
        with suppress(OSError):
            if sock:
                sock.shutdown(socket.SHUT_RDWR)


class Seats:
    """All that are taken: in a handshake, idle (in the order they became so), or at work."""

    def __init__(self) -> None:
        self.all: set[Seat] = set()
        self.handshakes: OrderedDict[Seat, None] = OrderedDict()
        self.idle: OrderedDict[Seat, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.all)

    def take(self, seat: Seat) -> None:
        self.all.add(seat)
        seat.source.open += 1
        self.handshakes[seat] = None
        seat.source.handshakes += 1

    def end_handshake(self, seat: Seat, *, finished: bool) -> bool:
        """Whether it was still in its handshake."""
        if seat not in self.handshakes:
            return False
        del self.handshakes[seat]
        seat.source.handshakes -= 1
        if finished:
            seat.source.finished += 1
        else:
            seat.source.failed += 1
        return True

    def rest(self, seat: Seat) -> None:
        if not seat.has_left:
            self.idle[seat] = None
            seat.source.idle[seat] = None

    def work(self, seat: Seat) -> None:
        self.idle.pop(seat, None)
        seat.source.idle.pop(seat, None)

    def leave(self, seat: Seat) -> bool:
        """Whether it had not left before."""
        if seat.has_left:
            return False
        seat.has_left = True
        self.work(seat)
        self.all.discard(seat)
        seat.source.open -= 1
        return True
