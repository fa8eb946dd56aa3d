"""Where each line of a phone's files comes from: which lines of templates wrote it, and who said the values in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ztp_server.domain.access import Actor
from ztp_server.domain.file_rules import FileRule
from ztp_server.domain.logged_out import kept_keys
from ztp_server.domain.settings import CUSTOM
from ztp_server.domain.support import keys_of
from ztp_server.render_trace import Place, TracedLine, trace_lines
from ztp_server.services.address import ServerAddress
from ztp_server.services.known_phones import KnownPhones
from ztp_server.services.own_files import Known, context_of, template_of
from ztp_server.services.templates import Templates
from ztp_server.store import Store

# What a line says when its own field is empty.
_LINE_DEFAULTS = {"auth_user": "user", "display_name": "user", "label": "user"}
_KEY_DEFAULTS = {"label": "value"}


@dataclass(frozen=True, slots=True)
class Origin:
    """A name as an administrator writes it (`settings.rtp_dscp`, `lines.1.user`, `model.name`), the layer or record its
    value came from (`site madrid`, `phone`, `server`), and how many values of layers further out it covers."""

    name: str
    source: str
    underneath: int = 0


@dataclass(frozen=True, slots=True)
class AnnotatedLine:
    """A line of a file, counted from 1 and without its end. `sources` are lines of templates (`acme/desk.cfg.j2:7`).
    `settings` stand in it or chose what does; `because` decided that it is there. A line that a raw parameter wrote has
    no source; `replaces` are those of the lines whose place it took."""

    number: int
    text: str
    sources: tuple[str, ...]
    settings: tuple[Origin, ...]
    because: tuple[Origin, ...]
    replaces: tuple[str, ...] = ()


class Annotations:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._phones = KnownPhones(store, templates, address)
        self._templates = templates
        self._address = address

    async def annotate(
        self, who: Actor, phone: str, file: str | None, reveal: bool, reason: str = ""
    ) -> dict[str, list[AnnotatedLine]]:
        """The files a phone would be given, by name, line by line: one, or all of its own. Secrets are `***` unless
        revealed, which is written down. Raises NotFound, Forbidden, and TemplateError naming file and line."""
        known, wanted = await self._phones.to_show(who, phone, file, reveal, reason)
        # Templates are walked node by node, which takes long enough for phones to notice.
        return await asyncio.to_thread(lambda: {name: self._lines(rule, known) for name, rule in wanted.items()})

    def _lines(self, rule: FileRule, known: Known) -> list[AnnotatedLine]:
        context = context_of(self._address.server, known)
        lines = trace_lines(self._templates.renderer, template_of(known, rule), rule.format, context)
        return [_annotated(number, line, known) for number, line in enumerate(lines, 1)]


def _annotated(number: int, line: TracedLine, known: Known) -> AnnotatedLine:
    settings = _origins(line.names, known)
    because = tuple(origin for origin in _origins(line.because, known) if origin not in settings)
    places = tuple(map(_spelled, line.places))
    sources, replaces = ((), places) if line.custom else (places, ())
    return AnnotatedLine(number, line.text.removesuffix("\n"), sources, settings, because, replaces)


def _spelled(place: Place) -> str:
    return f"{place.template}:{place.line}"


def _origins(names: Iterable[str], known: Known) -> tuple[Origin, ...]:
    """What an administrator said first, then what the phone is and what its maker says."""
    found = {origin for name in names for origin in _origins_of(name, known)}
    return tuple(sorted(found, key=lambda o: (not o.name.startswith("settings."), o.name)))


def _origins_of(name: str, known: Known) -> Iterator[Origin]:
    """The origins of a name that templates have. What is worked out from others is told by those."""
    root, _, rest = name.partition(".")
    group = known.group
    if root in _SETTINGS_BEHIND or root in ("settings", "custom"):
        yield from _of_settings(root, rest, known)
    elif root == "firmware":
        yield _setting("firmware_version" if rest == "version" else "firmware_update", known)
        yield Origin(root, known.offer.reason)
    elif root == "server" and rest in ("user", "password"):
        yield Origin(name, "phone")
    elif root == "server":
        own = rest in ("url", "scheme", "host") and known.effective.plain["provisioning_url"]
        yield _setting("provisioning_url", known) if own else Origin(name, "server")
    elif root == "lines":
        yield Origin(_line_name(name, known), known.lines_from)
    elif root == "line_keys":
        yield _key(name, known)
    elif root == "unused_lines":
        yield Origin("lines", known.lines_from)
        yield Origin("model.lines", f"model {group.model.name}")
    elif root == "model":
        yield Origin(name, f"model {group.model.name}")
    elif root == "renders" or rest.partition(".")[0] in group.family.maps:
        yield Origin(name, f"family {group.family.name}")
    elif root == "map":
        yield Origin(name, f"vendor {group.vendor.name}")
    else:
        yield Origin(name, root)


# Names of templates that say in other words what settings say.
_SETTINGS_BEHIND = {"contacts": ("contacts",), "clock": ("time_zone",)}
_CLOCK_BY_HAND = ("gmt_offset", "dst_start", "dst_stop")


def _of_settings(root: str, rest: str, known: Known) -> Iterator[Origin]:
    values = known.effective.values
    if root == "clock" and known.effective.plain["gmt_offset"]:
        yield from (_setting(name, known) for name in _CLOCK_BY_HAND)
    elif root in _SETTINGS_BEHIND:
        yield from (_setting(name, known) for name in _SETTINGS_BEHIND[root])
    elif rest:
        name = f"{CUSTOM}{rest}" if root == "custom" else rest
        yield _setting(name, known) if name in values else Origin(f"settings.{name}", "no layer")
    else:  # Whether there are any raw parameters at all.
        sources = dict.fromkeys(value.source for name, value in values.items() if name.startswith(CUSTOM))
        yield Origin(f"settings.{CUSTOM}*", ", ".join(sources) or "no layer")


def _setting(name: str, known: Known) -> Origin:
    value = known.effective.values[name]
    return Origin(f"settings.{name}", value.source, len(value.underneath))


def _line_name(name: str, known: Known) -> str:
    """The field of a line that speaks: the user for those that are empty; the keys for how many show the line."""
    number, field = _numbered(name)
    lines = known.phone.lines
    if field == "keys":
        return "line_keys"
    if field in _LINE_DEFAULTS and 1 <= number <= len(lines) and not getattr(lines[number - 1], field):
        return f"lines.{number}.{_LINE_DEFAULTS[field]}"
    return name


def _key(name: str, known: Known) -> Origin:
    """A key by its place in the phone's record; those that its family adds stand before or behind these."""
    number, field = _numbered(name)
    family, own = known.group.family, known.phone.line_keys
    given = keys_of(family, known.phone)
    before = len(given) - len(own) if given[len(given) - len(own) :] == own else 0
    place = number - before
    if 1 <= number <= len(given) and not 1 <= place <= len(own):
        return Origin("line_keys", f"family {family.name}, which needs a key for line {given[number - 1].line}")
    if not 1 <= place <= len(own):
        return Origin(name, "phone")
    if field in _KEY_DEFAULTS and not getattr(own[place - 1], field):
        field = _KEY_DEFAULTS[field]
    place = kept_keys(known.record, known.phone.lines)[place - 1] if known.phone is not known.record else place
    return Origin(f"line_keys.{place}.{field}" if field else f"line_keys.{place}", "phone")


def _numbered(name: str) -> tuple[int, str]:
    """The number in `lines.2.user`, 0 when there is none, and the field."""
    number, _, field = name.partition(".")[2].partition(".")
    return int(number) if number.isdecimal() else 0, field
