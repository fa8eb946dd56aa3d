"""A phone out of a row, and a phone as cells: what one writes, the other reads as the same phone again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.proof import read_proofs, spelled_proofs
from ztp_server.domain.settings import CUSTOM, SettingsTable
from ztp_server.domain.text import is_unreadable, switch
from ztp_server.errors import BadValue
from ztp_server.services.phone_csv import EMPTY, Cells, Row, neutral

T = TypeVar("T")

_PLAIN = ("name", "category", "model", "site", "base_settings", "user", "remote_address")
_LINE_TEXTS = ("user", "auth_user", "password", "display_name", "label")
# Fields of lists, by how their columns begin and which comes first.
_GROUPS = {"lines": ("line", "user"), "line_keys": ("key", "type")}
# What a spreadsheet program makes of a MAC that looks like a number.
_ROUNDED = re.compile(r"\d+(?:[.,]\d+)?E\+?\d+", re.IGNORECASE)
_ADVICE = "a spreadsheet program took it for a number; make the column text there, and write the MAC again"


def phone_of(row: Row, before: Phone | None, table: SettingsTable) -> Phone:
    """What a row makes of a phone, or of none. Nothing but the spelling of settings is checked. Raises BadValue."""
    if before is None:
        hardware_id = hardware_id_of(row)
        empty = Phone(name=hardware_id, hardware_id=hardware_id, model="", site="", base_settings="")
        return _changed(replace(empty, id=row.text("id")), row, table)
    own = hardware_id_of(row) if "hardware_id" in row.fields else before.hardware_id
    return replace(_changed(before, row, table), hardware_id=own)


def hardware_id_of(row: Row) -> str:
    """The hardware ID of a row, in its one spelling; empty when it has none. Raises BadValue, with a hint where a
    spreadsheet program has spoilt it."""
    text = row.text("hardware_id").strip()
    if not text:
        return ""
    if _ROUNDED.fullmatch(text):
        raise BadValue("hardware_id", f"{text[:32]} was rounded: {_ADVICE}")
    if text.isdecimal() and len(text) < 12:
        raise BadValue("hardware_id", f"{len(text)} digits instead of 12, leading zeros were lost: {_ADVICE}")
    return HardwareId.parse(text).value


def _changed(before: Phone, row: Row, table: SettingsTable) -> Phone:
    own: dict[str, Any] = {name: row.fields[name] or "" for name in _PLAIN if name in row.fields}
    if "logged_out" in row.fields:
        own["logged_out"] = switch("logged_out", row.fields["logged_out"] or "off")
    if "proofs" in row.fields:
        own["proofs"] = _proofs(row.fields["proofs"])
    if row.lines:
        own["lines"] = _merged("lines", before.lines, row.lines, _line)
    if row.keys:
        own["line_keys"] = _merged("line_keys", before.line_keys, row.keys, _key)
    if row.settings:
        own["settings"] = _settings(before.settings, row.settings, table)
    return replace(before, **own)


def _merged(
    field: str,
    before: Sequence[T],
    given: Mapping[int, Cells],
    made: Callable[[str, T | None, Cells], T | None],
) -> tuple[T, ...]:
    """A list with some of its places changed. Those taken away must stand at its end, and none may be left out."""
    noun, first = _GROUPS[field]
    places: dict[int, T] = dict(enumerate(before, 1))
    for number in sorted(given):
        found = made(f"{field}.{number}", places.get(number), given[number])
        if found is None:
            places.pop(number, None)
        else:
            places[number] = found
    last = max(places, default=0)
    if last != len(places):
        missing = next(number for number in range(1, last) if number not in places)
        raise BadValue(f"{field}.{missing}.{first}", f"is empty, while {noun} {last} is filled")
    return tuple(places[number] for number in range(1, last + 1))


def _line(place: str, before: Line | None, cells: Cells) -> Line | None:
    if cells.get("user", "") is None:
        return None
    texts = {name: cells[name] or "" for name in _LINE_TEXTS if name in cells}
    line = replace(before or Line(""), **texts)  # type: ignore[arg-type]
    if "shared" in cells:
        line = replace(line, shared=switch(f"{place}.shared", cells["shared"] or "off"))
    return line


def _key(place: str, before: LineKey | None, cells: Cells) -> LineKey | None:
    """A key that becomes one of another type keeps nothing. One of type line names its line in the value column, or is
    on the first."""
    kind = cells.get("type", before.type if before else "")
    if kind is None:
        return None
    if before is None or before.type != kind:
        before = LineKey(kind, line=1 if kind == "line" else 0)
    label = cells.get("label", before.label) or ""
    if kind != "line":
        return replace(before, value=cells.get("value", before.value) or "", label=label)
    number = cells.get("value", str(before.line)) or "1"
    if not re.fullmatch("[0-9]{1,3}", number):
        raise BadValue(f"{place}.value", "a line key has the number of its line here")
    return replace(before, line=int(number), label=label)


def _settings(before: Mapping[str, Any], cells: Cells, table: SettingsTable) -> dict[str, Any]:
    after = dict(before)
    for name, cell in cells.items():
        if cell is None:
            after.pop(name, None)
        elif name not in before or cell != _spelled(name, before[name], table):
            after[name] = table.parse(name, _listed(cell) if _is_list(name, table) else cell)
    return after


def _proofs(cell: str | None) -> tuple[str, ...] | None:
    """`-` takes away what a phone has of its own: those of its site count."""
    return None if cell is None else read_proofs(cell)


def _listed(cell: str) -> Any:
    """A list as it is written: by comma, or as JSON where a comma is part of an item."""
    if cell.startswith("["):
        try:
            found = json.loads(cell)
        except ValueError:
            return cell
        return found if isinstance(found, list) else cell
    return cell


def _is_list(name: str, table: SettingsTable) -> bool:
    row = None if name.startswith(CUSTOM) else table.rows.get(name)
    return row is not None and isinstance(row.default, list)


def cells_of(phone: Phone, table: SettingsTable, *, reveal: bool) -> dict[str, str]:
    """A phone as cells that are not empty, by column; passwords and secret settings only when they are revealed."""
    cells = {"id": phone.id, "hardware_id": phone.hardware_id}
    cells |= {name: getattr(phone, name) for name in _PLAIN}
    cells["logged_out"] = "on" if phone.logged_out else ""
    cells["proofs"] = "" if phone.proofs is None else spelled_proofs(phone.proofs)
    for number, line in enumerate(phone.lines, 1):
        cells |= {f"line{number}_{name}": getattr(line, name) for name in _LINE_TEXTS if reveal or name != "password"}
        cells[f"line{number}_shared"] = "on" if line.shared else ""
    for number, key in enumerate(phone.line_keys, 1):
        value = str(key.line) if key.type == "line" else key.value
        cells |= {f"key{number}_type": key.type, f"key{number}_value": value, f"key{number}_label": key.label}
    found = {column: neutral(text) for column, text in cells.items() if text and not is_unreadable(text)}
    for name, value in phone.settings.items():
        if (reveal or not table.is_secret(name)) and not is_unreadable(value):
            found[f"settings.{name}"] = neutral(_spelled(name, value, table)) or EMPTY
    return found


def _spelled(name: str, value: Any, table: SettingsTable) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, list):
        return str(value)
    text = ",".join(map(str, value))
    try:
        same = bool(value) and not text.startswith("[") and table.parse(name, text) == value
    except BadValue:
        same = False
    return text if same else json.dumps(value, ensure_ascii=False)


def column_of(field: str) -> str:
    """The column of a field: `lines.1.user` → `line1_user`, `line_keys.2` → `key2_type`, `settings.codecs.1` →
    `settings.codecs`."""
    parts = field.split(".")
    if parts[0] in _GROUPS and len(parts) > 1:
        prefix, first = _GROUPS[parts[0]]
        name = parts[2] if len(parts) > 2 else first
        # The line of a line key stands in the value column.
        return f"{prefix}{parts[1]}_{'value' if (prefix, name) == ('key', 'line') else name}"
    if parts[0] == "settings" and not field.startswith(f"settings.{CUSTOM}"):
        return ".".join(part for part in parts if not part.isdecimal())
    return field
