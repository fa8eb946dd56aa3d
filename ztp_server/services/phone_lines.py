"""Lines and keys of a phone, one position at a time. Each change is checked as any edit is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ztp_server.domain import line_lists
from ztp_server.domain.access import Actor
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, LineChange
from ztp_server.services.phones import Phones
from ztp_server.services.written_phone import Written

Revision = int | None


class PhoneLines:
    """Methods name a phone by its id or hardware ID, and positions from 1; each raises what `Phones.change` does."""

    def __init__(self, phones: Phones) -> None:
        self._phones = phones

    async def add_key(
        self, who: Actor, text: str, key: LineKey, position: int | None = None, *, revision: Revision = None
    ) -> Written:
        """A key at a position, those behind it one further; or (None) at the end."""
        return await self._phones.change(
            who, text, lambda phone: line_lists.insert_key(phone, key, position), revision=revision
        )

    async def set_key(
        self, who: Actor, text: str, position: int, fields: Mapping[str, Any], *, revision: Revision = None
    ) -> Written:
        """Some fields of a key. Of another type, it keeps nothing that is not given but its label."""

        def changed(key: LineKey) -> LineKey:
            fresh = LineKey(fields["type"], label=key.label) if fields.get("type", key.type) != key.type else key
            return replace(fresh, **fields)

        return await self._phones.change(
            who, text, lambda phone: line_lists.set_key(phone, position, changed), revision=revision
        )

    async def move_key(self, who: Actor, text: str, start: int, end: int, *, revision: Revision = None) -> Written:
        """A key to another position; those in between make room."""
        return await self._phones.change(
            who, text, lambda phone: line_lists.move_key(phone, start, end), revision=revision
        )

    async def remove_key(self, who: Actor, text: str, position: int, *, revision: Revision = None) -> Written:
        return await self._phones.change(
            who, text, lambda phone: line_lists.remove_key(phone, position), revision=revision
        )

    async def add_line(
        self, who: Actor, text: str, line: LineChange, position: int | None = None, *, revision: Revision = None
    ) -> Written:
        """A line at a position, or (None) at the end. The keys of the lines behind it go with them."""
        return await self._phones.change(
            who, text, lambda phone: line_lists.insert_line(phone, line.onto(None), position), revision=revision
        )

    async def set_line(
        self, who: Actor, text: str, position: int, fields: Mapping[str, Any], *, revision: Revision = None
    ) -> Written:
        """Some fields of a line."""

        def changed(line: Line) -> Line:
            return replace(line, **fields)

        return await self._phones.change(
            who, text, lambda phone: line_lists.set_line(phone, position, changed), revision=revision
        )

    async def move_line(self, who: Actor, text: str, start: int, end: int, *, revision: Revision = None) -> Written:
        """A line to another position; its keys go with it."""
        return await self._phones.change(
            who, text, lambda phone: line_lists.move_line(phone, start, end), revision=revision
        )

    async def remove_line(self, who: Actor, text: str, position: int, *, revision: Revision = None) -> Written:
        """Raises BadValue while a key shows the line."""
        return await self._phones.change(
            who, text, lambda phone: line_lists.remove_line(phone, position), revision=revision
        )
