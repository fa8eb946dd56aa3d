"""The names of parameters that a maker's firmware knows (parameters.txt), and which values they take if that is known.

One name a line. An index is written as `#`, or as any number: `line.#.user` and `line.2.user` are the same name. A name
that ends in `*` stands for all that begin so. After the name may follow a syntax, and after ` # ` a comment:

    line.#.user             text 32
    line.#.expires          number 60-86400   # guide, p. 7
    line.#.retries          number 1-
    line.#.transport        one-of udp|tcp|tls
    line.#.password.set     switch            # 0 or 1
    net.vlan                number 0-4094 or empty
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_COMMENT = re.compile(r"(?:^|\s)#(?:\s.*)?$")
_INDEX = re.compile(r"(?<=[./])(?:\d+|#)(?=[./]|$)")
_NAME = re.compile(r"[^\s=\"<>&]+")
_RANGE = re.compile(r"(-?[0-9]{1,18})-(-?[0-9]{1,18})?")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_OR_EMPTY = " or empty"
# Nearness is looked for among thousands of names, in time that grows with the length.
_LONGEST_GUESS = 100
_NEAR = 0.75


def normalised(name: str) -> str:
    """A name with `#` for each index. Digits that are part of an element (`rate.13_33`, `cert1`) belong to the name."""
    return _INDEX.sub("#", name)


@dataclass(frozen=True)
class Syntax:
    """The values a parameter takes. `says` completes "must be"."""

    says: str
    choices: tuple[str, ...] = ()
    lowest: int | None = None
    highest: int | None = None
    longest: int | None = None
    or_empty: bool = False

    def allows(self, value: str) -> bool:
        if not value and self.or_empty:
            return True
        if self.choices:
            return value in self.choices
        if self.longest is not None:
            return len(value) <= self.longest
        return bool(_INTEGER.fullmatch(value)) and self._in_range(int(value))

    def _in_range(self, number: int) -> bool:
        return (self.lowest is None or number >= self.lowest) and (self.highest is None or number <= self.highest)


def parse_syntax(text: str) -> Syntax | None:
    """Read `switch`, `number 0-63`, `one-of a|b|c`, `text 32`, each also `… or empty`; nothing is None.
    Raises ValueError, worded for a person, for anything else."""
    or_empty = text.endswith(_OR_EMPTY)
    kind, _, rest = text.removesuffix(_OR_EMPTY).partition(" ")
    rest, tail = rest.strip(), _OR_EMPTY * or_empty
    if not text:
        return None
    if kind == "switch" and not rest:
        return Syntax(f"0 or 1{tail}", choices=("0", "1"), or_empty=or_empty)
    if kind == "one-of" and rest:
        return Syntax(f"one of {', '.join(rest.split('|'))}{tail}", tuple(rest.split("|")), or_empty=or_empty)
    if kind == "text" and re.fullmatch("[0-9]{1,6}", rest):
        return Syntax(f"at most {int(rest)} characters", longest=int(rest))
    found = _RANGE.fullmatch(rest) if kind == "number" else None
    if found and (found[2] is None or int(found[1]) <= int(found[2])):
        says = f"a number from {found[1]}" + (f" to {found[2]}" if found[2] else "")
        high = int(found[2]) if found[2] else None
        return Syntax(says + tail, lowest=int(found[1]), highest=high, or_empty=or_empty)
    raise ValueError("after the name comes nothing, switch, number 0-63, one-of a|b or text 32")


def parse_names(text: str) -> dict[str, Syntax | None]:
    """The normalised names of a file with the syntax of each. Raises BadLine for the first line that is neither a name
    nor a comment."""
    names: dict[str, Syntax | None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        name, *syntax = _COMMENT.sub("", line).split() or [""]
        if not name:
            continue
        if not _NAME.fullmatch(name) or "*" in name[:-1]:
            raise BadLine(number, f"{name[:64]!r} is not the name of a parameter")
        try:
            names[normalised(name)] = parse_syntax(" ".join(syntax))
        except ValueError as error:
            raise BadLine(number, str(error)) from None
    return names


class BadLine(ValueError):
    """A line of parameters.txt that says nothing; `number` counts from 1."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


class ParameterNames:
    """What is known of the parameters of one family. Where nothing is known, nothing is complained of."""

    def __init__(self, names: Mapping[str, Syntax | None]) -> None:
        self._names = names
        self._groups = tuple(name[:-1] for name in names if name.endswith("*"))
        # The same names come for every file of every model, and for every phone of an import.
        self._known = lru_cache(maxsize=8192)(self._look_up)
        self._hint = lru_cache(maxsize=512)(self._nearest)

    def complaint(self, name: str, value: str) -> str | None:
        """What is wrong with a parameter, naming the nearest known name, or the values it takes but not this one,
        which may be a secret; None when nothing is."""
        if not self._names:
            return None
        known, syntax = self._known(name)
        if not known:
            return f"no parameter of that name is known{self._hint(name)}"
        return None if syntax is None or syntax.allows(value) else f"must be {syntax.says}"

    def _look_up(self, name: str) -> tuple[bool, Syntax | None]:
        plain = normalised(name)
        return plain in self._names or plain.startswith(self._groups), self._names.get(plain)

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(normalised(name)[:_LONGEST_GUESS], self._names, n=1, cutoff=_NEAR)
        return f"; did you mean {_with_indices(near[0], name)}?" if near else ""


def _with_indices(known: str, name: str) -> str:
    """A known name with the indices of what was written in place of its `#`, as far as there are any."""
    indices = iter(_INDEX.findall(name))
    return _INDEX.sub(lambda _: next(indices, "#"), known)
