"""The files a maker's phones ask for and send: tables of vendor.toml that begin with a pattern of their name."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

from pydantic import Field

from ztp_server.domain.hardware_id import MAC_PATTERN
from ztp_server.domain.toml_row import TomlRow

CAPTURES = {
    "mac": MAC_PATTERN,
    "version": r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    "part": r"[0-9A-Za-z]+(?:-[0-9A-Za-z]+)*",
    "model": r"[0-9A-Za-z_]+",
}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Pattern(TomlRow):
    """A name with placeholders, as phones ask for it: `{mac}-phone.cfg`, `fw/{version}/{part}.sip.ld`."""

    pattern: str

    @cached_property
    def regex(self) -> re.Pattern[str]:
        parts = _PLACEHOLDER.split(self.pattern)
        source = "".join(f"(?P<{p}>{CAPTURES[p]})" if i % 2 else re.escape(p) for i, p in enumerate(parts))
        return re.compile(source, re.IGNORECASE)

    @property
    def placeholders(self) -> list[str]:
        return _PLACEHOLDER.findall(self.pattern)


class FileRule(Pattern):
    """A file that is rendered. `serve` says to whom: the proven `phone` itself, anybody (`public`), or any phone
    at its first knock over plain HTTP (`bootstrap`); `redirect` answers 302 to the steady address instead.
    `parameters` says that what it sets are parameters of the phone: attributes in a file of XML, names before `=` in
    one of lines, `section/entry` in XML of `<section name>` with `<entry name>` (`sections`)."""

    template: str = ""
    format: Literal["xml", "sections", "line", "pem"] = "xml"
    content_type: str = "text/xml"
    serve: Literal["phone", "public", "bootstrap", "redirect"] = "phone"
    bootstrap: str = ""
    parameters: bool = True
    families: tuple[str, ...] = ()


class UploadRule(Pattern):
    """A file a phone may PUT, read back and ask the size of; kept for this phone alone. `overrides` are what a user
    changed on the phone, which go above our files when it boots: see OverridesRule."""

    max_bytes: int = Field(gt=0, le=16 * 1024 * 1024)
    families: tuple[str, ...] = ()
    kind: Literal["log", "overrides"] = "log"


class FirmwareRule(Pattern):
    """A name of a firmware image. What it leaves open is told by the phone that asks."""
