"""Phones of one family to other base settings, with their own settings kept or dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from ztp_server.domain.job import JobItem
from ztp_server.domain.phone import Phone
from ztp_server.errors import BadValue
from ztp_server.services.bulk_edit import PhoneChangeKind
from ztp_server.services.checks import known_model
from ztp_server.services.effective import effective_of, shared_layers
from ztp_server.services.phone_batch import Changed, Places

# What becomes of a phone's own settings: all kept; none; or those dropped that say what it would inherit anyway.
Overrides = Literal["keep", "drop", "drop-same"]
OVERRIDES: tuple[Overrides, ...] = get_args(Overrides)


class MigrateKind(PhoneChangeKind):
    """`order` holds `to`, the id of base settings, and `overrides`."""

    name = "phones.migrate"

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    def changed(self, order: Mapping[str, Any]) -> Changed:
        target, overrides = order["to"], order["overrides"]

        async def change(_item: JobItem, phone: Phone, places: Places) -> Phone:
            if phone.category != "managed":
                raise BadValue("category", f"a {phone.category} phone has no base settings")
            own = dict(phone.settings) if overrides == "keep" else {}
            if overrides == "drop-same":
                own = await self._differing(phone, target, places)
            return replace(phone, base_settings=target, settings=own)

        return change

    async def _differing(self, phone: Phone, target: str, places: Places) -> dict[str, Any]:
        """The phone's own settings that say something else than it would inherit."""
        catalog = self._templates.catalog
        model = known_model(catalog, phone.model)
        layers = shared_layers(catalog, model, await places.site(phone.site), await places.base(target))
        inherited = effective_of(layers).plain
        return {n: v for n, v in phone.settings.items() if n not in inherited or inherited[n] != v}


def checked_overrides(text: str) -> Overrides:
    """Raises BadValue."""
    for known in OVERRIDES:
        if text == known:
            return known
    raise BadValue("overrides", f"{text[:64]!r} is none of {', '.join(OVERRIDES)}")
