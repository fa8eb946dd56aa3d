"""Requests that were answered: one that is repeated is given the same answer (RFC 3261, section 17.2.2)."""

from __future__ import annotations

from collections import OrderedDict

import sipmessage

from ztp_server.sip.clock import Clock
from ztp_server.sip.message import COOKIE, address, via

MOST = 4096
MOST_BYTES = 4 << 20

Key = tuple[str, ...]


def key(request: sipmessage.Request) -> Key:
    """What all repetitions of a request have in common (RFC 3261, section 17.2.3). Raises Malformed."""
    first = via(request)
    if first.branch.startswith(COOKIE) and len(first.branch) > len(COOKIE):
        return (first.branch, first.host.lower(), str(first.port), request.method)
    headers = request.headers
    return (headers["Via"], headers["Call-ID"], headers["CSeq"], address(headers["From"]).tag, str(request.uri))


class AnsweredRequests:
    """The answers of the last `seconds`, the oldest left out first where they become too many."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._answers: OrderedDict[Key, tuple[float, bytes]] = OrderedDict()
        self._size = 0

    def again(self, request: Key) -> bytes | None:
        """What this was answered with."""
        self._drop_old()
        found = self._answers.get(request)
        return found[1] if found else None

    def remember(self, request: Key, answer: bytes) -> None:
        self._answers[request] = (self._clock.time(), answer)
        self._size += len(answer)
        self._drop_old()

    def _drop_old(self) -> None:
        oldest = self._clock.time() - self._seconds
        while self._answers:
            at, answer = next(iter(self._answers.values()))
            if at >= oldest and len(self._answers) <= MOST and self._size <= MOST_BYTES:
                return
            self._answers.popitem(last=False)
            self._size -= len(answer)
