"""What a family and a model can do with a phone's values: refused when written, so that nothing surprises at a boot."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ztp_server.domain.clock import ClockRule
from ztp_server.domain.firmware import is_older
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Phone
from ztp_server.domain.settings import CUSTOM, Value
from ztp_server.domain.vendor import Family, Model
from ztp_server.errors import BadValue

# What stands in the layers below is a default, which templates can spell.
ADMINISTRATORS_LAYERS = frozenset({"site", "base settings", "phone", "logged-out profile"})
# Our listeners begin at 1.2. What is not known may be good.
TOO_OLD_TLS = frozenset({"none", "1.0", "1.1"})
HOUR = 3600
LAST_PORT = 65_535


def check_values(family: Family, model: Model, values: Mapping[str, Any]) -> None:
    """Refuse what base settings or a phone of this family must not set. Raises BadValue naming the setting."""
    for name, value in values.items():
        if name.startswith(CUSTOM):
            _check_custom(family, name, value)
            continue
        support = family.support(name)
        if support.state == "absent":
            raise BadValue(f"settings.{name}", f"not on {family.name}: {support.absent}")
        if support.state == "unproven":
            raise BadValue(f"settings.{name}", f"not proven on {family.name}: use custom ({support.unproven})")
        _check_value(family, model, name, value)


def check_effective(family: Family, model: Model, values: Mapping[str, Value]) -> None:
    """Refuse a value that reaches this phone from any layer and cannot be spelled for it."""
    for name, value in values.items():
        if value.layer in ADMINISTRATORS_LAYERS:
            _check_value(family, model, name, value.value)


def check_ports(values: Mapping[str, Value]) -> None:
    """Refuse a range of RTP ports that ends beyond the last port."""
    if values["rtp_port_start"].value + values["rtp_port_count"].value - 1 > LAST_PORT:
        raise BadValue("settings.rtp_port_start", f"the range of rtp_port_count ports ends beyond {LAST_PORT}")


def check_clock(family: Family, clock: ClockRule, setting: str, said: str) -> None:
    """Refuse a rule of local time that the family cannot express. `setting` said it, in the words `said`."""
    if clock.utc_offset > family.latest_offset:
        raise BadValue(f"settings.{setting}", f"{family.name} cannot express the offset of {said}")
    if not clock.has_dst:
        return
    advice = "set gmt_offset without daylight saving, and the maker's own parameters as custom"
    if family.clock == "offset":
        reason = f"{said} has daylight saving by weekday, not proven on {family.name}: {advice}"
        raise BadValue(f"settings.{setting}", reason)
    if not clock.within_day or clock.dst_offset != HOUR or _minutes(clock):
        reason = f"{family.name} cannot express the daylight saving of {said}: {advice}"
        raise BadValue(f"settings.{setting}", reason)
    # Who sets the rule by hand takes the last week upon himself, and may watch one phone through a change of the clock.
    if not family.last_week and setting != "gmt_offset" and clock.uses_last_week:
        reason = f"{said} has daylight saving from or to the last week of a month, not proven on {family.name}"
        raise BadValue(f"settings.{setting}", f"{reason}: set it by hand as {clock.by_hand} and try one phone")


def keys_of(family: Family, phone: Phone) -> tuple[LineKey, ...]:
    """The keys of a phone that has any, as it gets them. A phone that lays them out itself shows every line, asked for
    or not. Another, if it needs one for its first line and nobody gave it any, gets that after the others, so that none
    of them moves."""
    keys = phone.line_keys
    given = {key.line for key in keys if key.type == "line"}
    if not keys or not phone.lines:
        return keys
    if family.key_order == "by_type" and "line" in family.line_key_types:
        missing = [LineKey("line", line=n) for n in range(1, len(phone.lines) + 1) if n not in given]
        return (*missing, *keys)
    return (*keys, LineKey("line", line=1)) if family.needs_line_key and not given else keys


def key_types(family: Family, model: Model) -> tuple[str, ...]:
    """The kinds of keys a model takes."""
    return model.line_key_types or family.line_key_types


def speaks_tls(family: Family, model: Model, running: str) -> bool:
    """Whether a phone that runs this (empty: not known) can come back over TLS. One sent to where it cannot get in
    would have to be set right by hand."""
    if model.tls_version in TOO_OLD_TLS:
        return False
    if not family.tls_firmware:
        return True
    return not is_older(running, family.tls_firmware) if running else family.tls_assumed


def takes_shared_lines(family: Family, model: Model) -> bool:
    return family.shared_lines and model.shared_lines


def check_phone(family: Family, model: Model, phone: Phone) -> None:
    """Refuse lines and keys the model does not have, and text the family's files cannot carry."""
    if len(phone.lines) > model.lines:
        raise BadValue(f"lines.{model.lines + 1}", f"{len(phone.lines)} lines, {model.name} has {model.lines}")
    for number, line in enumerate(phone.lines, 1):
        # What a file holds when the field is empty is checked as well: the user stands in for it.
        for name in ("user", "auth_user", "display_name", "label"):
            _check_text(family, f"lines.{number}.{name}", f"line.{name}", getattr(line, name) or line.user)
        _check_text(family, f"lines.{number}.password", "line.password", line.password)
        if line.shared and not takes_shared_lines(family, model):
            where = model.name if family.shared_lines else family.name
            raise BadValue(f"lines.{number}.shared", f"shared lines are not proven on {where}: use custom")
    for number, key in enumerate(phone.line_keys, 1):
        place = f"line_keys.{number}"
        _check_key_type(family, model, place, key.type)
        _check_text(family, f"{place}.value", "key.value", key.value)
        _check_text(family, f"{place}.value", f"key.{key.type}", key.value)
        _check_text(family, f"{place}.label", "key.label", key.label)
    _check_key_order(family, phone.line_keys)


