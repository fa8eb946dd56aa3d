"""Phones, lines and keys as the command line writes and shows them"""

from __future__ import annotations

import re
from typing import Any

import click

from ztp_server.cli.common import read_fields, show_json, warn
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import LineChange
from ztp_server.domain.text import switch
from ztp_server.errors import BadValue

_LINE_FIELDS = ("user", "auth_user", "password", "display_name", "label", "shared")
_KEY_FIELDS = ("type", "value", "label", "line")


def record_options(command: Any) -> Any:
    for option in (
        click.option("--key", "keys", multiple=True, metavar="FIELDS", help="A line key, in order: type=blf,value=1002,label=Sales"),
        click.option("--line", "lines", multiple=True, metavar="FIELDS", help="A line, in order: user=1001,password=@FILE,label=1001"),
        click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of this phone alone."),
        click.option("--remote-address", default=None, help="Where calls to a remote phone go: +34600000000 or sip:ana@example.net"),
        click.option("--proofs", default=None, metavar="LIST", help="What proves this phone: certificate,token …, site (as its site), none."),
        click.option("--user", default=None, help="The id of the person it belongs to."),
    ):  # fmt: skip
        command = option(command)
    return command


def line_fields(option: str, text: str) -> dict[str, Any]:
    """Some fields of a line."""
    fields: dict[str, Any] = read_fields(option, text, _LINE_FIELDS)
    if "shared" in fields:
        fields["shared"] = switch(f"{option} shared", fields["shared"])
    return fields


def read_line(text: str) -> LineChange:
    return LineChange(**{"user": "", **line_fields("--line", text)})


def key_fields(option: str, text: str) -> dict[str, Any]:
    """Some fields of a key."""
    fields: dict[str, Any] = read_fields(option, text, _KEY_FIELDS)
    if "line" in fields:
        if not re.fullmatch("[0-9]{1,3}", fields["line"]):
            raise BadValue(f"{option} line", "must be the number of a line, counted from 1")
        fields["line"] = int(fields["line"])
    return fields


def read_key(text: str) -> LineKey:
    fields = {"type": "", **key_fields("--key", text)}
    if fields["type"] == "line":
        if fields.get("value"):
            raise BadValue("--key value", "a line key has none; its line is given as line=2")
        fields.setdefault("line", 1)
    elif "line" in fields:
        raise BadValue("--key line", "only a key of type line has one")
    elif fields["type"] == "none" and fields.get("value"):
        raise BadValue("--key value", "a key of type none has none")
    return LineKey(**fields)


def show_passwords(written: Any) -> None:
    """Say what was made for a phone: it is not shown again unless it is revealed."""
    for number, password in written.passwords.items():
        click.echo(f"line {number}\t{written.phone.lines[number - 1].user}\t{password}")


async def show_written(services: Any, written: Any, as_json: bool) -> None:
    """What was written, for scripts whole, for people what they do not know yet."""
    from ztp_server.services.phone_views import written_view

    warn(written.warnings)
    if as_json:
        view = await services.phones.view(written.phone)
        show_json(written_view(view, written))
    else:
        show_passwords(written)
