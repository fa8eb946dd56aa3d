"""What an examination of an installation found: a row for each check, with what is so and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Level = Literal["ok", "advice", "warning", "failure"]
# From what is well to what must be mended.
LEVELS: Sequence[Level] = ("ok", "advice", "warning", "failure")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is so. `advice` is what to do: a command or a page of the documentation; empty where all is well.
    Neither ever holds a secret."""

    level: Level
    what: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that was made. One that could not be made says why in `skipped`, and found nothing."""

    name: str
    about: str
    findings: Sequence[Finding] = ()
    skipped: str = ""

    @property
    def level(self) -> Level:
        """The worst that was found."""
        return worst(finding.level for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, in their order, and when they were made."""

    at: datetime
    checks: Sequence[Checked]

    @property
    def level(self) -> Level:
        return worst(check.level for check in self.checks)

    def count(self, level: Level) -> int:
        """How many findings there are of a level."""
        return sum(finding.level == level for check in self.checks for finding in check.findings)


def worst(levels: Iterable[Level]) -> Level:
    """The worst of some levels; `ok` of none."""
    found = set(levels)
    return next((level for level in reversed(LEVELS) if level in found), "ok")


def ok(what: str) -> list[Finding]:
    """All that a check says where nothing is to be done."""
    return [Finding("ok", what)]
