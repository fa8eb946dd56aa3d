"""The rows of templates/<vendor>/vendor.toml and <family>/family.toml: a maker, its families and models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from ztp_server.domain.file_rules import FileRule, FirmwareRule, UploadRule
from ztp_server.domain.line_key import LineKeyType
from ztp_server.domain.notify import Notify
from ztp_server.domain.overrides import OverridesRule
from ztp_server.domain.toml_row import TomlRow

Method = Literal["GET", "HEAD", "PUT"]


class CertificateRule(TomlRow):
    """Where the MAC stands in the subject of a factory certificate, and who issues them. `example` is such a value
    with `{MAC}` in it. `issuers` are the common names that its CAs go by, `published_at` is where the maker has them. A
    subject (RFC 4514) in which one of `generic` is found is shared by many phones, and proves none."""

    attribute: str
    pattern: str
    example: str
    issuers: tuple[str, ...] = ()
    published_at: str = ""
    generic: tuple[str, ...] = ()


class TextRule(TomlRow):
    """What the maker's parser of a file takes as a value. `reserved` words mean something else to it."""

    edge_spaces: bool = True
    reserved: tuple[str, ...] = ()


class Limit(TomlRow):
    """What a field of a phone may hold on a family: `pattern` must match whole; `says` tells a person what that is."""

    max: int = 255
    pattern: str = ""
    says: str = ""


class Support(TomlRow):
    """What a family makes of a setting: exactly one of the first four is given.

    parameter: rendered, by this name of the maker; `values`, or `minimum` and `maximum`, when only some are proven
    server: what this server does with it, there being no parameter
    absent: the family has no such thing
    unproven: the spelling is not known well enough; never rendered
    """

    parameter: str = ""
    server: str = ""
    absent: str = ""
    unproven: str = ""
    values: tuple[Any, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    note: str = ""

    @property
    def state(self) -> str:
        return next(state for state in ("parameter", "server", "absent", "unproven") if getattr(self, state))


NOT_LISTED = Support(unproven="not looked into yet")


class BootStep(TomlRow):
    """One request of a first boot. `listed_in` and `firmware_in` name a parameter read earlier that says what.
    `overrides` are a user's own changes: read, and above all other files."""

    method: Method = "GET"
    path: str = ""
    otherwise: str = ""
    listed_in: str = ""
    firmware_in: str = ""
    names: tuple[str, ...] = ()
    reads: bool = False
    overrides: bool = False
    optional: bool = False


class FlashRule(TomlRow):
    """Parameters that a phone keeps in flash, and that reboot it when one changes: those whose whole name matches
    `names`. One counts only while `switch` is 1, and the parameter that `needs` makes of its `{name}`."""

    names: str
    switch: str = ""
    needs: str = ""

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.names)


class Reading(TomlRow):
    """How a phone of the family reads what it gets; for the simulator. `{n}` counts lines from `first_line`."""

    format: Literal["xml", "sections", "line"]
    address: str
    login_user: str = ""
    login_password: str = ""
    ca: str = ""
    ca_url: str = ""
    first_line: int = 1
    user: str
    server: str
    transport: str
    enabled: str = ""
    flash: FlashRule | None = None


_VERSION: Any = Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)


class FirmwareStep(TomlRow):
    """A phone that runs less than `below` cannot take `target` or later at once: it takes a `via` first. A version of
    fewer numbers stands for all that begin with it."""

    below: str = _VERSION
    target: str = _VERSION
    via: str = _VERSION
    models: tuple[str, ...] = ()


Fact = Literal[
    "part", "lines", "line_keys", "speed_dial_keys", "expansion_modules", "codecs", "last_firmware", "tls_version",
    "factory_certificate", "user_agent",
]  # fmt: skip


