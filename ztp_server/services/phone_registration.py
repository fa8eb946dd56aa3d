"""Whether a phone is registered, as far as is known at the moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ztp_server.domain.phone import Phone
from ztp_server.domain.registration import AtServer, LineRegistration
from ztp_server.domain.status import Registration
from ztp_server.services.registration_rollup import by_user, folded
from ztp_server.services.registration_writer import current_roll_ups
from ztp_server.services.templates import Templates
from ztp_server.store import Session
from ztp_server.store.registrations import Kept

# Without a beat for so long nobody listens any more; clocks of two servers may differ by a part of it.
DEAF_AFTER = timedelta(seconds=30)
LEASE = "registrations"


@dataclass(frozen=True, slots=True)
class Hearing:
    """Which platforms tell who is registered now: the ids of those that are `heard` of, and of the others why not, and
    since when."""

    heard: frozenset[str]
    silent: Mapping[str, tuple[str, datetime | None]]


async def hearing(session: Session, now: datetime | None = None) -> Hearing:
    """What is heard of platforms at the moment. What they told before does not count while they tell nothing."""
    sources = await session.registrations.sources()
    if not any(source != "none" for source in sources.values()):
        return Hearing(frozenset(), {})
    states, lease = await session.registrations.states(), await session.leases.get(LEASE)
    last = lease.at if lease else None
    # A beat of times to come was noted before the clock was set back.
    deaf = lease is None or not lease.holder or abs((now or datetime.now(UTC)) - lease.at) > DEAF_AFTER
    silent: dict[str, tuple[str, datetime | None]] = {}
    for name in (name for name, source in sources.items() if source != "none"):
        reason, since = states.get(name, ("it was not heard of yet", None))
        if deaf:
            silent[name] = "no server is running that listens to it", last
        elif reason:
            silent[name] = reason, since
    heard = (name for name, source in sources.items() if source != "none" and name not in silent)
    return Hearing(frozenset(heard), silent)


async def registration_of(session: Session, templates: Templates, phone: Phone) -> Registration:
    """The registration of one phone, looked at closely: with each of its lines."""
    if phone.category == "remote":
        return Registration("unknown", "a remote phone registers elsewhere", lines=())
    roll_ups = await current_roll_ups(session, templates)
    now = await hearing(session)
    found = await session.registrations.registering([phone.id])
    users = {user for one in found for user in roll_ups.servers.users(one)}
    known = by_user(await session.registrations.of_users(users))
    lines = tuple(line for one in found for line in roll_ups.lines(one, known))
    heard = tuple(_as_heard(line, now) for line in lines)
    kept = (await session.registrations.rolled_up([phone.id])).get(phone.id)
    if kept and kept.rolled_up.state != "unknown":
        counting = [kept.rolled_up.primary, kept.rolled_up.secondary]
        silent = next((name for name in counting if name and name not in now.heard), "")
        return _silent(now, silent, heard) if silent else _told(kept, heard)
    silent = next((name for name in _platforms(lines) if name in now.silent), "")
    if silent:
        return _silent(now, silent, heard)
    rolled = next((roll_ups.roll_up(one, known) for one in found), None)
    reason = rolled.reason if rolled and rolled.state == "unknown" else "it was not looked at yet"
    return Registration("unknown", reason, kept.since if kept else None, heard)


async def own_domains(session: Session, templates: Templates, ids: Collection[str]) -> dict[str, frozenset[str]]:
    """The domains that phones register at, by id: their SIP servers, and the empty one of platforms that name none."""
    servers = (await current_roll_ups(session, templates)).servers
    found = {phone.id: servers.of(phone) for phone in await session.registrations.registering(list(ids))}
    return {name: frozenset({"", folded(own.primary), folded(own.secondary)}) for name, own in found.items()}


def _told(kept: Kept, lines: tuple[LineRegistration, ...]) -> Registration:
    return Registration(kept.rolled_up.state, kept.rolled_up.reason, kept.since, lines)


def _silent(now: Hearing, platform: str, lines: tuple[LineRegistration, ...]) -> Registration:
    return Registration("unknown", _why(now, platform), now.silent.get(platform, ("", None))[1], lines)


def _why(now: Hearing, platform: str) -> str:
    reason, _ = now.silent.get(platform, ("it is none any more", None))
    return f"platform {platform} tells nothing: {reason}"


def _platforms(lines: tuple[LineRegistration, ...]) -> list[str]:
    places = [at for line in lines for at in (line.primary, line.secondary) if at]
    return list(dict.fromkeys(at.platform for at in places if at.platform))


def _as_heard(line: LineRegistration, now: Hearing) -> LineRegistration:
    """A line of which nothing is known while its platform tells nothing; where it was is shown all the same."""

    def seen(at: AtServer) -> AtServer:
        if not at.platform or at.platform in now.heard:
            return at
        return replace(at, untold=_why(now, at.platform))

    return replace(line, primary=seen(line.primary), secondary=seen(line.secondary) if line.secondary else None)
