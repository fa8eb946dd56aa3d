"""Values at the ends of what a setting takes: the least, the most, each choice; so that templates are tried with them.

Bounds come from the setting's own type (its JSON schema) and from what the family and the model can do. Rules that no
schema tells (a host, a time zone, a limit of a family) are asked: a text is tried, and what they refuse is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ztp_server.domain.settings import Setting
from ztp_server.domain.vendor import Model, Support

Accepts = Callable[[Any], bool]

# What files escape, shells expand, parsers split at or count wrongly; each is used if the rules take it by itself.
_CHARACTERS = "&<>\"'%#;=,\\$|{]:/é😀aZ09*+"
_LENGTHS = (2048, 255, 253, 128, 64, 63, 40, 32, 16, 8, 4, 2, 1)
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_LONG_CERTIFICATE = _CERTIFICATE.replace("MIIB", "\n".join(["MIIB" * 16] * 240))
_LONG_HOST = ".".join(["h" * 63] * 3 + ["h" * 61])
# For texts of which not every character goes at every place.
_FORMS = (
    "a.example", _LONG_HOST, "192.0.2.1", "2001:db8::1", "a.example:65535", "[2001:db8::1]:5061",
    "https://a.example/?a=1&b='2';c=%27#d", "https://a.example/".ljust(255, "x"), "https://a.example/".ljust(254, "x"),
    "http://[2001:db8::1]:8080/a~b/",
    "00:00-23:59", "23:59-00:00", "1.0", "9.9.9.4477-rc_1".ljust(64, "9"),
    "911", "*97#+".ljust(32, "0"), "A=1", "A&B <\"'> é😀".ljust(64, "x") + "=" + "+1&<\"'>x".ljust(128, "0"),
    _CERTIFICATE, _CERTIFICATE * 6, _LONG_CERTIFICATE,
)  # fmt: skip
# A text that takes so many of the characters has no form of its own.
_MANY = 10
# The zones furthest west and east, of odd minutes, with summer time of half an hour, in the south, on another day.
ZONES = (
    "Etc/UTC", "Europe/Madrid", "America/New_York", "Australia/Sydney", "Etc/GMT+12", "Pacific/Kiritimati",
    "Pacific/Tongatapu", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "America/Santiago",
    "Africa/Cairo",
)  # fmt: skip
OFFSETS = ("+00:00", "-12:00", "+14:00", "+13:00", "-03:30", "+05:45")
SUMMERS = (("M1.1.0/00:00", "M12.5.6/23:59"), ("M3.5.0/02:00", "M10.5.0/03:00"), ("M9.5.6/23:00", "M4.1.0/01:00"))


def values(setting: Setting, support: Support, model: Model, accepts: Accepts) -> list[Any]:
    """The least value, the greatest, then others worth a trial: those of them that are accepted."""
    schema = setting.json_schema
    if support.values:
        found: Iterable[Any] = support.values
    elif setting.name == "codecs":
        found = (list(model.codecs[:1]), list(model.codecs), list(reversed(model.codecs)))
    elif "enum" in schema or "const" in schema:
        found = schema.get("enum", [schema.get("const")])
    elif schema["type"] == "boolean":
        found = (False, True)
    elif schema["type"] == "integer":
        found = _integers(setting, support, model)
    elif schema["type"] == "array":
        found = _lists(setting, model, accepts)
    else:
        found = texts(accepts, schema.get("maxLength", 255))
    unique = {repr(value): value for value in found}
    return [value for value in unique.values() if accepts(value)]


def texts(accepts: Accepts, most: int) -> list[str]:
    """The shortest text, the longest with every awkward character, and for texts of a form one of each that fits."""
    longest = longest_text(accepts, most)
    if len(set(longest)) > _MANY:
        return ["", longest, longest[0]]
    forms = [form for form in _FORMS if len(form) <= most and accepts(form)]
    found = sorted({"", *forms, *([longest] if longest else [])}, key=len)
    return [found[0], found[-1], *found[1:-1]]


def longest_text(accepts: Accepts, most: int) -> str:
    """The longest text of the awkward characters that are accepted; empty when none is."""
    characters = "".join(c for c in _CHARACTERS if accepts(c))
    if not characters:
        return ""
    spaced = f"{characters[0]} {characters}"
    for body in [spaced] if accepts(f"{characters[0]} {characters[0]}") else [characters]:
        for length in (most, *(length for length in _LENGTHS if length < most)):
            # A space at the end is refused by some; the first character is not.
            text = (body * length)[: length - 1] + characters[0]
            if accepts(text):
                return text
    return characters[0]


def _integers(setting: Setting, support: Support, model: Model) -> Iterator[int]:
    """The least, the greatest, and the default, which templates may treat in a way of its own (0, a whole day)."""
    schema = setting.json_schema
    step = schema.get("multipleOf", 1)
    low = max(n for n in (schema["minimum"], support.minimum) if n is not None)
    highest = [schema["maximum"], support.maximum, model.maximum.get(setting.name)]
    if setting.name == "expansion_modules":
        highest.append(model.expansion_modules)
    high = min(n for n in highest if n is not None)
    yield from (-(-low // step) * step, high // step * step, setting.default)


def _lists(setting: Setting, model: Model, accepts: Accepts) -> Iterator[list[str]]:
    """None, as many of the longest as there may be, and one of each form."""
    items = [item for item in texts(lambda text: accepts([text]), 255) if item]
    yield []
    if not items:
        return
    most = min(setting.json_schema.get("maxItems", 16), model.maximum.get(setting.name, 1000))
    for item in sorted(items, key=len, reverse=True):
        full = [item[:-4] + f"{number:04}" for number in range(most)]
        if accepts(full):
            yield full
            break
    yield from ([item] for item in items)
