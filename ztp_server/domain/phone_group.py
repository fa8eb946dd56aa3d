"""Phones that a change of what they share touches alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhoneGroup:
    """How many phones of one model stand at one site on the same base settings, and the hardware ID of one of them.
    Model and base settings are empty for phones of a category that has none."""

    site: str
    base_settings: str
    model: str
    phones: int
    sample: str
