"""What users changed on their phones, for administrators: shown and cleared."""

from __future__ import annotations

from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.overrides import shown, sift
from ztp_server.errors import NotFound
from ztp_server.services.override_rules import override_rules
from ztp_server.services.phone_checks import seen_phone
from ztp_server.services.records import subject_of
from ztp_server.services.templates import Templates
from ztp_server.store import Store


class Overrides:
    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._templates = templates

    async def of_phone(self, who: Actor, text: str) -> dict[str, dict[str, Any]]:
        """By the end of a file's name (`-phone.cfg`) what a user changed and when it came: as the phone would be given
        it now, secrets as `***`. Raises BadValue for what is no id or hardware ID, and NotFound."""
        found: dict[str, dict[str, Any]] = {}
        async with self._store.read() as session:
            phone = await seen_phone(session, who, text)
            for rule, overrides in override_rules(self._templates.catalog, phone):
                kept = await session.uploads.get_parameters(phone.id, rule.pattern)
                if kept:
                    parameters = shown(sift(overrides, kept.parameters).kept)
                    found[rule.pattern.replace("{mac}", "")] = {"at": kept.at, "parameters": parameters}
        return found

    async def clear(self, who: Actor, text: str) -> None:
        """Undo what a user changed: at its next boot the phone is given empty files. With none at all it would keep
        what it has and send that again. Raises BadValue for what is no id or hardware ID, and NotFound, also for a
        phone whose changes are never kept."""
        async with self._store.write() as session:
            phone = await seen_phone(session, who, text)
            who.require("phones:edit", phone.site)
            rules = override_rules(self._templates.catalog, phone)
            if not rules:
                raise NotFound(f"phone {subject_of(phone)}: its family sends no changes of its user")
            for rule, _overrides in rules:
                await session.uploads.put_parameters(phone.id, rule.pattern, {})
            await session.audit.add(who, "overrides.cleared", subject_of(phone))
