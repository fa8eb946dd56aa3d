"""What a user changed on a phone: what of it is kept (`[overrides]` of a vendor.toml), and how people are shown it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import Field

from ztp_server.domain.toml_row import TomlRow

# Beyond it no pattern is tried, so that nobody's input decides how long that takes.
_LONGEST_NAME, _LONGEST_VALUE = 128, 255
_MOST_NAMED = 20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,79}")
_SECRET_NAME = re.compile(r"passw|secret|auth|pin\b|token|credential|key\b", re.IGNORECASE)


class KeptParameters(TomlRow):
    """Parameters a user may change: `names`, in which `#` stands for an index, with values that `values` matches
    whole."""

    names: tuple[str, ...] = Field(min_length=1)
    values: str

    @cached_property
    def name_pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(re.escape(name).replace(r"\#", "[1-9][0-9]{0,2}") for name in self.names))

    @cached_property
    def value_pattern(self) -> re.Pattern[str]:
        return re.compile(self.values)


class OverridesRule(TomlRow):
    """What may stand in a file of a user's changes (attributes of XML elements). Such a file goes above all of ours, so
    only what is known to be harmless is kept: anything else could take the phone over for good. `empty` is the file
    that undoes every change."""

    keep: tuple[KeptParameters, ...] = Field(min_length=1)
    empty: str


@dataclass(frozen=True, slots=True)
class Sifted:
    """What stays of an upload, and the names of what was taken out of it."""

    kept: Mapping[str, str]
    dropped: Sequence[str]


def sift(rule: OverridesRule, parameters: Mapping[str, str]) -> Sifted:
    """Keep what the rule lets a user change, with a value it takes; all else is dropped."""
    kept = {name: value for name, value in parameters.items() if _is_kept(rule, name, value)}
    return Sifted(kept, sorted(parameters.keys() - kept.keys()))


def _is_kept(rule: OverridesRule, name: str, value: str) -> bool:
    if len(name) > _LONGEST_NAME or len(value) > _LONGEST_VALUE:
        return False
    return any(row.name_pattern.fullmatch(name) and row.value_pattern.fullmatch(value) for row in rule.keep)


def named(names: Sequence[str]) -> str:
    """Names for a person. They came over the network: strange ones are counted, not repeated, and so are many."""
    plain = [name for name in names if _PLAIN_NAME.fullmatch(name)][:_MOST_NAMED]
    more = len(names) - len(plain)
    return ", ".join([*plain, *([f"{more} more"] if more else [])])


def shown(parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters in the order of their names, `***` for the value of one whose name sounds like a secret."""
    return {name: "***" if _SECRET_NAME.search(name) else parameters[name] for name in sorted(parameters)}
