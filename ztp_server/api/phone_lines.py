"""Lines and keys of one phone: all of them, or one position at a time, counted from 1."""

from __future__ import annotations

from typing import Any

from ztp_server.api.operation import Call, Routes
from ztp_server.api.phone_shapes import (
    LineBody,
    LineKeyBody,
    LineKeyPatch,
    LinePatch,
    MoveBody,
    NewLineBody,
    NewLineKeyBody,
    PhoneWrittenRecord,
)
from ztp_server.api.phones import key_of, line_of, show_written
from ztp_server.api.shapes import Body
from ztp_server.errors import BadValue

routes = Routes("lines and keys", "Lines and keys of one phone, by their positions, counted from 1.")


class LinesBody(Body):
    """All lines of a phone, in order."""

    lines: list[LineBody]


class LineKeysBody(Body):
    """All keys of a phone, in order."""

    line_keys: list[LineKeyBody]


_WRITTEN: dict[str, Any] = {"answer": PhoneWrittenRecord, "permission": "phones:edit", "revised": True}


@routes.put("/phones/{id}/lines", **_WRITTEN)
async def replace_lines(call: Call, id: str, body: LinesBody) -> Any:
    """Replace all lines of a phone.

    A line without a password keeps the one that the line of the same user had, wherever that stood."""
    lines = [line_of(line) for line in body.lines]
    return await show_written(
        call, await call.services.phones.edit(call.who, id, {}, {}, lines, revision=call.revision)
    )


@routes.post("/phones/{id}/lines", **_WRITTEN)
async def add_line(call: Call, id: str, body: NewLineBody) -> Any:
    """Add a line at a position.

    The lines behind it come one further, and their keys go with them."""
    lines = call.services.phone_lines
    return await show_written(
        call, await lines.add_line(call.who, id, line_of(body), body.position, revision=call.revision)
    )


@routes.post("/phones/{id}/lines/move", **_WRITTEN)
async def move_line(call: Call, id: str, body: MoveBody) -> Any:
    """Move a line to another position; its keys go with it."""
    lines = call.services.phone_lines
    return await show_written(call, await lines.move_line(call.who, id, body.start, body.end, revision=call.revision))


@routes.patch("/phones/{id}/lines/{position}", **_WRITTEN)
async def edit_line(call: Call, id: str, position: str, body: LinePatch) -> Any:
    """Change some fields of a line."""
    lines, given = call.services.phone_lines, _given(body)
    return await show_written(
        call, await lines.set_line(call.who, id, _number(position), given, revision=call.revision)
    )


@routes.delete("/phones/{id}/lines/{position}", **_WRITTEN)
async def remove_line(call: Call, id: str, position: str) -> Any:
    """Remove a line that no key shows."""
    lines = call.services.phone_lines
    return await show_written(call, await lines.remove_line(call.who, id, _number(position), revision=call.revision))


@routes.put("/phones/{id}/line-keys", **_WRITTEN)
async def replace_line_keys(call: Call, id: str, body: LineKeysBody) -> Any:
    """Replace all keys of a phone."""
    keys = [key_of(key) for key in body.line_keys]
    written = await call.services.phones.edit(call.who, id, {}, {}, None, keys, revision=call.revision)
    return await show_written(call, written)


@routes.post("/phones/{id}/line-keys", **_WRITTEN)
async def add_line_key(call: Call, id: str, body: NewLineKeyBody) -> Any:
    """Add a key at a position."""
    lines = call.services.phone_lines
    return await show_written(
        call, await lines.add_key(call.who, id, key_of(body), body.position, revision=call.revision)
    )


@routes.post("/phones/{id}/line-keys/move", **_WRITTEN)
async def move_line_key(call: Call, id: str, body: MoveBody) -> Any:
    """Move a key to another position."""
    lines = call.services.phone_lines
    return await show_written(call, await lines.move_key(call.who, id, body.start, body.end, revision=call.revision))


@routes.patch("/phones/{id}/line-keys/{position}", **_WRITTEN)
async def edit_line_key(call: Call, id: str, position: str, body: LineKeyPatch) -> Any:
    """Change some fields of a key."""
    lines, given = call.services.phone_lines, _given(body)
    return await show_written(call, await lines.set_key(call.who, id, _number(position), given, revision=call.revision))


@routes.delete("/phones/{id}/line-keys/{position}", **_WRITTEN)
async def remove_line_key(call: Call, id: str, position: str) -> Any:
    """Remove a key."""
    lines = call.services.phone_lines
    return await show_written(call, await lines.remove_key(call.who, id, _number(position), revision=call.revision))


def _given(body: Body) -> dict[str, Any]:
    """The fields that are given. Raises BadValue for a null: there is nothing underneath to inherit."""
    given = body.model_dump(exclude_unset=True)
    for name, value in given.items():
        if value is None:
            raise BadValue(name, "cannot be null")
    return given


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 4:
        raise BadValue("position", "must be a number, counted from 1")
    return int(text)
