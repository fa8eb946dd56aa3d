"""Who is registered: what is known of each line at each server, and what that comes to for a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

# Roll-ups that hold until something else is told; every other phone is unknown.
KNOWN_STATES = ("online", "degraded", "offline", "never_registered")
REGISTRATION_STATES = (*KNOWN_STATES, "unknown")
_LONGEST_REASON = 255


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the lines of a phone register. `secondary` is empty where there is none; they are registered with one at a
    time, the secondary when the primary fails, or with `both` at once."""

    primary: str
    secondary: str = ""
    both: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a line is reached, as its registrar says: shown, and believed in nothing."""

    uri: str
    transport: str = ""
    user_agent: str = ""
    expires_at: datetime | None = None
    received: str = ""


@dataclass(frozen=True, slots=True)
class AtServer:
    """What is known of a line at one of its servers. `platform` is who tells; without one nobody does, and `untold` is
    why not."""

    server: str
    platform: str = ""
    contacts: tuple[Contact, ...] = ()
    untold: str = ""

    @property
    def state(self) -> str:
        if self.untold:
            return "unknown"
        return "registered" if self.contacts else "not_registered"


@dataclass(frozen=True, slots=True)
class LineRegistration:
    """A line with what is known of it at its first server and, if it has one, at its second."""

    user: str
    primary: AtServer
    secondary: AtServer | None = None


@dataclass(frozen=True, slots=True)
class RollUp:
    """What the lines of a phone come to: one of REGISTRATION_STATES, and why. It holds as long as the platforms are
    heard of that it depends on: `primary`, and `secondary` where that counts."""

    state: str
    reason: str
    primary: str = ""
    secondary: str = ""


def roll_up(lines: Sequence[LineRegistration], servers: Servers, *, was_registered: bool) -> RollUp:
    """The registration of a phone. All lines online: online; none: offline, or never_registered if they never were
    (`was_registered`); some, or the secondary server alone: degraded. Where something that counts is told by nobody:
    unknown."""
    if not lines:
        return RollUp("unknown", "it has no line that registers")
    states = [_state(line, both=servers.both) for line in lines]
    if "unknown" in states:
        line = lines[states.index("unknown")]
        known = line.primary.untold or (line.secondary.untold if line.secondary else "")
        return RollUp("unknown", known[:_LONGEST_REASON])
    # One server at a time: what the secondary says does not matter as long as the primary has the line.
    counts = servers.both or any(state != "online" for state in states)
    first = lines[0]
    platforms = first.primary.platform, first.secondary.platform if first.secondary and counts else ""
    state = _together(states, was_registered=was_registered)
    return RollUp(state, _reason(state, lines, states, servers)[:_LONGEST_REASON], *platforms)


def _state(line: LineRegistration, *, both: bool) -> str:
    first = line.primary.state
    if line.secondary is None:
        return {"registered": "online", "not_registered": "offline"}.get(first, "unknown")
    second = line.secondary.state
    if not both and first == "registered":
        return "online"
    if "unknown" in (first, second):
        return "unknown"
    if first == second:
        return "online" if first == "registered" else "offline"
    return "degraded"


def _together(states: Sequence[str], *, was_registered: bool) -> str:
    found = set(states)
    if found == {"online"}:
        return "online"
    if found == {"offline"}:
        return "offline" if was_registered else "never_registered"
    return "degraded"


def _reason(state: str, lines: Sequence[LineRegistration], states: Sequence[str], servers: Servers) -> str:
    joined = " and ".join if servers.both else " or ".join
    names = joined(name for name in (servers.primary, servers.secondary) if name)
    if state == "online":
        return f"registered with {names if servers.both and lines[0].secondary else servers.primary}"
    if state == "offline":
        return f"not registered with {names}"
    if state == "never_registered":
        return f"was never seen to be registered with {names}"
    said = [_line_reason(line, own) for line, own in zip(lines, states, strict=True) if own != "online"]
    # Lines of one phone mostly fail alike; nobody reads the same thing forty times.
    more = f"; and {len(said) - 3} more lines" if len(said) > 3 else ""
    return "; ".join(said[:3]) + more


def _line_reason(line: LineRegistration, state: str) -> str:
    if state == "offline" or line.secondary is None:
        return f"line {line.user} is not registered"
    (there, away) = (line.primary, line.secondary) if line.primary.contacts else (line.secondary, line.primary)
    return f"line {line.user} is registered with {there.server}, not with {away.server}"
