"""Where connections come from, and what each such source has open."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from ztp_server.phone_http.bounds import Bounds

if TYPE_CHECKING:
    from ztp_server.phone_http.doorstep import Knock
    from ztp_server.phone_http.seats import Seat


class Source:
    """One address (of IPv6 a /64) that has connections here. `silent` said nothing yet, `ready` wait for their turn,
    `idle` are open and ask for nothing, each in order of time. A `boundless` one is a proxy: it stands for many."""

    __slots__ = ("boundless", "failed", "finished", "handshakes", "idle", "key", "open", "ready", "silent")

    def __init__(self, key: str, *, boundless: bool) -> None:
        self.key = key
        self.boundless = boundless
        self.silent: OrderedDict[Knock, None] = OrderedDict()
        self.ready: OrderedDict[Knock, None] = OrderedDict()
        self.idle: OrderedDict[Seat, None] = OrderedDict()
        self.handshakes = 0
        self.open = 0
        # Handshakes that came to a good end, and those that did not.
        self.finished = 0
        self.failed = 0

    @property
    def waiting(self) -> int:
        return len(self.silent) + len(self.ready)

    @property
    def is_gone(self) -> bool:
        return not (self.silent or self.ready or self.open)

    @property
    def is_doubtful(self) -> bool:
        """Whether it has more handshakes going on than it has earned: one to begin with, and one for each that it
        finished and has not spoilt by one that failed."""
        return self.handshakes > self.finished - self.failed

    def is_full(self, bounds: Bounds) -> bool:
        """Whether no more of it can be let in, not even in the place of another of its own."""
        if self.boundless:
            return False
        no_seat = self.open >= bounds.seats_of_one and not self.idle
        return no_seat or self.handshakes >= bounds.handshakes_of_one
