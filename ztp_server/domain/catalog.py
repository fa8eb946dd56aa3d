"""All vendors together, and the questions a request asks of them: what can this name mean, who is this User-Agent?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ztp_server.domain.file_rules import FileRule, FirmwareRule, UploadRule
from ztp_server.domain.firmware import VERSION
from ztp_server.domain.hardware_id import MAC_PATTERN, normalise_mac
from ztp_server.domain.parameters import ParameterNames
from ztp_server.domain.settings import SettingsTable
from ztp_server.domain.vendor import Family, Model, Vendor

_MAC_IN_NAME = re.compile(MAC_PATTERN)

Rule = FileRule | UploadRule | FirmwareRule


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule that a requested name fits, with what its placeholders caught."""

    vendor: str
    rule: Rule
    captured: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Requested:
    """What a requested name can mean. `mac` is the phone it speaks of, if it is about one."""

    mac: str | None
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a User-Agent tells. `firmware` is empty when the version is not the phone's own (a boot loader's)."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""
    mac: str = ""


class Catalog:
    """All vendors, and the questions a request asks of them. Nothing here changes once made."""

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        settings: SettingsTable,
        static: Mapping[str, Path],
        parameters: Mapping[tuple[str, str], ParameterNames],
    ) -> None:
        self.vendors = vendors
        self.settings = settings
        self.static = static
        self._parameters = parameters
        self.models: dict[str, Model] = {m.id: m for v in vendors.values() for m in v.model}
        self._vendor_of_model = {m.id: v for v in vendors.values() for m in v.model}
        self._oui = {oui: v.id for v in vendors.values() for oui in v.ouis}
        self._by_name: dict[str, list[tuple[str, Rule]]] = {}
        self._by_ending: dict[str, list[tuple[str, Rule]]] = {}
        self._by_regex: list[tuple[str, Rule]] = []
        for vendor_id, rule in self._rules():
            if not rule.placeholders:
                self._by_name.setdefault(rule.pattern.lower(), []).append((vendor_id, rule))
            elif rule.placeholders == ["mac"] and rule.pattern.startswith("{mac}"):
                ending = rule.pattern.removeprefix("{mac}").lower()
                self._by_ending.setdefault(ending, []).append((vendor_id, rule))
            else:
                self._by_regex.append((vendor_id, rule))
        self.identify = lru_cache(maxsize=4096)(self._identify)

    def _rules(self) -> Iterator[tuple[str, Rule]]:
        for vendor in self.vendors.values():
            rules: tuple[Rule, ...] = (*vendor.file, *vendor.upload, *vendor.firmware)
            yield from ((vendor.id, rule) for rule in rules)

    def vendor_of(self, model: Model) -> Vendor:
        return self._vendor_of_model[model.id]

    def family_of(self, model: Model) -> Family:
        return self.vendor_of(model).family[model.family]

    def parameters_of(self, model: Model) -> ParameterNames:
        return self._parameters[self.vendor_of(model).id, model.family]

    def has_factory_certificate(self, model: Model) -> bool:
        """Whether phones of the model leave the factory with a certificate of their own."""
        family = self.family_of(model)
        return family.factory_certificate if model.factory_certificate is None else model.factory_certificate

    def most_capable(self, family: Family) -> Model:
        """A model with all that some model of the family has: what a profile for all of them may name."""
        models = [model for model in self.models.values() if self.family_of(model) is family]
        all_of_them = {
            "name": family.name,
            "codecs": tuple(dict.fromkeys(codec for model in models for codec in model.codecs)),
            "expansion_modules": max(model.expansion_modules for model in models),
            "maximum": {},
        }
        return models[0].model_copy(update=all_of_them)

    def vendor_of_oui(self, mac: str) -> str | None:
        """The vendor whose block a MAC is from. It confirms a vendor, it never decides one."""
        return self._oui.get(mac[:6])

    def nearest_model(self, model_id: str) -> str:
        """`; did you mean …?` for a misspelt id, or nothing."""
        near = difflib.get_close_matches(model_id.lower(), self.models, n=1)
        return f"; did you mean {near[0]}?" if near else ""

    def model_by_part(self, vendor_id: str, part: str) -> Model | None:
        return next((m for m in self.vendors[vendor_id].model if m.part.lower() == part.lower() != ""), None)

    def match(self, path: str) -> Requested:
        """What a path (decoded, without its leading slash) can mean. Order: literal names first, then the vendors'."""
        name = path.lower()
        found = self._by_name.get(name)
        if found:
            return Requested(None, tuple(Candidate(v, rule, {}) for v, rule in found))
        in_name = _MAC_IN_NAME.match(path)
        mac = normalise_mac(in_name[0]) if in_name else None
        if in_name and mac:
            found = self._by_ending.get(name[in_name.end() :], [])
            if found:
                return Requested(mac, tuple(Candidate(v, rule, {"mac": mac}) for v, rule in found))
        requested = self._match_regex(path)
        return requested if requested.candidates else Requested(mac, ())

    def _match_regex(self, path: str) -> Requested:
        """Names with other placeholders, or with the MAC further on (`cfg{mac}.xml`)."""
        matches = [(v, rule, rule.regex.fullmatch(path)) for v, rule in self._by_regex]
        candidates = tuple(Candidate(v, rule, m.groupdict()) for v, rule, m in matches if m)
        macs = [normalise_mac(c.captured["mac"]) for c in candidates if "mac" in c.captured]
        return Requested(macs[0] if macs else None, candidates)

    def _identify(self, user_agent: str) -> Seen:
        for vendor in self.vendors.values():
            for pattern in vendor.user_agent_patterns:
                match = pattern.search(user_agent)
                if match:
                    return self._seen(vendor, match.groupdict())
        return Seen()

    def _seen(self, vendor: Vendor, groups: Mapping[str, str | None]) -> Seen:
        stage = groups.get("stage") or vendor.application_stage
        firmware = groups.get("firmware") or ""
        if not VERSION.fullmatch(firmware):
            firmware = ""  # made up: no phone says so, and whoever does must not fill what remembers versions
        return Seen(
            vendor=vendor.id,
            model=self.model_named(vendor.id, groups.get("model") or ""),
            firmware=firmware if stage == vendor.application_stage else "",
            mac=normalise_mac(groups.get("mac") or "") or "",
        )

    def model_named(self, vendor_id: str, name: str) -> str:
        """The id of the model that calls itself so, or an empty text. Makers append letters for variants (a G for
        gigabit), so the longest known beginning wins."""
        known = [m for m in self.vendors[vendor_id].model if name.lower().startswith(m.user_agent.lower())]
        return max(known, key=lambda m: len(m.user_agent)).id if known else ""
