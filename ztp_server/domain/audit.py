"""The record of a change: who, when, what, from what to what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What is to be written down. `before` and `after` hold what changed, by dotted field name; no secret, but what
    stands for it (`Vault.digest`). Empty before: made; empty after: removed; both empty: only looked at."""

    action: str
    subject: str
    before: Fields = field(default_factory=dict)
    after: Fields = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One entry as it stands in the audit. `hash` covers the record and the hash of the one before."""

    seq: int
    at: datetime
    actor: str
    address: str
    action: str
    subject: str
    reason: str
    before: Fields
    after: Fields
    hash: str

    def sealed_text(self, previous: str) -> str:
        """What the hash is made of: everything, in one spelling."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        own = [self.seq, at, self.actor, self.address, self.action, self.subject, self.reason]
        return json.dumps([previous, *own, dict(self.before), dict(self.after)], sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: how many records hold, the last of them, and the first that does not (0: none)."""

    records: int
    head: str
    broken: int = 0
    reason: str = ""


def changed(before: Fields, after: Fields) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that differ, as they were and as they are; one that is missing on a side is left out there."""
    names = [n for n in {**before, **after} if n not in before or n not in after or before[n] != after[n]]
    return {n: before[n] for n in names if n in before}, {n: after[n] for n in names if n in after}
