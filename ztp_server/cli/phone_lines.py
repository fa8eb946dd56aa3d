"""ztp phone key, line: one position at a time"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, with_services
from ztp_server.cli.phone_fields import key_fields, line_fields, read_key, read_line, show_written
from ztp_server.config import DataOptions

_at_option = click.option("--at", "position", type=int, default=None, help="Where, counted from 1.  [default: the end]")
_position = click.argument("position", type=int)
_fields = click.argument("fields")
_start = click.argument("start", metavar="FROM", type=int)
_end = click.argument("end", metavar="TO", type=int)


@click.group()
@click.argument("phone", metavar="PHONE")
@click.pass_context
def key(ctx: click.Context, phone: str) -> None:
    """One key of a phone at a time, by its position, counted from 1."""
    ctx.obj = phone


@key.command("add")
@_fields
@_at_option
@data_options
@click.pass_obj
def add_key(phone: str, fields: str, position: int | None, data: DataOptions) -> None:
    """Add a key: type=blf,value=1002,label=Sales"""
    new = read_key(fields)
    _do(data, lambda lists: lists.add_key(local_actor(), phone, new, position))


@key.command("set")
@_position
@_fields
@data_options
@click.pass_obj
def set_key(phone: str, position: int, fields: str, data: DataOptions) -> None:
    """Change some fields of a key: label=Support"""
    given = key_fields("FIELDS", fields)
    _do(data, lambda lists: lists.set_key(local_actor(), phone, position, given))


@key.command("move")
@_start
@_end
@data_options
@click.pass_obj
def move_key(phone: str, start: int, end: int, data: DataOptions) -> None:
    """Move a key to another position."""
    _do(data, lambda lists: lists.move_key(local_actor(), phone, start, end))


@key.command("remove")
@_position
@data_options
@click.pass_obj
def remove_key(phone: str, position: int, data: DataOptions) -> None:
    """Remove a key; those behind it come one nearer."""
    _do(data, lambda lists: lists.remove_key(local_actor(), phone, position))


@click.group()
@click.argument("phone", metavar="PHONE")
@click.pass_context
def line(ctx: click.Context, phone: str) -> None:
    """One line of a phone at a time, by its position, counted from 1. Keys go with the lines they show."""
    ctx.obj = phone


@line.command("add")
@_fields
@_at_option
@data_options
@click.pass_obj
def add_line(phone: str, fields: str, position: int | None, data: DataOptions) -> None:
    """Add a line: user=1001,password=@FILE,label=1001"""
    new = read_line(fields)
    _do(data, lambda lists: lists.add_line(local_actor(), phone, new, position))


@line.command("set")
@_position
@_fields
@data_options
@click.pass_obj
def set_line(phone: str, position: int, fields: str, data: DataOptions) -> None:
    """Change some fields of a line: label=Sales"""
    given = line_fields("FIELDS", fields)
    _do(data, lambda lists: lists.set_line(local_actor(), phone, position, given))


@line.command("move")
@_start
@_end
@data_options
@click.pass_obj
def move_line(phone: str, start: int, end: int, data: DataOptions) -> None:
    """Move a line to another position."""
    _do(data, lambda lists: lists.move_line(local_actor(), phone, start, end))


@line.command("remove")
@_position
@data_options
@click.pass_obj
def remove_line(phone: str, position: int, data: DataOptions) -> None:
    """Remove a line that no key shows."""
    _do(data, lambda lists: lists.remove_line(local_actor(), phone, position))


def _do(data: DataOptions, change: Callable[[Any], Awaitable[Any]]) -> None:
    async def do_it(services: Any) -> None:
        await show_written(services, await change(services.phone_lines), as_json=False)

    with_services(data, do_it)
