"""Raw parameters (`custom.<name>`) that the firmware is not known to have: people are told, nothing is refused.

A list of names may lack one that a phone knows, and the point of a raw parameter is to say what this program does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.settings import CUSTOM

# Beyond it nobody reads on, and finding the nearest name of each takes its time.
MOST_WARNINGS = 100


class CustomWarnings:
    """What is to be said of the raw parameters of many phones: each complaint once, with who comes first."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._found: dict[str, list[str]] = {}

    def look_at(self, who: str, model_id: str, settings: Mapping[str, Any]) -> None:
        """Note what is wrong with settings that `who` has. Values are not repeated: they may be secrets."""
        model = self._catalog.models.get(model_id)
        if model is None:
            return  # of a brand whose folder was taken away
        known = self._catalog.parameters_of(model)
        for name, value in settings.items():
            if not name.startswith(CUSTOM) or value is None or len(self._found) >= MOST_WARNINGS:
                continue
            complaint = known.complaint(name.removeprefix(CUSTOM), str(value))
            if complaint:
                self._found.setdefault(f"{name}: {complaint}", []).append(who)

    def lines(self) -> list[tuple[str, str]]:
        """Who has it, and what is wrong."""
        return [(_first_of(who), complaint) for complaint, who in self._found.items()]


def custom_warnings(catalog: Catalog, model_id: str, settings: Mapping[str, Any]) -> list[str]:
    """What is to be said of the raw parameters that somebody sets for phones of a model's family."""
    warnings = CustomWarnings(catalog)
    warnings.look_at("", model_id, settings)
    return [complaint for _, complaint in warnings.lines()]


def stored_warnings(catalog: Catalog, bases: Iterable[BaseSettings], phones: Iterable[Phone]) -> list[tuple[str, str]]:
    """What is to be said of the raw parameters that base settings and phones have."""
    warnings = CustomWarnings(catalog)
    for base in bases:
        warnings.look_at(f"base settings {base.id}", base.model, base.settings)
    for phone in phones:
        warnings.look_at(f"phone {phone.hardware_id}", phone.model, phone.settings)
    return warnings.lines()


def _first_of(who: list[str]) -> str:
    return who[0] if len(who) == 1 else f"{who[0]} and {len(who) - 1} more"
