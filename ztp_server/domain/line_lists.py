"""Lines and keys of a phone changed at one position, counted from 1. Keys go with the lines they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.errors import BadValue

T = TypeVar("T")


def insert_key(phone: Phone, key: LineKey, position: int | None = None) -> Phone:
    """A key in between, or (no position) at the end. Raises BadValue."""
    return replace(phone, line_keys=_inserted(phone.line_keys, key, position))


def set_key(phone: Phone, position: int, change: Callable[[LineKey], LineKey]) -> Phone:
    """Raises BadValue."""
    return replace(phone, line_keys=_set(phone.line_keys, position, change, "key"))


def move_key(phone: Phone, start: int, end: int) -> Phone:
    """Raises BadValue."""
    return replace(phone, line_keys=_moved(phone.line_keys, start, end, "key"))


def remove_key(phone: Phone, position: int) -> Phone:
    """Raises BadValue."""
    return replace(phone, line_keys=_removed(phone.line_keys, position, "key"))


def insert_line(phone: Phone, line: Line, position: int | None = None) -> Phone:
    """A line in between, or (no position) at the end. Raises BadValue."""
    lines = _inserted(phone.lines, line, position)
    at = len(lines) if position is None else position
    order = [number + (number >= at) for number in range(1, len(phone.lines) + 1)]
    return replace(phone, lines=lines, line_keys=_following(phone.line_keys, order))


def set_line(phone: Phone, position: int, change: Callable[[Line], Line]) -> Phone:
    """Raises BadValue."""
    return replace(phone, lines=_set(phone.lines, position, change, "line"))


def move_line(phone: Phone, start: int, end: int) -> Phone:
    """Raises BadValue."""
    lines = _moved(phone.lines, start, end, "line")
    numbers = _moved(tuple(range(1, len(lines) + 1)), start, end, "line")
    order = [numbers.index(number) + 1 for number in range(1, len(lines) + 1)]
    return replace(phone, lines=lines, line_keys=_following(phone.line_keys, order))


def remove_line(phone: Phone, position: int) -> Phone:
    """Raises BadValue, also while a key shows the line: what becomes of that button is not for us to guess."""
    lines = _removed(phone.lines, position, "line")
    for number, key in enumerate(phone.line_keys, 1):
        if key.type == "line" and key.line == position:
            raise BadValue(f"line_keys.{number}.line", f"shows line {position}: change or remove the key first")
    order = [number - (number > position) for number in range(1, len(phone.lines) + 1)]
    return replace(phone, lines=lines, line_keys=_following(phone.line_keys, order))


def _following(keys: Sequence[LineKey], order: Sequence[int]) -> tuple[LineKey, ...]:
    """The keys after line n became line order[n - 1]."""
    return tuple(replace(key, line=order[key.line - 1]) if key.type == "line" else key for key in keys)


def _inserted(items: Sequence[T], item: T, position: int | None) -> tuple[T, ...]:
    at = len(items) + 1 if position is None else position
    if not 1 <= at <= len(items) + 1:
        raise BadValue("position", f"must be from 1 to {len(items) + 1}")
    return (*items[: at - 1], item, *items[at - 1 :])


def _set(items: Sequence[T], position: int, change: Callable[[T], T], noun: str) -> tuple[T, ...]:
    _there(items, position, "position", noun)
    return (*items[: position - 1], change(items[position - 1]), *items[position:])


def _moved(items: Sequence[T], start: int, end: int, noun: str) -> tuple[T, ...]:
    _there(items, start, "from", noun)
    _there(items, end, "to", noun)
    left = [*items]
    left.insert(end - 1, left.pop(start - 1))
    return tuple(left)


def _removed(items: Sequence[T], position: int, noun: str) -> tuple[T, ...]:
    _there(items, position, "position", noun)
    return (*items[: position - 1], *items[position:])


def _there(items: Sequence[object], position: int, field: str, noun: str) -> None:
    if not 1 <= position <= len(items):
        raise BadValue(field, f"there is no {noun} {position}; the phone has {len(items)}")
