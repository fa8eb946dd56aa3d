"""templates/*/vendor.toml, and the family.toml of each family beside it → Catalog. A mistake names file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.declared_setting import DeclaredSetting
from ztp_server.domain.file_rules import CAPTURES
from ztp_server.domain.firmware import leads_up
from ztp_server.domain.parameters import BadLine, ParameterNames, Syntax, parse_names
from ztp_server.domain.settings import CUSTOM, Setting, SettingsTable
from ztp_server.domain.settings_table import PRODUCT_SETTINGS
from ztp_server.domain.vendor import Family, Vendor
from ztp_server.errors import BadValue, TemplateError
from ztp_server.vendor_folders import PARAMETERS_FILE, VENDOR_FILE, Folder
from ztp_server.xml_parameters import check_empty

Key = tuple[Any, ...]
_TOML_PLACE = re.compile(r"\(at line (\d+)")


def load_catalog(folder: Folder) -> Catalog:
    """Every vendor of a folder. Raises TemplateError for the first mistake found."""
    declared: dict[str, Setting] = {}
    raw: dict[str, dict[str, Any]] = {}
    for vendor_id in folder.vendors:
        raw[vendor_id] = _parse_toml(folder, f"{vendor_id}/{VENDOR_FILE}")
        declared |= _declared_settings(vendor_id, raw[vendor_id].pop("setting", []))
    table = SettingsTable(dict(PRODUCT_SETTINGS.rows) | declared)
    vendors = {vendor_id: _vendor(folder, vendor_id, data, table) for vendor_id, data in raw.items()}
    _check_unique_models(vendors)
    return Catalog(vendors, table, folder.static, _parameters(folder, vendors))


@dataclass(frozen=True)
class _Sources:
    """Which file a table of a vendor came from, so that a mistake in it can be pointed at."""

    folder: Folder
    vendor: str
    families: Mapping[str, str]
    models: Sequence[str]

    def error(self, key: Sequence[Any], reason: str) -> TemplateError:
        name = self._file(key)
        return TemplateError(name, _line_of(self.folder.texts[name], key), f"{'.'.join(map(str, key))}: {reason}")

    def _file(self, key: Sequence[Any]) -> str:
        if key[:1] == ("family",) and len(key) > 1:
            return self.families.get(str(key[1]), self.vendor)
        if key[:1] == ("model",) and len(key) > 1 and isinstance(key[1], int):
            return self.models[key[1]]
        return self.vendor


def _parse_toml(folder: Folder, name: str) -> dict[str, Any]:
    try:
        data = tomllib.loads(folder.texts[name])
        if _has_wide_number(data):
            raise TemplateError(name, 0, "a number of more than 64 bits")
    except ValueError as error:  # also what Python says of a number of thousands of digits
        place = _TOML_PLACE.search(str(error))
        raise TemplateError(name, int(place[1]) if place else 0, str(error)) from None
    except RecursionError:
        raise TemplateError(name, 0, "nested too deeply") from None
    _check_shape(name, data)
    return data


def _has_wide_number(value: Any) -> bool:
    """TOML 1.0 has integers of 64 bits; longer ones Python reads, and does not write into a message."""
    if isinstance(value, (dict, list)):
        return any(map(_has_wide_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _check_shape(name: str, data: Mapping[str, Any]) -> None:
    """The tables that are looked at before the file is checked as a whole. Raises TemplateError."""
    for key in ("setting", "model"):
        rows = data.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TemplateError(name, 0, f"{key}: must be tables [[{key}]]")
    families, order = data.get("family", {}), data.get("families", [])
    if not isinstance(families, dict) or not all(isinstance(family, dict) for family in families.values()):
        raise TemplateError(name, 0, "family: must be tables [family.…]")
    if not isinstance(order, list) or not all(isinstance(family, str) for family in order):
        raise TemplateError(name, 0, "families: must be a list of names of families")


def _with_families(folder: Folder, vendor_id: str, data: dict[str, Any]) -> _Sources:
    """Put the family files of a vendor into its tables, and what a family says it is like under what it says itself."""
    name, files = f"{vendor_id}/{VENDOR_FILE}", folder.family_files(vendor_id)
    families, models = data.setdefault("family", {}), data.setdefault("model", [])
    sources = [name] * len(models)
    for family_id, file in files.items():
        if family_id in families:
            raise TemplateError(file, 0, f"family {family_id} stands in {name} as well")
        families[family_id] = own = _parse_toml(folder, file)
        rows = own.pop("model", [])
        models += [{"family": family_id, **row} for row in rows]
        sources += [file] * len(rows)
    first = [family_id for family_id in data.get("families", []) if family_id in families]
    data["family"] = {key: _like(families, key, (), files.get(key, name)) for key in dict.fromkeys([*first, *families])}
    return _Sources(folder, name, files, sources)


def _like(families: Mapping[str, Any], family_id: str, asked_by: tuple[str, ...], file: str) -> dict[str, Any]:
    """A family's table over that of the one it is like. Its settings are its own: evidence is not inherited."""
    own = dict(families[family_id])
    other = own.pop("like", None)
    if other is None:
        return own
    if not isinstance(other, str) or other not in families or other in (*asked_by, family_id):
        raise TemplateError(file, 0, f"like: {other!r} is no other family of this vendor")
    below = _like(families, other, (*asked_by, family_id), file)
    return {**{key: value for key, value in below.items() if key != "settings"}, **own}


