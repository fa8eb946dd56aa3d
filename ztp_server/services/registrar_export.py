"""The SIP accounts of phones as a registrar reads them, made by the templates of a folder in templates/registrars."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Phone
from ztp_server.domain.registrar import Passwords, Registrar, SipAccount, Target
from ztp_server.errors import TooMany
from ztp_server.render import Renderer
from ztp_server.services.edits import checked_reason
from ztp_server.services.given_phones import with_borrowed_lines
from ztp_server.services.phone_export import Filters, require_reveal
from ztp_server.services.phone_list import PhoneList, read_filter
from ztp_server.services.registrar_accounts import Accounts, Places
from ztp_server.services.registrar_folders import (
    ACCOUNTS,
    DOMAIN,
    DOMAIN_END,
    END,
    HEAD,
    read_registrar,
    registrar_names,
    render_part,
)
from ztp_server.services.reveals import note_reveal
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

# Phones in memory at a time; others are served between two batches.
_BATCH = 250
_AT_ONCE = 2
_RETRY_SECONDS = 10


@dataclass(frozen=True)
class RegistrarFile:
    """A file that can be read once: how many accounts and forwarding targets it has, and its pieces."""

    registrar: Registrar
    accounts: int
    targets: int
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True)
class _Order:
    """What was asked for. `whole` says that these are all phones there are; `domains` has the phones of each."""

    name: str
    registrar: Registrar
    passwords: Passwords
    whole: bool
    domains: Mapping[str, Sequence[str]]


class RegistrarExport:
    def __init__(self, store: Store, templates: Templates, phone_list: PhoneList) -> None:
        self._store = store
        self._templates = templates
        self._list = phone_list
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def names(self, who: Actor) -> list[str]:
        """The registrars there are templates for: the same for everybody."""
        return registrar_names(self._templates.renderer)

    async def export(
        self, who: Actor, name: str, filters: Filters, *, passwords: Passwords = "ha1", reason: str = ""
    ) -> RegistrarFile:
        """The accounts of the phones that fit, of those one may see, for a registrar. It takes the permission to reveal
        at the site of each of them, and a reason: one record is written before anything is given. Everything is
        looked at before the first piece. Raises BadValue naming phone and field, Forbidden, NotFound for a registrar
        that has no templates, TemplateError, and TooMany while others are read."""
        sites = who.sites("phones:view")
        registrar = read_registrar(self._templates.renderer, name)
        if registrar.secrets:
            who.sites("phones:reveal")
            reason = checked_reason(reason, needed=True)
        wanted = read_filter(filters, self._templates.catalog)
        if self._free.locked():
            raise TooMany("as many exports as can be are being read", _RETRY_SECONDS)
        async with self._store.read() as session:
            ids = await session.phone_list.ids(wanted, sites, await self._list.facts(session))
            if registrar.secrets:
                await require_reveal(session, who, ids)
            domains, accounts, targets = await self._looked_at(session, registrar, passwords, ids)
        order = _Order(name, registrar, passwords, sites is None and not filters, domains)
        if registrar.secrets:
            shown = {"registrar": name, "accounts": accounts, "passwords": passwords, "filter": _shown(filters)}
            async with self._store.write() as session:
                await note_reveal(session, who, "accounts.revealed", "registrar", after=shown, reason=reason)
        counts = {"accounts": accounts, "targets": targets}
        return RegistrarFile(registrar, accounts, targets, self._pieces(order, counts))

    async def _looked_at(
        self, session: Session, registrar: Registrar, passwords: Passwords, ids: Sequence[str]
    ) -> tuple[dict[str, list[str]], int, int]:
        """The phones of each domain, and how many accounts and targets they have. Raises BadValue for the first of
        them that cannot be."""
        maker = Accounts(registrar, passwords, await self._places(session))
        domains: dict[str, list[str]] = {}
        accounts = targets = 0
        async for phone, extension in _phones(session, await session.phone_widths.by_name(ids)):
            mine = set()
            for number, account in enumerate(maker.of(phone), 1):
                accounts += maker.claim(phone, number, account)
                mine.add(account.domain)
            target = maker.target(phone, extension)
            if target:
                maker.claim_target(phone, target)
                mine.add(target.domain)
                targets += 1
            for domain in mine:
                domains.setdefault(domain, []).append(phone.id)
        return domains, accounts, targets

    async def _places(self, session: Session) -> Places:
        sites = {site.id: site for site in await session.sites.all()}
        base_settings = {base.id: base for base in await session.base_settings.all()}
        return Places(self._templates.catalog, sites, base_settings)

    async def _pieces(self, order: _Order, counts: Mapping[str, int]) -> AsyncIterator[bytes]:
        """Domain after domain, for a registrar whose file has each of them once."""
        renderer = self._templates.renderer
        about = {"registrar": {"whole": order.whole, "passwords": order.passwords, **counts}}
        async with self._free, self._store.read() as session:
            maker = Accounts(order.registrar, order.passwords, await self._places(session))
            yield _part(renderer, order, HEAD, about)
            for domain, ids in sorted(order.domains.items()):
                of_domain = {**about, "domain": domain}
                yield _part(renderer, order, DOMAIN, of_domain)
                for start in range(0, len(ids), _BATCH):
                    found = [one async for one in _phones(session, ids[start : start + _BATCH])]
                    batch = _batch(maker, found, domain, order.passwords)
                    yield _part(renderer, order, ACCOUNTS, {**of_domain, **batch})
                yield _part(renderer, order, DOMAIN_END, of_domain)
            yield _part(renderer, order, END, about)


def _batch(
    maker: Accounts, phones: Sequence[tuple[Phone, str]], domain: str, passwords: Passwords
) -> dict[str, list[dict[str, Any]]]:
    accounts: list[SipAccount] = []
    targets: list[Target] = []
    for phone, extension in phones:
        for number, account in enumerate(maker.of(phone), 1):
            if account.domain == domain and maker.claim(phone, number, account):
                accounts.append(account)
        target = maker.target(phone, extension)
        if target and target.domain == domain:
            targets.append(target)
    return {
        "accounts": [account.as_dict(passwords) for account in accounts],
        "targets": [target.as_dict() for target in targets],
    }


async def _phones(session: Session, ids: Sequence[str]) -> AsyncIterator[tuple[Phone, str]]:
    """Phones with the extension of their user, some in memory at a time."""
    for start in range(0, len(ids), _BATCH):
        found = await session.phones.get_many(ids[start : start + _BATCH])
        users = sorted({phone.user for phone in found if phone.category == "remote" and phone.user})
        extensions = await session.users.extensions(users) if users else {}
        for phone in await with_borrowed_lines(session, found):
            yield phone, extensions.get(phone.user, "")


def _shown(filters: Filters) -> dict[str, str]:
    return {name: value if isinstance(value, str) else ",".join(value) for name, value in filters.items()}


def _part(renderer: Renderer, order: _Order, part: str, context: Mapping[str, Any]) -> bytes:
    return render_part(renderer, order.name, order.registrar, part, context)
