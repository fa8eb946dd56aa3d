"""What a change makes of the files of a phone, before anything is written: unified diffs that show no secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.firmware import Library
from ztp_server.domain.phone import Phone
from ztp_server.domain.phone_group import PhoneGroup
from ztp_server.domain.settings import SettingsTable, Value
from ztp_server.domain.site import Site
from ztp_server.errors import NotFound, TemplateError
from ztp_server.services.address import ServerAddress
from ztp_server.services.checks import known_model
from ztp_server.services.given_phones import user_lines_of
from ztp_server.services.own_files import Known, known_phone, make_file, make_group, make_offer, own_rules
from ztp_server.services.templates import Templates
from ztp_server.store import Session

SECRET = "***"
# A secret that takes the place of another one: a diff has to say so, and must not say more.
OTHER_SECRET = "*** (another one)"
MOST_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Shared:
    """What a phone is looked at with, instead of (None: beside) the site and base settings it has."""

    site: Site | None = None
    base: BaseSettings | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One phone by its hardware ID, and what becomes of its files: unified diffs by name, of those that differ."""

    phone: str
    model: str
    files: Mapping[str, str]


class SampleDiffs:
    def __init__(self, templates: Templates, address: ServerAddress) -> None:
        self._templates = templates
        self._address = address

    async def known(self, session: Session, phone: Phone, running: str, shared: Shared) -> Known:
        """A managed phone with what its files are made of, as it is kept, or as if its site or base settings were
        others. Raises BadValue, and NotFound for a phone that is given no files."""
        if phone.category != "managed":
            raise NotFound(f"phone {phone.hardware_id or phone.id} is {phone.category}: it is given no files")
        catalog = self._templates.catalog
        model = known_model(catalog, phone.model)
        site = shared.site or await session.sites.get(phone.site)
        base = shared.base or await session.base_settings.get(phone.base_settings)
        lines = await user_lines_of(session, phone)
        known = known_phone(make_group(catalog, model, site, base), self._address, phone, running, lines)
        known.offer = make_offer(known, Library(await session.firmware.all()), running)
        return known

    async def samples(
        self, who: Actor, session: Session, groups: Iterable[PhoneGroup], before: Shared, after: Shared
    ) -> tuple[Sample, ...]:
        """What becomes of the files of one phone of each model and base settings, of few at most, and of those only
        that the one who asks may see. Raises BadValue."""
        found: dict[tuple[str, str], Sample] = {}
        for group in groups:
            kind = (group.model, group.base_settings)
            if len(found) < MOST_SAMPLES and kind not in found and self._is_shown(who, group):
                phone, running = await session.phones.get_running(group.sample)
                found[kind] = await self.sample(session, phone, running, before, after)
        return tuple(found.values())

    async def sample(self, session: Session, phone: Phone, running: str, before: Shared, after: Shared) -> Sample:
        """What becomes of the files of one phone. Raises BadValue and NotFound."""
        known = [await self.known(session, phone, running, shared) for shared in (before, after)]
        return Sample(phone.hardware_id, phone.model, self.file_diffs(*known))

    def _is_shown(self, who: Actor, group: PhoneGroup) -> bool:
        """Whether a phone of the group is given files, by a folder that is still there, and may be seen."""
        has_files = bool(group.base_settings) and group.model in self._templates.catalog.models
        return has_files and who.may("phones:view", group.site)

    def file_diffs(self, before: Known, after: Known) -> dict[str, str]:
        """The files that differ, each as a unified diff. Secrets are `***`, and `*** (another one)` where they are
        others than before. A file that cannot be made says why in its place."""
        before, after = self._redacted(before, after)
        old, new = self._texts(before), self._texts(after)
        diffs = {name: _diff(name, old.get(name, ""), new.get(name, "")) for name in {**old, **new}}
        return {name: diff for name, diff in diffs.items() if diff}

    def _texts(self, known: Known) -> dict[str, str]:
        return {name: self._text(rule, known) for name, rule in own_rules(known).items()}

    def _text(self, rule: FileRule, known: Known) -> str:
        try:
            made = make_file(self._templates.renderer, self._address.server, rule, known)
        except TemplateError as error:
            return f"cannot be made: {error}\n"
        return made.body.decode("utf-8", "replace")

    def _redacted(self, before: Known, after: Known) -> tuple[Known, Known]:
        table = self._templates.catalog.settings
        old, new = before.effective.values, after.effective.values
        return (
            _with(before, _hidden_values(table, old, old), _hidden_lines(before.phone, before.phone)),
            _with(after, _hidden_values(table, new, old), _hidden_lines(after.phone, before.phone)),
        )


def _with(known: Known, values: Mapping[str, Value], phone: Phone) -> Known:
    return replace(known, effective=replace(known.effective, values=values), phone=phone)


def _hidden_values(table: SettingsTable, values: Mapping[str, Value], before: Mapping[str, Value]) -> dict[str, Value]:
    def shown(name: str, value: Value) -> Value:
        if not table.is_secret(name):
            return value
        return replace(value, value=hidden_secret(value.value, before[name].value if name in before else ""))

    return {name: shown(name, value) for name, value in values.items()}


def _hidden_lines(phone: Phone, before: Phone) -> Phone:
    passwords = [line.password for line in before.lines] + [""] * len(phone.lines)
    pairs = zip(phone.lines, passwords, strict=False)
    return replace(phone, lines=tuple(replace(li, password=hidden_secret(li.password, old)) for li, old in pairs))


def hidden_secret(value: Any, before: Any) -> Any:
    """What is shown of a secret, beside what was shown of the one before."""
    if not value:
        return value
    return OTHER_SECRET if before and before != value else SECRET


def _diff(name: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{name} (before)", f"{name} (after)", lineterm="")
    return "".join(f"{line}\n" for line in lines)
