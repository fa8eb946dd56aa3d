"""Phones: add, list, show, edit, remove, and what a phone would be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.event import CheckIn
from ztp_server.domain.firmware import Library, Offer
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.settings import Value
from ztp_server.domain.vendor import Support
from ztp_server.errors import BadValue, Conflict, NotFound
from ztp_server.services.address import ServerAddress
from ztp_server.services.checks import Changes, changed_settings, checked_phone, known_model
from ztp_server.services.effective import Effective
from ztp_server.services.own_files import Known, known_phone, make_file, make_group, make_offer, own_rules
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store


@dataclass(frozen=True)
class Explained:
    """A setting of a phone: its value (`***` for a secret), where it came from, and what became of it."""

    name: str
    value: Any
    source: str
    rendered: str
    underneath: Sequence[Value]


class Phones:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._address = address

    async def all(self) -> list[Phone]:
        async with self._store.read() as session:
            return await session.phones.all()

    async def get(self, hardware_id: str) -> Phone:
        """Raises BadValue for what is no hardware ID, and NotFound."""
        async with self._store.read() as session:
            return await session.phones.get(HardwareId.parse(hardware_id).value)

    async def check_ins(self, hardware_id: str) -> list[CheckIn]:
        async with self._store.read() as session:
            return await session.check_ins.of_phone(HardwareId.parse(hardware_id).value)

    async def add(self, who: Actor, phone: Phone) -> Phone:
        """Raises BadValue naming the field, and Conflict when the hardware ID is taken."""
        async with self._store.write() as session:
            checked = await self._checked(session, phone)
            if await session.phones.taken([checked.hardware_id]):
                raise Conflict(f"phone {checked.hardware_id} exists already")
            await session.phones.add([checked])
            await session.events.add(who.name, "phone.added", checked.hardware_id)
            return await session.phones.get(checked.hardware_id)

    async def edit(
        self,
        who: Actor,
        hardware_id: str,
        fields: Mapping[str, Any],
        settings: Changes,
        lines: Sequence[Line] | None = None,
        line_keys: Sequence[LineKey] | None = None,
    ) -> Phone:
        """Change what is given; lists replace. Raises NotFound, BadValue naming the field, and Conflict."""
        async with self._store.write() as session:
            before = await session.phones.get(HardwareId.parse(hardware_id).value)
            after = replace(
                before,
                **fields,
                settings=changed_settings(self._templates.catalog, before.settings, settings),
                lines=before.lines if lines is None else tuple(lines),
                line_keys=before.line_keys if line_keys is None else tuple(line_keys),
            )
            after = await self._checked(session, after)
            await session.phones.replace(after)
            given = {"lines": lines, "line_keys": line_keys}
            changed = {*fields, *settings, *(name for name, value in given.items() if value is not None)}
            await session.events.add(who.name, "phone.changed", after.hardware_id, {"changed": sorted(changed)})
            return await session.phones.get(after.hardware_id)

    async def remove(self, who: Actor, hardware_id: str) -> None:
        """Raises NotFound."""
        async with self._store.write() as session:
            await session.phones.remove(HardwareId.parse(hardware_id).value)
            await session.events.add(who.name, "phone.removed", hardware_id)

    async def explain(self, hardware_id: str) -> list[Explained]:
        """Every setting of a phone with the layer it came from. Raises NotFound."""
        known = await self._known(hardware_id)
        catalog, family = self._templates.catalog, known.group.family
        return [
            Explained(
                name,
                _hidden(catalog.settings.is_secret(name), value.value),
                value.source,
                "by custom" if name.startswith("custom.") else _rendered(family.support(name)),
                [replace(v, value=_hidden(catalog.settings.is_secret(name), v.value)) for v in value.underneath],
            )
            for name, value in known.effective.values.items()
        ]

    async def firmware(self, hardware_id: str) -> tuple[str, Offer]:
        """The firmware a phone last said it runs (empty: it never did), and what it is offered. Raises NotFound."""
        known = await self._known(hardware_id)
        return known.running, known.offer

    async def preview(self, who: Actor, hardware_id: str, file: str | None, reveal: bool) -> dict[str, bytes]:
        """The files a phone would be given, by name: one, or all of its own. Secrets are `***` unless revealed, which
        is written down. Raises NotFound, and TemplateError naming file and line."""
        known = await self._known(hardware_id)
        if not reveal:
            known = replace(known, phone=_without_secrets(known.phone), effective=self._hidden(known.effective))
        files = own_rules(known)
        wanted = {name: rule for name, rule in files.items() if file in (None, name)}
        if not wanted:
            raise NotFound(f"no file {file}; there are: {', '.join(files)}")
        if reveal:
            async with self._store.write() as session:
                await session.events.add(who.name, "phone.revealed", known.phone.hardware_id, {"files": list(wanted)})
        return {
            name: make_file(self._templates.renderer, self._address.server, rule, known).body
            for name, rule in wanted.items()
        }

    def _hidden(self, found: Effective) -> Effective:
        table = self._templates.catalog.settings
        values = {n: replace(v, value=_hidden(table.is_secret(n), v.value)) for n, v in found.values.items()}
        return replace(found, values=values)

    async def _known(self, hardware_id: str) -> Known:
        async with self._store.read() as session:
            phone, running = await session.phones.get_running(HardwareId.parse(hardware_id).value)
            site = await session.sites.get(phone.site)
            base = await session.base_settings.get(phone.base_settings)
            library = Library(await session.firmware.all())
        model = known_model(self._templates.catalog, phone.model)
        known = known_phone(make_group(self._templates.catalog, model, site, base), self._address, phone, running)
        known.offer = make_offer(known, library, running)
        return known

    async def _checked(self, session: Session, phone: Phone) -> Phone:
        try:
            site = await session.sites.get(phone.site)
        except NotFound as error:
            raise BadValue("site", str(error)) from None
        try:
            base = await session.base_settings.get(phone.base_settings)
        except NotFound as error:
            raise BadValue("base_settings", str(error)) from None
        return checked_phone(self._templates.catalog, phone, site, base)


def _without_secrets(phone: Phone) -> Phone:
    return replace(phone, lines=tuple(replace(line, password="***" if line.password else "") for line in phone.lines))


def _hidden(secret: bool, value: Any) -> Any:
    return "***" if secret and value else value


def _rendered(support: Support) -> str:
    """What becomes of a setting on a family, in a few words."""
    if support.state == "parameter":
        return support.parameter
    if support.state == "server":
        return f"kept by this server: {support.server}"
    verdict = "not on this family" if support.state == "absent" else "not proven on this family"
    return f"{verdict}: {support.absent or support.unproven}"
