"""Phones, and what belongs to one, as doors show them: plain data, secrets left out or as `***`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.removed_phone import RemovedPhone
from ztp_server.services.phone_settings import Explained
from ztp_server.services.removed_phones import restorable_until
from ztp_server.services.views import phone_view
from ztp_server.services.written_phone import Written
from ztp_server.store import Session

_STANDALONE = "standalone"
# After so many, phones that ask go first.
_BREATHE_EVERY = 100


async def phone_views(session: Session, catalog: Catalog, phones: Sequence[Phone]) -> list[dict[str, Any]]:
    """What the list and the page of a phone show. `standalone` is what holds for the phone, inherited or its own."""
    bases = {base.id: base.settings for base in await session.base_settings.all()}
    sites = {site.id: site.settings for site in await session.sites.all()}
    table = catalog.settings
    views = []
    for number, phone in enumerate(phones, 1):
        layers = (phone.settings, bases.get(phone.base_settings, {}), sites.get(phone.site, {}))
        said = (layer[_STANDALONE] for layer in layers if _STANDALONE in layer)
        standalone = phone.category == "managed" and next(said, table.rows[_STANDALONE].default)
        views.append(phone_view(phone, table, standalone=standalone))
        if number % _BREATHE_EVERY == 0:
            await asyncio.sleep(0)
    return views


def explained_view(row: Explained) -> dict[str, Any]:
    """A setting of a phone, with the values underneath it, nearest first."""
    return {
        "name": row.name,
        "value": row.value,
        "layer": row.layer,
        "source": row.source,
        "overridden": row.overridden,
        "rendered": row.rendered,
        "underneath": [{"value": v.value, "layer": v.layer, "source": v.source} for v in row.underneath],
    }


def removed_phone_view(removed: RemovedPhone) -> dict[str, Any]:
    return {
        "id": removed.id,
        "name": removed.name,
        "category": removed.category,
        "hardware_id": removed.hardware_id or None,
        "site": removed.site,
        "removed_by": removed.actor,
        "removed_at": removed.at.isoformat(),
        "restorable_until": restorable_until(removed).isoformat(),
    }


def written_view(view: Mapping[str, Any], written: Written) -> dict[str, Any]:
    """The view of a phone that was just written, with what is said only now."""
    passwords = [{"line": number, "password": password} for number, password in written.passwords.items()]
    return {**view, "warnings": list(written.warnings), "new_passwords": passwords}
