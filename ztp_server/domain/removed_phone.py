"""A phone that was removed and can still be brought back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RemovedPhone:
    """What a list says of it; the whole record lies sealed beside. `actor` removed it, `at` that time."""

    id: str
    hardware_id: str
    name: str
    category: str
    site: str
    actor: str
    at: datetime
