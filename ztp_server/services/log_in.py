"""Somebody logged in on a phone, or out of it, within the transaction of whoever does that.

A phone with lines of its own belongs to its user (or to nobody), who can be taken off it and put back. One without is a
hot desk: it gets the lines of the user who is logged in, and belongs to nobody in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.user import User
from ztp_server.errors import BadValue, Conflict, NotFound
from ztp_server.services.effective import check_given
from ztp_server.services.given_phones import given_phones
from ztp_server.services.override_rules import override_rules
from ztp_server.services.records import phone_record, subject_of
from ztp_server.store import Session


@dataclass(frozen=True)
class Turn:
    """What becomes of phones: as they were and as they will be, and what is to be said of it."""

    pairs: Sequence[tuple[Phone, Phone]]
    said: Sequence[str] = ()


def logged_out(phone: Phone) -> Phone:
    """The phone when its user was taken off it. Raises Conflict for one on which nobody logs in."""
    if phone.category != "managed":
        raise Conflict(f"phone {subject_of(phone)} is {phone.category}: nobody logs in on it")
    return replace(phone, user="", logged_out=False) if phone.is_hot_desk else replace(phone, logged_out=True)


async def logging_in(session: Session, who: Actor, phone: Phone, user: str) -> Turn:
    """The phone with its own user on it, or (a hot desk) with this one, who is logged out wherever else they are: on a
    phone of their own again, of hot desks only. Raises BadValue for a user, and Conflict."""
    if phone.category != "managed":
        raise Conflict(f"phone {subject_of(phone)} is {phone.category}: nobody logs in on it")
    if phone.lines:
        if user not in ("", phone.user):
            owner = f"user {phone.user}" if phone.user else "nobody"
            raise BadValue("user", f"phone {subject_of(phone)} has lines of its own and belongs to {owner}")
        after = replace(phone, logged_out=False)
    else:
        if not user:
            raise BadValue("user", "says who logs in: the phone has no lines of its own")
        after = replace(phone, user=user, logged_out=False)
    others = await _elsewhere(session, who, after) if after.user and after != phone else []
    said = [f"user {after.user} was logged out of phone {subject_of(other)} at site {other.site}" for other in others]
    if phone.is_hot_desk and phone.user not in ("", user):
        said.append(f"user {phone.user} was logged out of it")
    if after.borrows_from and not await session.users.lines_of([after.user]):
        said.append(f"user {after.user} has no lines, so the phone has none either")
    return Turn([(phone, after), *((other, logged_out(other)) for other in others)], said)


async def write_turns(session: Session, catalog: Catalog, who: Actor, turns: Sequence[Turn], reason: str) -> None:
    """Write what becomes of phones, and undo what was changed on those by who was on them. Raises Stale."""
    pairs = [pair for turn in turns for pair in turn.pairs if pair[0] != pair[1]]
    await session.phones.replace_many([after for _, after in pairs])
    await undo_changes(session, catalog, pairs)
    digest = session.audit.digest
    await session.audit.add_all(
        who,
        [
            AuditEntry(
                "phone.logged_out" if after.has_nobody else "phone.logged_in",
                subject_of(after),
                phone_record(before, catalog.settings, digest),
                phone_record(after, catalog.settings, digest),
                reason,
            )
            for before, after in pairs
        ],
    )


async def undo_changes(session: Session, catalog: Catalog, pairs: Iterable[tuple[Phone, Phone]]) -> None:
    """What one user changed on a phone, such as where calls are forwarded to, is not the next one's. The pairs are
    phones as they were and as they are."""
    for before, after in pairs:
        if before.holder != after.holder:
            for rule, _ in override_rules(catalog, after):
                if await session.uploads.has(after.id, rule.pattern):
                    await session.uploads.put_parameters(after.id, rule.pattern, {})


async def check_borrowed(session: Session, catalog: Catalog, phone: Phone) -> None:
    """See that a phone can be given the lines it gets of somebody else. Raises BadValue."""
    if phone.category != "managed" or not (phone.has_nobody or phone.borrows_from):
        return
    (given,) = await given_phones(session, [phone])
    site, base = await session.sites.get(phone.site), await session.base_settings.get(phone.base_settings)
    if phone.model not in catalog.models:
        raise NotFound(f"phone {subject_of(phone)} is a {phone.model}, of a brand that is not here any more")
    check_given(catalog, phone, given, site, base)


async def refuse_elsewhere(session: Session, phone: Phone) -> None:
    """Raises Conflict when the user of a hot desk is logged in on another one."""
    user = phone.borrows_from
    if user and any(not on.is_fixed and on.phone_id != phone.id for on in await session.users.logged_in([user])):
        raise Conflict(f"user {user} is logged in on another phone: log in on this one, which logs them out there")


async def lines_changed(session: Session, catalog: Catalog, who: Actor, user: User) -> None:
    """The phones that borrow the lines of a user get them as they are now. Raises BadValue when one cannot."""
    borrowing = [on.phone_id for on in await session.users.logged_in([user.id]) if not on.is_fixed]
    phones = await session.phones.get_many(borrowing)
    for phone in phones:
        await check_borrowed(session, catalog, phone)
    await session.phones.replace_many(phones)
    digest = session.audit.digest
    records = [(subject_of(phone), phone_record(phone, catalog.settings, digest)) for phone in phones]
    reason = f"the lines of user {user.id}"
    await session.audit.add_all(who, [AuditEntry("phone.changed", *one, one[1], reason) for one in records])


async def _elsewhere(session: Session, who: Actor, phone: Phone) -> list[Phone]:
    """The other phones on which the user of this one is, and may not stay. Raises Conflict, without naming one at a
    site that is not theirs to log people out at."""
    found = [on for on in await session.users.logged_in([phone.user]) if on.phone_id != phone.id]
    others = await session.phones.get_many([on.phone_id for on in found if phone.is_hot_desk or not on.is_fixed])
    if not all(who.may(name, other.site) for other in others for name in ("phones:view", "phones:restart")):
        raise Conflict(f"user {phone.user} is logged in elsewhere, where you may not log them out")
    return others
