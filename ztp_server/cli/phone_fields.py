"""Lines and keys of a phone as the command line writes them"""

from __future__ import annotations

import re
from typing import Any

import click

from ztp_server.cli.common import (
    read_fields,
)
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.text import switch
from ztp_server.errors import BadValue

_LINE_FIELDS = ("user", "auth_user", "password", "display_name", "label", "shared")
_KEY_FIELDS = ("type", "value", "label", "line")


def record_options(command: Any) -> Any:
    for option in (
        click.option("--key", "keys", multiple=True, metavar="FIELDS", help="A line key, in order: type=blf,value=1002,label=Sales"),
        click.option("--line", "lines", multiple=True, metavar="FIELDS", help="A line, in order: user=1001,password=@FILE,label=1001"),
        click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting of this phone alone."),
    ):  # fmt: skip
        command = option(command)
    return command


def read_line(text: str) -> Line:
    fields = {"user": "", **read_fields("--line", text, _LINE_FIELDS)}
    shared = switch("--line shared", fields.pop("shared", "off"))
    return Line(**fields, shared=shared)


def read_key(text: str) -> LineKey:
    fields: dict[str, Any] = {"type": "", **read_fields("--key", text, _KEY_FIELDS)}
    if fields["type"] == "line":
        if fields.get("value"):
            raise BadValue("--key value", "a line key has none; its line is given as line=2")
        number = fields.get("line", "1")
        if not re.fullmatch("[0-9]{1,3}", str(number)):
            raise BadValue("--key line", "must be the number of a line, counted from 1")
        fields["line"] = int(number)
    elif "line" in fields:
        raise BadValue("--key line", "only a key of type line has one")
    elif fields["type"] == "none" and fields.get("value"):
        raise BadValue("--key value", "a key of type none has none")
    return LineKey(**fields)


def view_of(services: Any, found: Phone) -> dict[str, Any]:
    from ztp_server.services.views import phone_view

    return phone_view(found, services.templates.catalog.settings)