def _vendor(folder: Folder, vendor_id: str, data: dict[str, Any], table: SettingsTable) -> Vendor:
    sources = _with_families(folder, vendor_id, data)
    try:
        vendor = Vendor.model_validate({"id": vendor_id, **data})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise sources.error(first["loc"], first["msg"]) from None
    for key, reason in _problems(vendor, table, folder):
        raise sources.error(key, reason)
    return vendor


def _problems(vendor: Vendor, table: SettingsTable, folder: Folder) -> Iterable[tuple[Key, str]]:
    """What the shape of the file alone does not tell: names that point to nothing, patterns that do not compile."""
    for rule in (*vendor.file, *vendor.upload, *vendor.firmware):
        if len(set(rule.placeholders)) < len(rule.placeholders):
            yield ("pattern", rule.pattern), "a placeholder stands in it twice"
        unknown = set(rule.placeholders) - set(CAPTURES)
        if unknown:
            yield ("pattern", rule.pattern), f"no placeholder {{{unknown.pop()}}}; known: {', '.join(CAPTURES)}"
    for pattern in vendor.user_agents:
        yield from _pattern_problems(("user_agents",), pattern)
    if vendor.certificate:
        for pattern in (vendor.certificate.pattern, *vendor.certificate.generic):
            yield from _pattern_problems(("certificate",), pattern)
        if "(?P<mac>" not in vendor.certificate.pattern:
            yield ("certificate", "pattern"), "has no group mac: (?P<mac>…)"
    for number, model in enumerate(vendor.model):
        if model.family not in vendor.family:
            yield ("model", number, model.id), f"family {model.family!r} is not in this folder"
    for family_id, family in vendor.family.items():
        yield from _family_problems(("family", family_id), family, table)
        yield from _step_problems(("family", family_id, "firmware_step"), vendor, family)
    yield from _default_problems(("defaults",), vendor.defaults, table)
    yield from _override_problems(vendor)
    yield from _missing_templates(vendor, folder)


def _override_problems(vendor: Vendor) -> Iterable[tuple[Key, str]]:
    for upload in vendor.upload:
        if upload.kind == "overrides" and vendor.overrides is None:
            yield ("upload", upload.pattern), "kind overrides needs [overrides], which says what of it is kept"
    if vendor.overrides is None:
        return
    for row in vendor.overrides.keep:
        yield from _pattern_problems(("overrides", "keep", row.values), row.values)
    try:
        check_empty(vendor.overrides.empty)
    except BadValue as error:
        yield ("overrides", "empty"), error.reason


def _family_problems(key: Key, family: Family, table: SettingsTable) -> Iterable[tuple[Key, str]]:
    for setting, support in family.settings.items():
        if setting not in table.rows:
            yield (*key, "settings", setting), "no such setting"
        given = [s for s in ("parameter", "server", "absent", "unproven") if getattr(support, s)]
        if len(given) != 1:
            yield (*key, "settings", setting), "give exactly one of parameter, server, absent, unproven"
    yield from _pattern_problems((*key, "custom_name"), family.custom_name)
    for name, limit in family.limits.items():
        yield from _pattern_problems((*key, "limits", name), limit.pattern)
    if family.reading.flash:
        yield from _pattern_problems((*key, "reading", "flash"), family.reading.flash.names)
    yield from _default_problems((*key, "defaults"), family.defaults, table)
    yield from _restart_problems((*key, "notify", "restart"), family, table)


