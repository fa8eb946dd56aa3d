"""Which text a field may hold, whatever file it ends up in."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from ztp_server.errors import BadValue

# Controls (C0, DEL, C1), lone surrogates and the two noncharacters that XML 1.0 forbids (section 2.2).
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_FORBIDDEN_IN_LINES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

# What a stored value that does not open is read as. No form, file or record takes it for a value.
_UNREADABLE = "\uffff"

_SWITCH = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}


def forbidden_character(text: str, *, lines: bool = False) -> str | None:
    """The first character no field may hold, as `U+000A`; None when the text is fine. `lines` allows LF."""
    found = (_FORBIDDEN_IN_LINES if lines else _FORBIDDEN).search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def check_text(field: str, text: str, *, max_length: int = 255, lines: bool = False) -> str:
    """Return the text, or raise BadValue when it is too long or holds a character no phone file can carry."""
    if is_unreadable(text):
        raise BadValue(field, "what is stored does not open any more; set it anew")
    if len(text) > max_length:
        raise BadValue(field, f"{len(text)} characters, at most {max_length}")
    character = forbidden_character(text, lines=lines)
    if character:
        raise BadValue(field, f"character {character} is not allowed")
    return text


def unreadable(why: str) -> str:
    """What stands for a stored value that does not open, so that the rest of its record can be shown and mended."""
    return _UNREADABLE + why


def is_unreadable(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_UNREADABLE)


def reason_unreadable(value: str) -> str:
    """Why the value that this stands for does not open."""
    return value.removeprefix(_UNREADABLE)


def switch(field: str, text: str) -> bool:
    """`on` or `off`, as people write it. Raises BadValue naming `field`."""
    word = text.strip().lower()
    if word not in _SWITCH:
        raise BadValue(field, "must be on or off")
    return _SWITCH[word]


def nearest(text: str, known: Iterable[str]) -> str:
    """`; did you mean …?` for a misspelt name, or nothing."""
    near = difflib.get_close_matches(text[:64], list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