def _check_key_order(family: Family, keys: Sequence[LineKey]) -> None:
    """Refuse keys that the phone would lay out in another way."""
    if family.key_order == "free":
        return
    ranks = [(family.line_key_types.index(key.type), key.line) for key in keys]
    for number, (before, rank) in enumerate(itertools.pairwise(ranks), 2):
        if rank[0] == before[0] and keys[number - 1].type == "line" and rank < before:
            raise BadValue(f"line_keys.{number}.line", f"{family.name} has the keys of its lines in their order")
        if rank[0] < before[0]:
            order = ", ".join(family.line_key_types)
            raise BadValue(f"line_keys.{number}.type", f"{family.name} has its keys in the order {order}")


def check_room_for_keys(model: Model, keys: Sequence[LineKey], expansion_modules: int) -> None:
    """Refuse more keys than the model has, with so many modules attached."""
    if not model.speed_dial_keys:
        room = model.line_keys + min(expansion_modules, model.expansion_modules) * model.expansion_keys
        _check_room(len(keys), room, model, "keys")
        return
    # The model keeps speed dials on buttons of their own, beside its line keys.
    lines = sum(key.type == "line" for key in keys)
    _check_room(len(keys) - lines, model.speed_dial_keys, model, "speed dials")
    _check_room(lines, model.line_keys, model, "line keys")


def check_texts(family: Family, values: Mapping[str, Any]) -> None:
    """Refuse text the family's files cannot carry, wherever it was set. Raises BadValue naming the setting."""
    for name, value in values.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                _check_text(family, f"settings.{name}", f"settings.{name}", text)


def _check_custom(family: Family, name: str, value: str) -> None:
    if not re.fullmatch(family.custom_name, name.removeprefix(CUSTOM)):
        raise BadValue(f"settings.{name}", f"not the name of a parameter of {family.name}")
    _check_text(family, f"settings.{name}", "custom", value)


def _check_value(family: Family, model: Model, name: str, value: Any) -> None:
    support = family.support(name)
    if support.values and value not in support.values:
        proven = ", ".join(_spelled(v) for v in support.values)
        raise BadValue(
            f"settings.{name}", f"{_spelled(value)} is not proven on {family.name} (proven: {proven}): use custom"
        )
    low, high = support.minimum, support.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise BadValue(f"settings.{name}", f"{value} is out of the range of {family.name} ({low} to {high})")
    size = len(value) if isinstance(value, list) else value
    if name in model.maximum and size > model.maximum[name]:
        raise BadValue(f"settings.{name}", f"{model.name} takes at most {model.maximum[name]}")
    if name == "expansion_modules" and value > model.expansion_modules:
        most = f"at most {model.expansion_modules}" if model.expansion_modules else "none"
        raise BadValue("settings.expansion_modules", f"{value}, {model.name} takes {most}")
    if name == "sip_transport" and value == "tls" and model.tls_version == "none":
        raise BadValue("settings.sip_transport", f"{model.name} speaks no TLS")
    if name == "codecs":
        _check_codecs(model, value)


def _check_codecs(model: Model, codecs: Sequence[str]) -> None:
    for codec in codecs:
        if codec not in model.codecs:
            raise BadValue("settings.codecs", f"{model.name} has no {codec}; it has {', '.join(model.codecs)}")


def _check_key_type(family: Family, model: Model, place: str, kind: str) -> None:
    if kind == "none" and model.speed_dial_keys:
        raise BadValue(f"{place}.type", f"{model.name} has two rows of keys, where none leaves no gap: leave it out")
    types = key_types(family, model)
    if kind not in types:
        where, proven = model.name if model.line_key_types else family.name, ", ".join(types)
        raise BadValue(f"{place}.type", f"{kind} is not proven on {where} (proven: {proven}): use custom")


def _check_room(wanted: int, room: int, model: Model, what: str) -> None:
    if wanted > room:
        raise BadValue(f"line_keys.{room + 1}", f"{wanted} {what}, {model.name} has {room}")


def _check_text(family: Family, field: str, kind: str, text: str) -> None:
    limit = family.limits.get(kind)
    if limit and len(text) > limit.max:
        raise BadValue(field, f"{len(text)} characters, {family.name} takes at most {limit.max}")
    if limit and limit.pattern and text and not re.fullmatch(limit.pattern, text):
        raise BadValue(field, f"{family.name} takes {limit.says}")
    if not family.text.edge_spaces and text != text.strip():
        raise BadValue(field, f"{family.name} takes no spaces at the beginning or end")
    if text in family.text.reserved:
        raise BadValue(field, f"the word {text} means something else to {family.name}")


def _minutes(clock: ClockRule) -> bool:
    return any(t is not None and t.seconds % HOUR for t in (clock.dst_start, clock.dst_stop))


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
