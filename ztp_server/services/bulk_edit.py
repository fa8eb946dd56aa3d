"""The same change of many phones: another site, other base settings, settings set or inherited again.

What each phone has for itself (hardware ID, name, lines, keys, user) is changed one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.phone import Phone
from ztp_server.domain.settings import CUSTOM
from ztp_server.errors import BadValue
from ztp_server.services.checks import changed_settings
from ztp_server.services.job_kinds import StepKind
from ztp_server.services.phone_batch import Changed, PhoneBatch, Places, reason_of, set_back
from ztp_server.services.templates import Templates
from ztp_server.store import Session

FIELDS = ("site", "base_settings", "settings")


class PhoneChangeKind(StepKind):
    """Any change of many phones that `changed` describes, out of the job's order."""

    undoable = True

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def changed(self, order: Mapping[str, Any]) -> Changed:
        """What becomes of one phone."""
        raise NotImplementedError

    async def step(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        batch = PhoneBatch(session, self._templates.catalog, job.who, reason_of(job.id))
        return await batch.change(items, self.changed(job.order))

    async def take_back(
        self, session: Session, job: Job, items: Sequence[JobItem], undo: Mapping[int, Mapping[str, Any]]
    ) -> list[JobItem]:
        batch = PhoneBatch(session, self._templates.catalog, job.who, reason_of(job.id, job.undoes))
        return await batch.change(items, set_back(undo))


class EditKind(PhoneChangeKind):
    """`order` holds what `checked_change` made, and the selection."""

    name = "phones.edit"

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        table = self._templates.catalog.settings
        return {**order, "settings": table.redacted(order["settings"])} if "settings" in order else dict(order)

    def changed(self, order: Mapping[str, Any]) -> Changed:
        fields = {name: order[name] for name in ("site", "base_settings") if name in order}
        settings = order.get("settings", {})

        async def change(_item: JobItem, phone: Phone, _places: Places) -> Phone:
            own = changed_settings(self._templates.catalog, phone.settings, settings, unset_any=True)
            return replace(phone, **fields, settings=own)

        return change


async def checked_change(
    session: Session, who: Actor, templates: Templates, change: Mapping[str, Any]
) -> dict[str, Any]:
    """A change as its job keeps it: values in canonical form, None for what is to be inherited again. Raises BadValue
    naming the field, and Forbidden at the site where phones would go."""
    for name in change:
        if name not in FIELDS:
            raise BadValue(
                f"change.{name[:64]}", f"is not changed for many phones at once; there are {', '.join(FIELDS)}"
            )
    order = {name: change[name] for name in ("site", "base_settings") if change.get(name) is not None}
    places = Places(session)
    try:
        if "site" in order:
            who.require("phones:edit", order["site"])
            await places.site(order["site"])
        if "base_settings" in order:
            await places.base(order["base_settings"])
        settings = {name: _value(templates, name, value) for name, value in (change.get("settings") or {}).items()}
    except BadValue as error:
        raise error.within("change") from None
    if not order and not settings:
        raise BadValue("change", "changes nothing")
    return {**order, "settings": settings} if settings else order


def _value(templates: Templates, name: str, value: Any) -> Any:
    table = templates.catalog.settings
    if value is None and (name in table.rows or name.startswith(CUSTOM)):
        return None
    return table.parse(name, "" if value is None else value)
