"""Which phones are meant: the same filters for lists and for whatever is done to many phones at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ztp_server.domain.phone import PHONE_CATEGORIES
from ztp_server.domain.registration import REGISTRATION_STATES
from ztp_server.domain.text import check_text, nearest, switch
from ztp_server.errors import BadValue

PROVISIONING_STATES = ("never_seen", "provisioning", "provisioned", "outdated", "stale", "error")
# How far a phone came with its files, and whether it is registered. Each phone is in one of the registration states;
# in a provisioning state only those that are given files.
STATES = (*PROVISIONING_STATES, *REGISTRATION_STATES)

# What each filter takes: one of a few words, an id, a text that may hold wildcards, on or off, or free text.
FILTERS: Mapping[str, str] = {
    "q": "text",
    "site": "id",
    "base_settings": "id",
    "model": "pattern",
    "family": "id",
    "vendor": "id",
    "category": "word",
    "status": "word",
    "firmware": "pattern",
    "name": "pattern",
    "hardware_id": "pattern",
    "user": "pattern",
    "line": "pattern",
    "overrides": "id",
    "proofs": "word",
    "logged_in": "word",
    "never_seen": "switch",
}
MOST_VALUES = 200

# Whose list of proofs counts for a phone; for one that is blocked none does.
PROOF_SOURCES = ("site", "own", "blocked")
# Of managed phones: whether there is somebody whose lines they have, or they have what their site has for nobody.
LOGGED_IN = ("yes", "no")
_WORDS = {"category": PHONE_CATEGORIES, "status": STATES, "proofs": PROOF_SOURCES, "logged_in": LOGGED_IN}
_FOLDED = frozenset({"name", "user", "model", "hardware_id"})
_PART_OF_MAC = re.compile(r"[0-9a-f:.-]*")
_SEPARATORS = str.maketrans("", "", ":.-")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that must fit whole: its pieces in this order, anything between two of them."""

    pieces: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        return len(self.pieces) == 1

    def fits(self, text: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, self.pieces)), text, re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """The values of one filter: any of `wanted` (all, when there are none) and none of `unwanted`."""

    wanted: tuple[Pattern, ...] = ()
    unwanted: tuple[Pattern, ...] = ()

    def among(self, words: Sequence[str]) -> list[str]:
        """Which of some words are chosen."""
        wanted = {pattern.pieces[0] for pattern in self.wanted} or set(words)
        unwanted = {pattern.pieces[0] for pattern in self.unwanted}
        return [word for word in words if word in wanted - unwanted]


@dataclass(frozen=True, slots=True)
class PhoneFilter:
    """Phones that fit every one of `choices` (by filter), hold the free text `q` somewhere, and were seen or not."""

    q: str = ""
    never_seen: bool | None = None
    choices: Mapping[str, Choice] = field(default_factory=dict)

    @classmethod
    def parse(cls, values: Mapping[str, str | Sequence[str]]) -> PhoneFilter:
        """Read filters as they are written: several values of one by comma or as a list, `!` before what is not wanted,
        `*` for any characters, a backslash before one of these that is meant itself. Raises BadValue naming the
        filter."""
        q, never_seen, choices = "", None, {}
        for name, value in values.items():
            texts = [value] if isinstance(value, str) else list(value)
            kind = _kind(name)
            if kind == "text":
                q = _single(name, texts).strip()
            elif kind == "switch":
                never_seen = switch(name, _single(name, texts))
            else:
                choices[name] = _choice(name, kind, texts)
        return cls(q, never_seen, choices)

    @property
    def q_texts(self) -> tuple[str, ...]:
        """What to look for: the free text without case, and the same as digits of a MAC if it can be part of one."""
        folded = self.q.casefold()
        return tuple(dict.fromkeys((folded, _digits(folded))))


def _kind(name: str) -> str:
    if name not in FILTERS:
        raise BadValue(name[:64], f"unknown filter{nearest(name, FILTERS)}; there are: {', '.join(FILTERS)}")
    return FILTERS[name]


def _single(name: str, texts: Sequence[str]) -> str:
    if len(texts) != 1:
        raise BadValue(name, "takes one value")
    return check_text(name, texts[0])


def _choice(name: str, kind: str, texts: Sequence[str]) -> Choice:
    wanted: list[Pattern] = []
    unwanted: list[Pattern] = []
    for number, text in enumerate(part for whole in texts for part in _parts(whole, ",")):
        if number == MOST_VALUES:
            raise BadValue(name, f"more than {MOST_VALUES} values")
        is_not = text.lstrip().startswith("!")
        pattern = _pattern(name, kind, _stripped(text).removeprefix("!"))
        (unwanted if is_not else wanted).extend(_variants(name, pattern))
    if not wanted and not unwanted:
        raise BadValue(name, "takes a value")
    return Choice(tuple(wanted), tuple(unwanted))


def _stripped(text: str) -> str:
    """Without spaces at its ends, but for one that a backslash keeps."""
    bare = text.strip()
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return f"{bare}{text.lstrip()[len(bare)]}" if backslashes % 2 and len(text.lstrip()) > len(bare) else bare


def _pattern(name: str, kind: str, text: str) -> Pattern:
    check_text(name, text)
    if not text:
        raise BadValue(name, "holds an empty value")
    pieces = _parts(text, "*") if kind == "pattern" else [text]
    read = tuple(re.sub(r"\\(.)", r"\1", piece) for piece in pieces)
    if name in _WORDS and read[0] not in _WORDS[name]:
        raise BadValue(name, f"{text[:64]!r} is none of {', '.join(_WORDS[name])}{nearest(text, _WORDS[name])}")
    return Pattern(tuple(piece.casefold() for piece in read) if name in _FOLDED else read)


def _variants(name: str, pattern: Pattern) -> list[Pattern]:
    """A hardware ID may be a MAC, in any notation, or a host name."""
    digits = Pattern(tuple(map(_digits, pattern.pieces)))
    return [pattern] if name != "hardware_id" or digits == pattern else [pattern, digits]


def _digits(text: str) -> str:
    """What may be part of a MAC, as we write it; other text as it is."""
    return text.translate(_SEPARATORS) or text if _PART_OF_MAC.fullmatch(text) else text


def _parts(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that no backslash stands before; backslashes are kept."""
    parts = [""]
    for token in re.findall(r"\\.|[^\\]|\\$", text, re.DOTALL):
        if token == separator:
            parts.append("")
        else:
            parts[-1] += token
    return parts
