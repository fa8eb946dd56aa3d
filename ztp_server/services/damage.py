"""Sealed values that did not open, for the administrator to know of."""

from __future__ import annotations

from ztp_server.store import Store
from ztp_server.store.places import phone_of


async def damaged_values(store: Store) -> list[tuple[str, str]]:
    """What did not open since this was asked last: hardware ID of the phone it belongs to, or else its place; and why.
    Raises StoreUnavailable."""
    found = store.take_damaged()
    if not found:
        return []
    async with store.read() as session:
        targets = await session.phone_targets.of_ids(sorted({phone_of(place) for place in found} - {""}))
    names = {target.id: target.hardware_id or target.id for target in targets}
    return [(names.get(phone_of(place), place), reason) for place, reason in found.items()]
