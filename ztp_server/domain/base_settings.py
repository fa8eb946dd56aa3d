"""Base settings: a reusable profile for the phones of one family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class BaseSettings:
    """A profile made for `model`; any phone of its family may use it. A revision never changes once written."""

    id: str
    name: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0


@dataclass(frozen=True, slots=True)
class BaseSettingsRevision:
    """Who made a revision of base settings, when, and why."""

    number: int
    author: str
    reason: str
    at: datetime
