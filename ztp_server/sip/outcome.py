"""What became of a request, as data: nothing that a peer or a network can do is an exception for those who ask."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

# `answered`: a final response came. `no_answer`: nothing in time, or the connection was closed. `refused`: it could not
# be sent: no such host, nobody listening, no way there. `tls_failed`: the peer is not who it should be, or does not
# take us for who we are. `malformed`: what came in answer cannot be understood.
Kind = Literal["answered", "no_answer", "refused", "tls_failed", "malformed"]

# SIP numbers as HTTP does, where it means the same; 481: no such dialog, 489: no such event.
_UNSUPPORTED = (HTTPStatus.METHOD_NOT_ALLOWED, 481, 489, HTTPStatus.NOT_IMPLEMENTED)


@dataclass(frozen=True, slots=True)
class Response:
    """What became of a request. `code` (200–699) and `headers` are there when it was answered; `reason` is the
    phrase of the answer, or says why there is none. Both came over the network: show them, believe nothing."""

    kind: Kind
    code: int = 0
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return self.kind == "answered" and 200 <= self.code < 300

    @property
    def is_reached_but_unsupported(self) -> bool:
        """Whether somebody is there who knows nothing of what was said: such an event, such a dialog, such a method
        (RFC 3261, section 21.4; RFC 6665, section 8.3.2)."""
        return self.kind == "answered" and self.code in _UNSUPPORTED

    def header(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    def number(self, name: str) -> int | None:
        """What a header such as Expires or Retry-After begins with, in seconds; None when that is no number."""
        digits = self.header(name).split(";")[0].split("(")[0].strip()
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None

    def __str__(self) -> str:
        return f"{self.code} {self.reason}" if self.kind == "answered" else f"{self.kind}: {self.reason}"


class Unanswered(Exception):
    """Inside this package: a request that gets no final response, and why."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason

    def as_response(self) -> Response:
        return Response(self.kind, reason=self.reason)
