"""Whether a change of a site or of base settings suits every phone there, however many they are.

What phones set themselves was checked when it was written, and so were their lines. A change of what they inherit can
make only these wrong: a value that a model cannot be given, settings that go together (some of them a phone's own), and
the room for keys. Each that has changed is looked at once for all phones that are alike in it; a phone is loaded to
name it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.settings import Layer
from ztp_server.domain.site import Site
from ztp_server.domain.support import check_room_for_keys, keys_of
from ztp_server.errors import BadValue, ZtpError
from ztp_server.services.effective import check, check_layers, check_profile, effective_of, shared_layers
from ztp_server.store import Session
from ztp_server.store.group_members import Kind, Shared

# Settings of which one says whether another can be.
_TOGETHER = ("rtp_port_start", "rtp_port_count", "time_zone", "gmt_offset", "dst_start", "dst_stop")
_MODULES = "expansion_modules"


async def check_group(
    session: Session, catalog: Catalog, *, site: Site | None = None, base: BaseSettings | None = None
) -> None:
    """See that a site, or base settings, as they shall be suit all of their phones. Raises BadValue naming a phone."""
    await _GroupCheck(session, catalog, site, base).run()


class _GroupCheck:
    def __init__(self, session: Session, catalog: Catalog, site: Site | None, base: BaseSettings | None) -> None:
        self._members = session.group_members
        self._session = session
        self._catalog = catalog
        self._site = site
        self._base = base
        self._shared = Shared(site.id if site else "", base.id if base else "")
        self._sites: dict[str, Site] = {}
        self._bases: dict[str, BaseSettings] = {}
        self._layers: dict[tuple[str, str, str], list[Layer]] = {}

    async def run(self) -> None:
        self._sites = {self._site.id: self._site} if self._site else {s.id: s for s in await self._session.sites.all()}
        if self._base:
            self._bases = {self._base.id: self._base}
        else:
            self._bases = {b.id: b for b in await self._session.base_settings.all()}
        # A phone of a brand whose folder was taken away gets nothing as it is.
        kinds = [k for k in await self._members.kinds(self._shared) if k.model in self._catalog.models]
        for kind in kinds:
            self._layers[_group(kind)] = shared_layers(
                self._catalog, self._catalog.models[kind.model], self._sites[kind.site], self._bases[kind.base_settings]
            )
            if not self._suits(kind, self._layers[_group(kind)]):
                await self._look_at_all(kind)
            model, site = self._catalog.models[kind.model], self._sites[kind.site]
            check_profile(self._catalog, model, self._layers[_group(kind)], site)
        changed = await self._changed()
        if changed & set(_TOGETHER):
            await self._check_together()
        if _MODULES in changed:
            await self._check_keys({kind.model for kind in kinds})

    async def _changed(self) -> set[str]:
        """The settings that are kept with another value than they shall have."""
        if self._site:
            before, after = (await self._session.sites.get(self._site.id)).settings, self._site.settings
        else:
            base = self._bases[self._shared.base_settings]
            before, after = (await self._session.base_settings.get(base.id)).settings, base.settings
        return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}

    async def _check_together(self) -> None:
        """The settings that go together, for phones that set some of them themselves."""
        layers = {
            group: [Layer(x.name, x.source, _only(x.values, _TOGETHER)) for x in found]
            for group, found in self._layers.items()
        }
        seen = set()
        async for kind in self._members.overriding(self._shared, _TOGETHER):
            own = _only(json.loads(kind.settings), _TOGETHER)
            key = hash((_group(kind), tuple(own.items())))
            if key in seen or _group(kind) not in layers:
                continue
            seen.add(key)
            if not self._suits(kind, [*layers[_group(kind)], Layer("phone", "phone", own)]):
                await self._look_at(await self._members.phone(kind.phone_id))

    async def _check_keys(self, models: set[str]) -> None:
        """The room for keys, for phones that may need modules for theirs."""
        rooms = [
            (model.id, model.line_keys)
            for model in map(self._catalog.models.__getitem__, sorted(models))
            if model.expansion_modules and not model.speed_dial_keys
        ]
        inherited = {
            group: effective_of(layers).plain[_MODULES] for group, layers in (self._layers if rooms else {}).items()
        }
        async for kind in self._members.with_keys(self._shared, rooms):
            modules = json.loads(kind.settings).get(_MODULES, inherited[_group(kind)])
            if not self._has_room(kind, modules):
                await self._look_at(await self._members.phone(kind.phone_id))

    def _has_room(self, kind: Kind, modules: int) -> bool:
        model = self._catalog.models[kind.model]
        keys = tuple(LineKey(**key) for key in json.loads(kind.line_keys))
        phone = Phone("", "", kind.model, "", "", lines=(Line("line"),) * kind.lines, line_keys=keys)
        try:
            check_room_for_keys(model, keys_of(self._catalog.family_of(model), phone), modules)
        except BadValue:
            return False
        return True

    def _suits(self, kind: Kind, layers: list[Layer]) -> bool:
        try:
            check_layers(self._catalog, self._catalog.models[kind.model], layers)
        except ZtpError:
            return False
        return True

    async def _look_at_all(self, kind: Kind) -> None:
        """What does not suit those that set nothing themselves: whether there are any, or all set it otherwise."""
        async for phone in self._members.phones(kind):
            await self._look_at(phone)

    async def _look_at(self, phone: Phone) -> None:
        """Raises BadValue naming the phone and what is wrong, unless all is well."""
        try:
            check(self._catalog, phone, self._sites[phone.site], self._bases[phone.base_settings])
        except ZtpError as error:
            raise BadValue(f"phone {phone.hardware_id}", str(error)) from None


def _group(kind: Kind) -> tuple[str, str, str]:
    return kind.model, kind.site, kind.base_settings


def _only(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}
