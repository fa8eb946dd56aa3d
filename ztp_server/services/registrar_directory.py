"""The account of one SIP user, as a registrar asks for it when that user registers: the directory of mod_xml_curl.

What is asked and answered is FreeSWITCH's documentation of mod_xml_curl and of its XML user directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.registrar import Registrar, SipAccount
from ztp_server.domain.text import forbidden_character
from ztp_server.errors import BadValue, Damaged, NotFound
from ztp_server.render import Renderer
from ztp_server.services.given_phones import with_borrowed_lines
from ztp_server.services.registrar_accounts import Accounts, Places
from ztp_server.services.registrar_folders import ACCOUNTS, DOMAIN, DOMAIN_END, read_registrar, render_part
from ztp_server.services.standing_reveals import StandingReveals
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

NAME = "freeswitch"
NOT_FOUND = b"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<document type="freeswitch/xml">
  <section name="result">
    <result status="not found"/>
  </section>
</document>
"""
_BEGIN = b"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<document type="freeswitch/xml">
<section name="directory">
"""
_END = b"""</section>
</document>
"""
# Phones that one name may lead to: a line that many share is the same on each.
_MOST_PHONES = 20
_LONGEST = 253


class RegistrarDirectory:
    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._templates = templates
        self.reveals = StandingReveals(store, "directory", "registrar:freeswitch")
        self._read: tuple[Renderer, Registrar] | None = None

    async def find(self, who: Actor, question: Mapping[str, str]) -> bytes | None:
        """The directory with the one user who is asked for by `user` and `domain`, as hashes; None where there is no
        such account that the one who asks may be shown, or none that could be exported. Raises Forbidden, NotFound
        without templates, and TemplateError."""
        sites = [who.sites(name) for name in ("phones:view", "phones:reveal")]
        user, domain = question.get("user", ""), question.get("domain", "").lower()
        # Nobody is called what no field may hold, nor what no database takes.
        if question.get("section", "directory") != "directory" or not (_is_name(user) and _is_name(domain)):
            return None
        renderer, registrar = self._templates.renderer, self._registrar()
        async with self._store.read() as session:
            finder = _Finder(session, self._templates, registrar, sites)
            account = await finder.find(user, domain)
        if account is None:
            return None
        await self.reveals.note(who)
        about = {"registrar": {"whole": False, "passwords": "ha1", "accounts": 1, "targets": 0}, "domain": domain}
        context = {**about, "accounts": [account.as_dict("ha1")], "targets": []}
        parts = [render_part(renderer, NAME, registrar, part, context) for part in (DOMAIN, ACCOUNTS, DOMAIN_END)]
        return b"".join([_BEGIN, *parts, _END])

    def _registrar(self) -> Registrar:
        """Its facts, read once for each state of the templates."""
        renderer = self._templates.renderer
        if self._read is None or self._read[0] is not renderer:
            self._read = renderer, read_registrar(renderer, NAME)
        return self._read[1]


class _Finder:
    """Looks for one account within a transaction, at sites that may be seen."""

    def __init__(
        self, session: Session, templates: Templates, registrar: Registrar, sites: Sequence[frozenset[str] | None]
    ) -> None:
        self._session = session
        self._templates = templates
        self._registrar = registrar
        self._sites = sites

    async def find(self, user: str, domain: str) -> SipAccount | None:
        """The account of an authentication user, or else of a user; None also where two differ, which an export would
        refuse."""
        whole = f"{user}@{domain}"
        ids = await self._session.line_owners.phones(user, whole, _MOST_PHONES)
        found: list[SipAccount] = []
        seen = [phone for phone in await self._session.phones.get_many(ids) if self._is_seen(phone.site)]
        for phone in await with_borrowed_lines(self._session, seen):
            found += await self._accounts(phone, user, whole)
        found = found or await self._of_nobody(user, whole)
        found = [account for account in found if account.domain == domain]
        named = [account for account in found if account.auth_user == user] or found
        alike = {(account.user, account.auth_user, account.password) for account in named}
        return named[0] if len(named) == 1 or (len(alike) == 1 and all(one.shared for one in named)) else None

    async def _of_nobody(self, user: str, whole: str) -> list[SipAccount]:
        """The line that phones of a site have when nobody is logged in; told by any of them."""
        found: list[SipAccount] = []
        for site in await self._session.sites.all():
            line = site.logged_out.line
            if line and _is_called(line, user, whole) and self._is_seen(site.id):
                first = await self._session.phone_groups.first(1, None, site=site.id)
                for phone in await self._session.phones.get_many([one["id"] for one in first]):
                    found += await self._accounts(replace(phone, lines=()), user, whole)
        return found

    async def _accounts(self, phone: Phone, user: str, whole: str) -> list[SipAccount]:
        places = await self._places(phone)
        # The others need not be fit for anything.
        only = replace(phone, lines=tuple(line for line in phone.lines if _is_called(line, user, whole)))
        found: list[SipAccount] = []
        try:
            for account in Accounts(self._registrar, "ha1", places).of(only):
                found.append(account)
        except (BadValue, Damaged):
            pass  # what no export would hold
        return [account for account in found if user in (account.user, account.auth_user)]

    async def _places(self, phone: Phone) -> Places:
        try:
            base = {phone.base_settings: await self._session.base_settings.get(phone.base_settings)}
        except NotFound:
            base = {}  # of a phone that is not managed
        return Places(self._templates.catalog, {phone.site: await self._session.sites.get(phone.site)}, base)

    def _is_seen(self, site: str) -> bool:
        return all(sites is None or site in sites for sites in self._sites)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and forbidden_character(text) is None


def _is_called(line: Line, user: str, whole: str) -> bool:
    return user in (line.auth_user, line.user) or line.user.lower() == whole.lower()