class Model(TomlRow):
    """A row of facts. `codecs` are MIME names; `line_keys` and `lines` are how many the phone has, `expansion_keys` how
    many each of its `expansion_modules` adds. `tls_version` is the newest it speaks. `maximum` is for settings of which
    it takes less than others of its family, as are `line_key_types` unless empty, and `shared_lines`. `unproven` names
    facts that are careful guesses; they are shown as such."""

    id: str
    name: str
    family: str
    user_agent: str
    lines: int = Field(ge=1)
    line_keys: int = Field(ge=0)
    codecs: tuple[str, ...]
    part: str = ""
    speed_dial_keys: int = 0
    expansion_modules: int = 0
    expansion_keys: int = 0
    line_key_types: tuple[LineKeyType, ...] = ()
    shared_lines: bool = True
    last_firmware: str = ""
    tls_version: Literal["", "none", "1.0", "1.1", "1.2", "1.3"] = ""
    factory_certificate: bool | None = None
    unproven: tuple[Fact, ...] = ()
    maximum: Mapping[str, int] = {}
    defaults: Mapping[str, Any] = {}


class Family(TomlRow):
    """Phones that understand the same files.

    `clock` is what they can be told of daylight saving, `last_week` whether that includes the last week of a month,
    `latest_offset` the greatest offset from UTC in seconds. A map of a family goes before the vendor's of that name.
    Where `key_order` is by_type, the phone lays out its keys itself, in the order of `line_key_types`. `steady` names
    the listener its phones come back to: http for a family that cannot be given our CA. One that runs less than
    `tls_firmware` speaks no TLS that we do, and goes on over http until it has been given that; `tls_assumed` is what
    holds for a phone that does not say. `bootstrap` is off for a family that gets no file before it is proven.
    """

    name: str
    factory_certificate: bool
    steady: Literal["", "http"] = ""
    tls_firmware: str = ""
    tls_assumed: bool = True
    bootstrap: bool = True
    firmware_step: tuple[FirmwareStep, ...] = ()
    line_key_types: tuple[LineKeyType, ...]
    key_order: Literal["free", "by_type"] = "free"
    needs_line_key: bool = False
    shared_lines: bool = False
    clock: Literal["offset", "weekly_dst"]
    last_week: bool = True
    latest_offset: int = 50_400
    custom_name: str
    boot: tuple[BootStep, ...]
    reading: Reading
    user_agent_example: str
    notify: Notify
    text: TextRule = TextRule()
    maps: Mapping[str, Mapping[str, Any]] = {}
    defaults: Mapping[str, Any] = {}
    limits: Mapping[str, Limit] = {}
    settings: Mapping[str, Support] = {}

    def support(self, setting: str) -> Support:
        return self.settings.get(setting, NOT_LISTED)

    @cached_property
    def rendered(self) -> frozenset[str]:
        """The settings that its files say something of."""
        return frozenset(name for name, support in self.settings.items() if support.state == "parameter")

    def firmware_steps(self, model: str) -> tuple[FirmwareStep, ...]:
        """What one of its models has to load on its way to some version."""
        return tuple(step for step in self.firmware_step if not step.models or model in step.models)


class DemoPhone(TomlRow):
    """A phone of the demonstration data (`ztp serve --demo`)."""

    model: str
    mac: str
    name: str
    line_keys: tuple[Mapping[str, Any], ...] = ()


class Vendor(TomlRow):
    """A maker. `id` is the name of its folder. `families` puts those named first, in that order; a phone of no known
    family counts as one of the first."""

    id: str
    name: str
    families: tuple[str, ...] = ()
    ouis: tuple[str, ...]
    user_agents: tuple[str, ...]
    application_stage: str = ""
    certificate: CertificateRule | None = None
    defaults: Mapping[str, Any] = {}
    maps: Mapping[str, Mapping[str, Any]] = {}
    file: tuple[FileRule, ...] = ()
    upload: tuple[UploadRule, ...] = ()
    overrides: OverridesRule | None = None
    firmware: tuple[FirmwareRule, ...] = ()
    family: Mapping[str, Family] = Field(min_length=1)
    model: tuple[Model, ...]
    demo: tuple[DemoPhone, ...] = ()

    @cached_property
    def user_agent_patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(map(re.compile, self.user_agents))
