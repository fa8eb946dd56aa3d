"""Phones: add, list, show, edit, remove, and what a phone would be given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.event import CheckIn
from ztp_server.domain.firmware import Offer
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, LineChange, Phone, changed_lines
from ztp_server.errors import BadValue
from ztp_server.services.added_phone import add_phone
from ztp_server.services.address import ServerAddress
from ztp_server.services.belief import require_for_phone, require_to_lend
from ztp_server.services.checks import Changes, changed_settings
from ztp_server.services.edits import check_revision
from ztp_server.services.history_views import status_view
from ztp_server.services.known_phones import KnownPhones
from ztp_server.services.log_in import undo_changes
from ztp_server.services.own_files import make_file, own_rules
from ztp_server.services.phone_checks import checked_in, refuse_taken, seen_phone, warnings_of
from ztp_server.services.phone_settings import Explained, explained_managed, explained_unmanaged
from ztp_server.services.phone_views import phone_views
from ztp_server.services.records import phone_record, subject_of
from ztp_server.services.removed_phones import remove_phones
from ztp_server.services.status import PhoneStatus
from ztp_server.services.templates import Templates
from ztp_server.services.written_phone import Written
from ztp_server.store import Session, Store


class Phones:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress, status: PhoneStatus) -> None:
        self._store = store
        self._templates = templates
        self._address = address
        self._known_phones = KnownPhones(store, templates, address)
        self._status = status

    async def all(self, who: Actor) -> list[Phone]:
        """The phones that one may see."""
        sites = who.sites("phones:view")
        async with self._store.read() as session:
            found = await session.phones.all()
        return [phone for phone in found if sites is None or phone.site in sites]

    async def get(self, who: Actor, text: str) -> Phone:
        """A phone by its id or its hardware ID in any notation. Raises BadValue for what is neither, and NotFound, also
        for a phone that one may not see; so does everything below."""
        async with self._store.read() as session:
            return await seen_phone(session, who, text)

    async def view(self, phone: Phone) -> dict[str, Any]:
        """A phone as doors show it, with its status."""
        async with self._store.read() as session:
            (view,) = await phone_views(session, self._templates.catalog, [phone])
            return {**view, "status": status_view(await self._status.of_phone(session, phone))}

    async def check_ins(self, who: Actor, text: str) -> list[CheckIn]:
        async with self._store.read() as session:
            phone = await seen_phone(session, who, text)
            return await session.check_ins.of_phone(phone.hardware_id) if phone.hardware_id else []

    async def add(self, who: Actor, phone: Phone) -> Written:
        """Raises BadValue naming the field, and Conflict when the hardware ID is taken."""
        who.require("phones:add", phone.site)
        require_to_lend(who, None, phone)
        async with self._store.write() as session:
            return await add_phone(session, self._templates.catalog, who, phone)

    async def edit(
        self,
        who: Actor,
        text: str,
        fields: Mapping[str, Any],
        settings: Changes,
        lines: Sequence[Line | LineChange] | None = None,
        line_keys: Sequence[LineKey] | None = None,
        *,
        unset_any: bool = False,
        revision: int | None = None,
    ) -> Written:
        """Change what is given; lists replace, and a line without a password keeps the one its user had. With
        `unset_any` a setting may be inherited again that is not set. Raises BadValue naming the field, and Conflict;
        Stale when the phone has another revision than the one given."""

        def edited(before: Phone) -> Phone:
            _refuse_category(before, fields)
            catalog = self._templates.catalog
            return replace(
                before,
                **fields,
                settings=changed_settings(catalog, before.settings, settings, unset_any=unset_any),
                lines=before.lines if lines is None else changed_lines(before.lines, lines),
                line_keys=before.line_keys if line_keys is None else tuple(line_keys),
            )

        return await self.change(who, text, edited, revision=revision)

    async def change(
        self, who: Actor, text: str, change: Callable[[Phone], Phone], *, revision: int | None = None
    ) -> Written:
        """Make what `change` makes of a phone, checked like any other. Nothing is written when that is the same.
        Whoever moves a phone to another site needs the permission at both."""
        async with self._store.write() as session:
            before = await seen_phone(session, who, text)
            who.require("phones:edit", before.site)
            check_revision(f"phone {before.name}", revision, before.revision)
            wanted = change(before)
            who.require("phones:edit", wanted.site)
            after, made = await checked_in(session, self._templates.catalog, wanted, before)
            sites = [await session.sites.get(phone.site) for phone in (before, after)]
            require_for_phone(who, before, after, *sites)
            if after == before:
                return Written(before)
            await refuse_taken(session, who, after)
            await session.phones.replace(after)
            await undo_changes(session, self._templates.catalog, [(before, after)])
            after = replace(after, revision=after.revision + 1)
            await self._note(session, who, "phone.changed", before, after)
            warnings = await warnings_of(session, self._templates.catalog, before, after)
        return Written(after, warnings, made)

    async def remove(self, who: Actor, text: str, *, revision: int | None = None) -> None:
        """From now on it is answered as an unknown one. Its record is kept for a while (services/removed_phones.py)."""
        async with self._store.write() as session:
            phone = await seen_phone(session, who, text)
            check_revision(f"phone {phone.name}", revision, phone.revision)
            await remove_phones(session, self._templates.catalog.settings, who, [phone])

    async def explain(self, who: Actor, text: str) -> list[Explained]:
        """Every setting of a phone with the layer it came from; a phone that is given no files has those of its SIP
        connection, and a remote one has none."""
        async with self._store.read() as session:
            phone = await seen_phone(session, who, text)
            site = await session.sites.get(phone.site)
        if phone.category != "managed":
            return explained_unmanaged(self._templates.catalog, phone, site)
        return explained_managed(self._templates.catalog, await self._known_phones.seen(who, phone.id))

    async def firmware(self, who: Actor, text: str) -> tuple[str, Offer]:
        """The firmware a managed phone last said it runs (empty: it never did), and what it is offered."""
        known = await self._known_phones.seen(who, text)
        return known.running, known.offer

    async def files(self, who: Actor, text: str) -> list[str]:
        """The names of the files that are made for a phone alone."""
        return list(own_rules(await self._known_phones.seen(who, text)))

    async def preview(
        self, who: Actor, text: str, file: str | None, reveal: bool, reason: str = ""
    ) -> dict[str, bytes]:
        """The files a phone would be given, by name: one, or all of its own. Secrets are `***` unless revealed, which
        needs a permission and is written down. Raises TemplateError naming file and line."""
        known, wanted = await self._known_phones.to_show(who, text, file, reveal, reason)
        return {
            name: make_file(self._templates.renderer, self._address.server, rule, known).body
            for name, rule in wanted.items()
        }

    async def _note(self, session: Session, who: Actor, action: str, before: Phone | None, after: Phone) -> None:
        def record(phone: Phone | None) -> dict[str, Any]:
            table = self._templates.catalog.settings
            return phone_record(phone, table, session.audit.digest) if phone else {}

        await session.audit.add(who, action, subject_of(after), before=record(before), after=record(after))


def _refuse_category(before: Phone, fields: Mapping[str, Any]) -> None:
    if fields.get("category", before.category) != before.category:
        raise BadValue("category", f"is {before.category} and stays so: remove the phone and add it anew")
