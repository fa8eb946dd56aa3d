"""A setting that only one maker has: a `[[setting]]` of its vendor.toml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.domain.settings import Setting
from ztp_server.domain.toml_row import TomlRow
from ztp_server.errors import BadValue

_LONGEST_TEXT = 65_536


class DeclaredSetting(TomlRow):
    """As it stands there. `min` and `max` bound an integer, `max` the characters of a text; `values` are those of a
    choice."""

    name: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    type: Literal["boolean", "integer", "choice", "text"]
    default: Any
    help: str
    secret: bool = False
    min: int | None = None
    max: int | None = None
    values: tuple[str, ...] = ()

    def of(self, vendor_id: str) -> Setting:
        """The row of the settings table, `<vendor>.<name>`. Raises BadValue for what its type needs or its default
        must not be."""
        setting = Setting(
            f"{vendor_id}.{self.name}", vendor_id, self._checked_type(), self.default, self.help, self.secret
        )
        setting.parse(self.default)
        return setting

    def _checked_type(self) -> Any:
        if self.type == "boolean":
            return bool
        if self.type == "integer":
            if self.min is None or self.max is None:
                raise BadValue(self.name, "needs min and max")
            return Annotated[int, Field(ge=self.min, le=self.max)]
        if self.type == "choice":
            if not self.values:
                raise BadValue(self.name, "needs values")
            return Literal[self.values]
        longest = 255 if self.max is None else self.max
        if not 0 < longest <= _LONGEST_TEXT:
            raise BadValue(self.name, f"max must be 1 to {_LONGEST_TEXT}")
        return Annotated[str, Field(max_length=longest)]
