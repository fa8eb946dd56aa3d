"""templates/*/vendor.toml → Catalog. A mistake names file and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.settings import CUSTOM, Setting, SettingsTable
from ztp_server.domain.settings_table import PRODUCT_SETTINGS
from ztp_server.domain.vendor import CAPTURES, Family, Vendor
from ztp_server.errors import BadValue, TemplateError

VENDOR_FILE = "vendor.toml"
_TOML_PLACE = re.compile(r"\(at line (\d+)")


@dataclass(frozen=True)
class Folder:
    """One look at the templates folders: texts by their name (`acme/vendor.toml`), served files by theirs.

    `origins` says which file a text came from; a name in the administrator's folder covers the shipped one.
    `unreadable` are files whose text could not be had, and why.
    """

    texts: Mapping[str, str]
    origins: Mapping[str, Path]
    static: Mapping[str, Path]
    unreadable: Mapping[str, str]

    @property
    def vendors(self) -> list[str]:
        return sorted(name.split("/")[0] for name in self.texts if name.endswith("/" + VENDOR_FILE))


def read_folder(*folders: Path) -> Folder:
    """Read the folders in order, a later one covering an earlier one file by file."""
    origins: dict[str, Path] = {}
    static: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/**/*")):
            name = path.relative_to(folder).as_posix()
            rest = name.partition("/")[2]
            if not path.is_file() or "/." in f"/{name}":
                continue
            if rest.startswith("files/"):
                static[rest.removeprefix("files/")] = path
            elif rest == VENDOR_FILE or rest.endswith(".j2"):
                origins[name] = path
    texts, unreadable = _read_texts(origins)
    return Folder(texts, origins, static, unreadable)


def _read_texts(origins: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    texts, unreadable = {}, {}
    for name, path in origins.items():
        try:
            texts[name] = path.read_text("utf-8")
        except OSError as error:
            unreadable[name] = f"cannot be read: {error.strerror}"
        except UnicodeDecodeError as error:
            unreadable[name] = f"not UTF-8 text (byte {error.start})"
    return texts, unreadable


def load_catalog(folder: Folder) -> Catalog:
    """Every vendor of a folder. Raises TemplateError for the first mistake found."""
    declared: dict[str, Setting] = {}
    raw: dict[str, dict[str, Any]] = {}
    for vendor_id in folder.vendors:
        raw[vendor_id] = _parse_toml(folder, vendor_id)
        declared |= _declared_settings(vendor_id, raw[vendor_id].pop("setting", []))
    table = SettingsTable(dict(PRODUCT_SETTINGS.rows) | declared)
    vendors = {vendor_id: _vendor(folder, vendor_id, data, table) for vendor_id, data in raw.items()}
    _check_unique_models(vendors)
    return Catalog(vendors, table, folder.static)


def _parse_toml(folder: Folder, vendor_id: str) -> dict[str, Any]:
    name = f"{vendor_id}/{VENDOR_FILE}"
    try:
        return tomllib.loads(folder.texts[name])
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        raise TemplateError(name, int(place[1]) if place else 0, str(error)) from None


def _vendor(folder: Folder, vendor_id: str, data: dict[str, Any], table: SettingsTable) -> Vendor:
    name = f"{vendor_id}/{VENDOR_FILE}"
    try:
        vendor = Vendor.model_validate({"id": vendor_id, **data})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise TemplateError(name, _line_of(folder.texts[name], first["loc"]), f"{key}: {first['msg']}") from None
    for problem in _problems(vendor, table, folder):
        raise TemplateError(name, _line_of(folder.texts[name], problem[0].split(".")), ": ".join(problem))
    return vendor


def _problems(vendor: Vendor, table: SettingsTable, folder: Folder) -> Iterable[tuple[str, str]]:
    """What the shape of the file alone does not tell: names that point to nothing, patterns that do not compile."""
    for rule in (*vendor.file, *vendor.upload, *vendor.firmware):
        unknown = set(rule.placeholders) - set(CAPTURES)
        if unknown:
            yield f"pattern.{rule.pattern}", f"no placeholder {{{unknown.pop()}}}; known: {', '.join(CAPTURES)}"
    for pattern in (*vendor.user_agents, *([vendor.certificate.pattern] if vendor.certificate else [])):
        try:
            re.compile(pattern)
        except re.error as error:
            yield "user_agents", f"{pattern!r} is no regular expression: {error}"
    for model in vendor.model:
        if model.family not in vendor.family:
            yield f"model.{model.id}", f"family {model.family!r} is not in this file"
    for family_id, family in vendor.family.items():
        yield from _family_problems(f"family.{family_id}", family, table)
    yield from _default_problems("defaults", vendor.defaults, table)
    yield from _missing_templates(vendor, folder)


def _family_problems(key: str, family: Family, table: SettingsTable) -> Iterable[tuple[str, str]]:
    for setting, support in family.settings.items():
        if setting not in table.rows:
            yield f"{key}.settings.{setting}", "no such setting"
        given = [s for s in ("parameter", "server", "absent", "unproven") if getattr(support, s)]
        if len(given) != 1:
            yield f"{key}.settings.{setting}", "give exactly one of parameter, server, absent, unproven"
    yield from _default_problems(f"{key}.defaults", family.defaults, table)


def _default_problems(key: str, defaults: Mapping[str, Any], table: SettingsTable) -> Iterable[tuple[str, str]]:
    for name, value in defaults.items():
        try:
            if name.startswith(CUSTOM) or table.parse(name, value) != value:
                yield f"{key}.{name}", "not the canonical form of a setting"
        except BadValue as error:
            yield f"{key}.{name}", error.reason


def _missing_templates(vendor: Vendor, folder: Folder) -> Iterable[tuple[str, str]]:
    for rule in vendor.file:
        for template in filter(None, (rule.template, rule.bootstrap)):
            for family_id in rule.families or vendor.family:
                name = template_name(vendor.id, family_id, template)
                if name not in folder.texts:
                    yield f"file.{rule.pattern}", f"no template {name}"


def template_name(vendor_id: str, family_id: str, template: str) -> str:
    """The name of a rule's template for a family: `{family}/settings.cfg.j2` → `acme/desk/settings.cfg.j2`."""
    return f"{vendor_id}/{template.replace('{family}', family_id)}"


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
            name = f"{vendor_id}.{row['name']}"
            setting = Setting(name, vendor_id, _type_of(row), row["default"], row["help"], row.get("secret", False))
            setting.parse(setting.default)
        except (KeyError, BadValue) as error:
            reason = f"needs {error}" if isinstance(error, KeyError) else str(error)
            raise TemplateError(f"{vendor_id}/{VENDOR_FILE}", 0, f"setting {row.get('name', '?')}: {reason}") from None
        declared[name] = setting
    return declared


def _type_of(row: Mapping[str, Any]) -> Any:
    if row["type"] == "boolean":
        return bool
    if row["type"] == "integer":
        return Annotated[int, Field(ge=row["min"], le=row["max"])]
    if row["type"] == "choice":
        return Literal[tuple(row["values"])]
    if row["type"] == "text":
        return Annotated[str, Field(max_length=row.get("max", 255))]
    raise KeyError("a type: boolean, integer, choice or text")