def _restart_problems(key: Key, family: Family, table: SettingsTable) -> Iterable[tuple[Key, str]]:
    """Ways to restart that no phone of the family could ever be opened."""
    for way in family.notify.restart:
        yield from _default_problems(key, {n: v for n, v in way.needs.items() if not n.startswith(CUSTOM)}, table)
        for name in (*way.needs, *filter(None, [way.password])):
            if not name.startswith(CUSTOM) and family.support(name).state != "parameter":
                yield (*key, name), f"{name} is nothing that this family is told"


def _step_problems(key: Key, vendor: Vendor, family: Family) -> Iterable[tuple[Key, str]]:
    """Steps that lead nowhere, or past the phones they are for."""
    ids = {model.id for model in vendor.model}
    for step in family.firmware_step:
        if not leads_up(step):
            yield (*key, step.via), "via must be at least `below`, and older than `target`"
        yield from (((*key, model), "no such model") for model in step.models if model not in ids)


def _pattern_problems(key: Key, pattern: str) -> Iterable[tuple[Key, str]]:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield key, f"{pattern!r} is no regular expression: {error}"


def _default_problems(key: Key, defaults: Mapping[str, Any], table: SettingsTable) -> Iterable[tuple[Key, str]]:
    for name, value in defaults.items():
        try:
            if name.startswith(CUSTOM) or table.parse(name, value) != value:
                yield (*key, name), "not the canonical form of a setting"
        except BadValue as error:
            yield (*key, name), error.reason


def _missing_templates(vendor: Vendor, folder: Folder) -> Iterable[tuple[Key, str]]:
    for rule in vendor.file:
        for template in filter(None, (rule.template, rule.bootstrap)):
            for family_id in rule.families or vendor.family:
                name = template_name(vendor.id, family_id, template)
                if name not in folder.texts:
                    yield ("file", rule.pattern), f"no template {name}"


def template_name(vendor_id: str, family_id: str, template: str) -> str:
    """The name of a rule's template for a family: `{family}/settings.cfg.j2` → `acme/desk/settings.cfg.j2`."""
    return f"{vendor_id}/{template.replace('{family}', family_id)}"


def _parameters(folder: Folder, vendors: Mapping[str, Vendor]) -> dict[tuple[str, str], ParameterNames]:
    """What is known of the parameters of each family: the vendor's list, and the family's own above it."""
    known = {}
    for vendor in vendors.values():
        of_all = _names_in(folder, f"{vendor.id}/{PARAMETERS_FILE}")
        for family_id in vendor.family:
            own = _names_in(folder, f"{vendor.id}/{family_id}/{PARAMETERS_FILE}")
            known[vendor.id, family_id] = ParameterNames({**of_all, **own})
    return known


def _names_in(folder: Folder, file: str) -> dict[str, Syntax | None]:
    try:
        return parse_names(folder.texts.get(file, ""))
    except BadLine as error:
        raise TemplateError(file, error.number, str(error)) from None


def _check_unique_models(vendors: Mapping[str, Vendor]) -> None:
    owner: dict[str, str] = {}
    for vendor in vendors.values():
        for model in vendor.model:
            if owner.setdefault(model.id, vendor.id) != vendor.id:
                raise TemplateError(f"{vendor.id}/{VENDOR_FILE}", 0, f"model {model.id} is also in {owner[model.id]}")


def _line_of(text: str, key: Iterable[Any]) -> int:
    """The line where the innermost name of a key stands, so that an error can point at it; 0 when none does."""
    for part in reversed([str(p) for p in key if not isinstance(p, int)]):
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(rf"(?<![\w-]){re.escape(part)}(?![\w-])", line.split("#")[0]):
                return number
    return 0


def _declared_settings(vendor_id: str, rows: list[dict[str, Any]]) -> dict[str, Setting]:
    """`[[setting]]` tables of a vendor.toml: settings that only this maker has."""
    declared = {}
    for row in rows:
        try:
            setting = DeclaredSetting.model_validate(row).of(vendor_id)
        except (ValidationError, BadValue) as error:
            reason = str(error) if isinstance(error, BadValue) else _first_of(error)
            raise TemplateError(f"{vendor_id}/{VENDOR_FILE}", 0, f"setting {row.get('name', '?')}: {reason}") from None
        declared[setting.name] = setting
    return declared


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
