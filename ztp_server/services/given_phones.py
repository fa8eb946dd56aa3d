"""Phones with the lines that they get, for whoever needs them beside their files: what registers, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ztp_server.domain.logged_out import NO_PROFILE, given_phone
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.site import Site
from ztp_server.store import Session


async def given_phones(
    session: Session, phones: Sequence[Phone], sites: Mapping[str, Site] | None = None
) -> list[Phone]:
    """The same phones in the same order, each with the lines that its files have: those of who is logged in on it, or
    of its site when nobody is. `sites` are all there are, if somebody has read them."""
    users = await session.users.lines_of({phone.borrows_from for phone in phones} - {""})
    read = dict(sites or {})
    for site_id in {phone.site for phone in phones if phone.has_nobody} - read.keys():
        read[site_id] = await session.sites.get(site_id)
    return [
        given_phone(
            phone,
            read[phone.site].logged_out if phone.has_nobody else NO_PROFILE,
            users.get(phone.borrows_from, ()),
        )
        for phone in phones
    ]


async def with_borrowed_lines(session: Session, phones: Sequence[Phone]) -> list[Phone]:
    """The same phones in the same order, hot desks with the lines of who is logged in; the others with those of their
    own, also when nobody is: these are accounts all the same."""
    users = await session.users.lines_of({phone.borrows_from for phone in phones} - {""})
    return [
        replace(phone, lines=users.get(phone.borrows_from, ())) if phone.borrows_from else phone for phone in phones
    ]


async def still_registered(session: Session, phone: Phone, user: str) -> Phone:
    """The phone as it may be registered until it has its new files: with the lines of a user who was on it."""
    lines = await _lines_of(session, user)
    return replace(phone, lines=lines, logged_out=phone.has_nobody) if lines and not phone.lines else phone


async def user_lines_of(session: Session, phone: Phone) -> tuple[Line, ...]:
    """The lines of the user a phone borrows from."""
    return await _lines_of(session, phone.borrows_from)


async def _lines_of(session: Session, user: str) -> tuple[Line, ...]:
    return (await session.users.lines_of([user])).get(user, ()) if user else ()
