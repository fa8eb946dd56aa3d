"""Settings: how a value is checked, and how the layers make one value that remembers who spoke.

The rows themselves are in settings_table.py.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue

Values = Mapping[str, Any]

CUSTOM = "custom."
LONGEST_NAME = 160
_LOOKS_SECRET = re.compile("pass|phrase|pwd|psk|secret|token|key|credential|community|auth|pin$", re.IGNORECASE)


@dataclass(frozen=True)
class Setting:
    """One row of the table: everything a form, a check, a page of documentation or a redaction needs to know."""

    name: str
    section: str
    type: Any
    default: Any
    help: str
    secret: bool = False

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.type)

    def parse(self, value: Any) -> Any:
        """The canonical value for what was written (text from a command line, or JSON). Raises BadValue."""
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            if first["type"].startswith("bool_"):
                raise BadValue(f"settings.{self.name}", "must be on or off") from None
            reason = re.sub(r"^Value error, ", "must be ", first["msg"])
            reason = re.sub(r"^\w+ should ", "must ", reason)
            place = "".join(f".{part + 1}" for part in first["loc"] if isinstance(part, int))
            raise BadValue(f"settings.{self.name}{place}", reason) from None

    @property
    def json_schema(self) -> dict[str, Any]:
        return self._adapter.json_schema()


@dataclass(frozen=True)
class SettingsTable:
    """The settings that may be written: the product's rows and those a vendor declares as `<vendor>.<name>`."""

    rows: Mapping[str, Setting]

    @classmethod
    def of(cls, rows: Iterable[Setting]) -> SettingsTable:
        return cls({row.name: row for row in rows})

    def parse(self, name: str, value: Any) -> Any:
        """Check one written value. Raises BadValue for an unknown name (with the nearest known one) or a bad value."""
        if name.startswith(CUSTOM):
            if len(name) > LONGEST_NAME:
                raise BadValue(f"settings.{name[:LONGEST_NAME]}", f"a name of {len(name)} characters")
            return check_text(f"settings.{name}", str(value), max_length=2048)
        setting = self.rows.get(name)
        if setting is None:
            near = difflib.get_close_matches(name, self.rows, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadValue(f"settings.{name[:LONGEST_NAME]}", f"unknown setting{hint}")
        return setting.parse(value)

    def parse_all(self, values: Values) -> dict[str, Any]:
        return {name: self.parse(name, value) for name, value in values.items()}

    def is_secret(self, name: str) -> bool:
        """Whether a value is never shown. A raw parameter counts by its name, for want of anything better to go by."""
        if name.startswith(CUSTOM):
            return bool(_LOOKS_SECRET.search(name))
        setting = self.rows.get(name)
        return setting is None or setting.secret

    def defaults(self) -> dict[str, Any]:
        return {name: row.default for name, row in self.rows.items()}

    def redacted(self, values: Values) -> dict[str, Any]:
        return {name: "***" if value and self.is_secret(name) else value for name, value in values.items()}


@dataclass(frozen=True)
class Layer:
    """One level that speaks. `name` is its kind (`site`), `source` what an administrator calls it (`site madrid`)."""

    name: str
    source: str
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Value:
    """A value with the layer it came from, and the values it covers (nearest first)."""

    value: Any
    layer: str
    source: str
    underneath: tuple[Value, ...] = ()


def resolve(layers: Sequence[Layer]) -> dict[str, Value]:
    """The last layer that speaks of a setting wins; every value says where it came from."""
    resolved: dict[str, Value] = {}
    for layer in layers:
        for name, value in layer.values.items():
            covered = resolved.get(name)
            underneath = (covered, *covered.underneath) if covered else ()
            resolved[name] = Value(value, layer.name, layer.source, underneath)
    return resolved
