"""What happened, and who did it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `detail` never holds a secret."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A phone asked for a file, and what it was given. The store keeps the last one of each file. `firmware` is what
    the phone last said it runs, then or earlier."""

    mac: str
    file: str
    at: datetime
    status: int
    etag: str
    address: str
    proof: str
    firmware: str
