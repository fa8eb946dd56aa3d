"""`ztp`: the table of contents. A command's module is imported when it is called, so that `ztp --help` is quick."""

from __future__ import annotations

import importlib
from typing import Any

import click

from ztp_server import __version__

_COMMANDS = {
    "serve": "ztp_server.cli.serve:serve",
    "phone": "ztp_server.cli.phones:phone",
    "site": "ztp_server.cli.sites:site",
    "base-settings": "ztp_server.cli.base_settings:base_settings",
    "model": "ztp_server.cli.models:model",
    "firmware": "ztp_server.cli.firmware:firmware",
    "templates": "ztp_server.cli.templates:templates",
    "simulate": "ztp_server.cli.simulate:simulate",
}
_SUMMARIES = {
    "serve": "Serve phones.",
    "phone": "Phones: add, list, show, edit, remove, import, preview, explain.",
    "site": "Sites: add, list, show, edit, remove.",
    "base-settings": "Base settings: add, list, show, edit, diff, remove.",
    "model": "Models: list.",
    "firmware": "Firmware images: add, list, remove.",
    "templates": "Templates: check, diff.",
    "simulate": "Boot a phone that is not there, and say what it would do.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_SUMMARIES.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="ztp")
def cli(**_options: Any) -> None:
    """Zero-touch provisioning for desk phones."""
