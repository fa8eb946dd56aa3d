"""Made-up phones that templates are tried with: a few for every change of a file, and for a thorough check phones at
the ends of everything the rules accept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.firmware import Offer
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.proof import DigestCredential
from ztp_server.domain.site import Site
from ztp_server.domain.support import check_phone, key_types, takes_shared_lines
from ztp_server.domain.template_context import Server, template_context
from ztp_server.domain.vendor import Model
from ztp_server.errors import BadValue
from ztp_server.services.checks import checked_phone
from ztp_server.services.effective import effective
from ztp_server.services.setting_extremes import OFFSETS, SUMMERS, ZONES, longest_text, values

_AWKWARD = "A&B <\"'> é😀"
_PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_URLS = {"mtls": "https://ztp.example.net:8444/", "http": "http://ztp.example.net:8080/"}
SERVER = Server(_URLS, _PEM, "ntp.example.net")
# Behind a proxy with a certificate that every phone trusts, without a listener for plain HTTP and without NTP.
BARE_SERVER = Server({"mtls": "https://ztp.example.net/"}, "", "")
_PLAIN_LINE = Line("1001", password="p")
_SITE = Site("s", "s")
_CLOCK = ("time_zone", "gmt_offset", "dst_start", "dst_stop")

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """A phone to try a template with. `says` tells people which: "with no lines"."""

    says: str
    phone: Phone
    server: Server = SERVER

    @property
    def login(self) -> DigestCredential | None:
        """What it logs in with, where the server has all there is."""
        if self.server is not SERVER:
            return None
        return DigestCredential(self.phone.id, self.phone.hardware_id, _AWKWARD, "sample", datetime.now(UTC))


def context_of(catalog: Catalog, sample: Sample) -> dict[str, Any]:
    """What a template sees of a sample."""
    phone = sample.phone
    model = catalog.models[phone.model]
    result = effective(catalog, phone, _SITE, _base(phone))
    version, update = result.plain["firmware_version"], result.plain["firmware_update"] != "off"
    return template_context(
        phone=phone, vendor=catalog.vendor_of(model), model=model, settings=result.plain, clock=result.clock,
        server=sample.server, steady_url=sample.server.urls["mtls"], offer=Offer(version, version, update),
        login=sample.login,
    )  # fmt: skip


def quick_samples(catalog: Catalog, model: Model) -> Iterator[Sample]:
    """Phones with 0, 1 and all lines, every kind of key and awkward text: what a template must cope with."""
    family = catalog.family_of(model)
    zone = "Europe/Madrid" if family.last_week else "America/New_York"
    if family.clock == "offset":
        zone = "Asia/Kolkata"
    settings = {"sip_server": "sip.example.net", "sip_server_secondary": "sip2.example.net", "time_zone": zone,
                "sntp_servers": ["ntp.example.net", "ntp2.example.net"], "tls_ca": _PEM, "mwi_address": "*97",
                "admin_password": "s3cret-Pass", "outbound_proxy": "proxy.example.net:5061", "held_enabled": True,
                "syslog_server": "log.example.net:514", "digit_map": "xxx", "custom.a.b": _AWKWARD}  # fmt: skip
    for count in sorted({0, 1, model.lines}):
        lines = tuple(Line(f"10{n:02}", password=_AWKWARD, display_name=_AWKWARD) for n in range(1, count + 1))
        keys = _quick_keys(model, key_types(family, model), count)
        yield Sample(_with_lines(count, model), _phone(model, lines=lines, line_keys=keys, settings=settings))


def _with_lines(count: int, model: Model) -> str:
    return "with one line" if count == 1 else "with no lines" if not count else f"with all {model.lines} lines"


def _phone(model: Model, **fields: Any) -> Phone:
    return Phone(_AWKWARD, "0004f2aabbcc", model.id, "s", "b", **fields)


def _quick_keys(model: Model, types: tuple[str, ...], lines: int) -> tuple[LineKey, ...]:
    keys = [LineKey("line", line=n) for n in range(1, min(lines, model.line_keys) + 1)] if "line" in types else []
    others = [kind for kind in types if kind != "line"]
    room = model.line_keys + model.speed_dial_keys - len(keys)
    keys += [LineKey(others[n % len(others)], value=f"20{n:02}", label=_AWKWARD) for n in range(room) if others]
    return tuple(keys)


class Extremes:
    """Phones at the ends of what the rules accept, of which none is refused."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # Texts are a matter of the family, and there are many to ask for: once for all of its models.
        self._takes_text = cache(self._is_text_taken)
        self._line = cache(self._longest_line)
        self._key = cache(self._longest_key)

    def samples(self, model: Model) -> Iterator[Sample]:
        """A phone with everything at its least, one with everything at its most, and as many as it takes to see each
        value of each setting in a mixture. What may not stand together is tried apart."""
        dimensions = self._dimensions(model)
        tried: set[str] = set()
        for number in range(2 + max(map(len, dimensions), default=0)):
            settings: dict[str, Any] = {}
            for place, options in enumerate(dimensions):
                # Shifted for each setting, so that switches are not all on together.
                settings |= options[number if number < 2 else (number + place) % len(options)]
            while settings:
                phone, apart = self._accepted(model, number, settings)
                yield Sample(_says(number), phone, SERVER if number else BARE_SERVER)
                settings = {name: value for name, value in apart.items() if f"{name}={value!r}" not in tried}
                tried |= {f"{name}={value!r}" for name, value in settings.items()}

    def _dimensions(self, model: Model) -> list[list[Settings]]:
        """What may be chosen for each setting, the least first and the most behind it."""
        family, table = self._catalog.family_of(model), self._catalog.settings
        dimensions = [self._clocks(model)]
        for name, setting in table.rows.items():
            support = family.support(name)
            if name not in _CLOCK and support.state in ("parameter", "server"):
                found = values(setting, support, model, self._accepts(model, name))
                dimensions.append([{name: value} for value in found])
        return [options * 2 if len(options) == 1 else options for options in dimensions if options]

    def _clocks(self, model: Model) -> list[Settings]:
        """Zones, and what is set by hand in place of one: these settings say one thing together."""
        zones: list[Settings] = [{"time_zone": zone} for zone in ZONES]
        offsets: list[Settings] = [{"gmt_offset": offset} for offset in OFFSETS]
        summers = [{"gmt_offset": "+01:00", "dst_start": start, "dst_stop": stop} for start, stop in SUMMERS]
        return [one for one in (*zones, *offsets, *summers) if not self._refusal(_phone(model, settings=one))]

    def _accepts(self, model: Model, name: str) -> Callable[[Any], bool]:
        first = self._first_of_family(model)

        def accepts(value: Any) -> bool:
            if isinstance(value, str):
                return self._takes_text(first, name, value, False)
            if isinstance(value, list) and len(value) == 1 and name != "codecs":
                return self._takes_text(first, name, value[0], True)
            return not self._refusal(_phone(model, settings={name: value}))

        return accepts

    def _is_text_taken(self, model_id: str, name: str, text: str, in_list: bool) -> bool:
        value = [text] if in_list else text
        return not self._refusal(_phone(self._catalog.models[model_id], settings={name: value}))

    def _first_of_family(self, model: Model) -> str:
        family = self._catalog.family_of(model)
        return next(m.id for m in self._catalog.models.values() if self._catalog.family_of(m) is family)

    def _refusal(self, phone: Phone) -> BadValue | None:
        try:
            checked_phone(self._catalog, phone, _SITE, _base(phone))
        except BadValue as error:
            return error
        return None

    def _accepted(self, model: Model, number: int, settings: Settings) -> tuple[Phone, Settings]:
        """A phone with all of these settings that may stand together, and those that stand apart."""
        together, apart = dict(settings), dict[str, Any]()
        phone = _phone(model, lines=self._lines(model, number), settings=together)
        while refusal := self._refusal(phone):
            if not together:
                return _phone(model), apart
            named = (name for name in together if f"{refusal.field}.".startswith(f"settings.{name}."))
            name = next(named, next(reversed(together)))
            apart[name] = together.pop(name)
        phone = checked_phone(self._catalog, phone, _SITE, _base(phone))
        choices = self._key_choices(model, phone, number)
        phones = (replace(phone, line_keys=keys) for keys in choices)
        return next((one for one in phones if not self._refusal(one)), phone), apart

    def _lines(self, model: Model, number: int) -> tuple[Line, ...]:
        """One line of the shortest texts, all lines of the longest, or two."""
        if number == 0:
            return (Line("1"),)
        line = self._line(self._first_of_family(model))
        shared = takes_shared_lines(self._catalog.family_of(model), model)
        count = model.lines if number == 1 else min(2, model.lines)
        return tuple(replace(line, shared=shared and bool(n % 2)) for n in range(count))

    def _longest_line(self, model_id: str) -> Line:
        """A line with the longest text in each field, or one with little text if those may not stand together."""
        model, line = self._catalog.models[model_id], _PLAIN_LINE
        for field in ("user", "auth_user", "password", "display_name", "label"):
            line = _with_text(line, field, longest_text(partial(self._takes_in_line, model, field), 128))
        return _PLAIN_LINE if self._refusal(_phone(model, lines=(line,))) else line

    def _takes_in_line(self, model: Model, field: str, text: str) -> bool:
        return not self._refusal(_phone(model, lines=(_with_text(_PLAIN_LINE, field, text),)))

    def _key_choices(self, model: Model, phone: Phone, number: int) -> Iterator[tuple[LineKey, ...]]:
        """Keys on every button, those of the modules as well: of each type in turn and with gaps, then as families
        want them that lay out their keys themselves."""
        if number == 0:
            return
        types, lines = key_types(self._catalog.family_of(model), model), len(phone.lines)
        if model.speed_dial_keys:
            own = [LineKey("line", line=n % lines + 1) for n in range(model.line_keys) if "line" in types and lines]
            others = [kind for kind in types if kind != "line"]
            room = range(number, model.speed_dial_keys + number) if others else range(0)
            yield (*own, *(self._key(model.id, others[n % len(others)], 1) for n in room))
            return
        modules = phone.settings.get("expansion_modules", 0)
        room = range(number, number + model.line_keys + modules * model.expansion_keys)
        for kinds in ((*types, "none"), types):
            yield tuple(self._key(model.id, kinds[n % len(kinds)], n % lines + 1) for n in room)
        own = [LineKey("line", line=n) for n in range(1, lines + 1)]
        others = [kind for kind in types if kind != "line"]
        turns = sorted((others[n % len(others)] for n in room[len(own) :] if others), key=types.index)
        yield (*own, *(self._key(model.id, kind, 1) for kind in turns))

    def _longest_key(self, model_id: str, kind: str, line: int) -> LineKey:
        """A key of a type with the longest texts it may have."""
        if kind in ("line", "none"):
            return LineKey(kind, line=line if kind == "line" else 0)
        model = self._catalog.models[model_id]
        key = LineKey(kind, "https://a.example/" if kind == "url" else "1")
        value = longest_text(lambda text: self._takes_key(model, replace(key, value=text)), 255) or key.value
        return replace(
            key, value=value, label=longest_text(lambda text: self._takes_key(model, replace(key, label=text)), 128)
        )

    def _takes_key(self, model: Model, key: LineKey) -> bool:
        """Whether the family takes a key, whatever room the model has, beside a key of type line if it wants one."""
        family = self._catalog.family_of(model)
        order: list[str] = [*family.line_key_types, "line"]
        keys = sorted((LineKey("line", line=1), key), key=lambda one: order.index(one.type))
        try:
            check_phone(family, model, _phone(model, lines=(_PLAIN_LINE,), line_keys=tuple(keys)))
            key.checked("line_keys.1", 1)
        except BadValue:
            return False
        return True


def alone(sample: Sample) -> Iterator[tuple[str, Sample]]:
    """The sample with one of its settings each: to find out which of them a template does not bear."""
    for name, value in sample.phone.settings.items():
        yield f"{name}={str(value)[:40]}", replace(sample, phone=replace(sample.phone, settings={name: value}))


def _base(phone: Phone) -> BaseSettings:
    return BaseSettings(phone.base_settings, phone.base_settings, phone.model)


def _with_text(line: Line, field: str, text: str) -> Line:
    texts: dict[str, Any] = {field: text}
    return replace(line, **texts)


def _says(number: int) -> str:
    ends = ("with everything at its least", "with everything at its most")
    return ends[number] if number < 2 else f"mixture {number - 1}"
