"""Why a phone is given what it is given, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ztp_server.domain.attempt import Attempt


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `ok` is None for what is neither good nor bad."""

    ok: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class WouldGet:
    """What a request for one file would be answered on one listener, as HTTP numbers it, and why."""

    listener: str
    file: str
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that decides what a phone is given, the answers that follow from it, what it got last, and what to do.
    `address` is where a request is taken to come from, `address_is` how we came to take that one."""

    hardware_id: str
    address: str
    address_is: str
    findings: Sequence[Finding]
    answers: Sequence[WouldGet]
    attempts: Sequence[Attempt] = field(default_factory=tuple)
    advice: Sequence[str] = field(default_factory=tuple)
