"""`ztp`: the table of contents."""

from __future__ import annotations

from typing import Any

import click

from ztp_server import __version__
from ztp_server.cli.lazy import Lazy, LazyGroup

_COMMANDS = {
    "serve": Lazy("serve:serve", "Serve phones."),
    "phone": Lazy("phones:phone", "Phones: add, list, edit, import, why, proofs, window, token, block and more."),
    "unknown": Lazy("unknown_phones:unknown", "Unknown phones that knocked: list, approve, deny, forget."),
    "approval-rule": Lazy(
        "approval_rules:approval_rule", "Rules that approve unknown phones: add, list, edit, remove."
    ),
    "site": Lazy("sites:site", "Sites: add, list, show, edit, remove."),
    "base-settings": Lazy("base_settings:base_settings", "Base settings: add, list, show, edit, diff, revert, remove."),
    "model": Lazy("models:model", "Models: list."),
    "firmware": Lazy("firmware:firmware", "Firmware images: add, list, remove."),
    "platform": Lazy("platforms:platform", "SIP platforms that phones register with: add, list, edit, remove, check."),
    "registrar": Lazy("registrars:registrar", "SIP registrars: the accounts of the phones as each of them reads them."),
    "job": Lazy("jobs:job", "Jobs, the work on many phones: list, show, stop, resume, undo."),
    "user": Lazy("users:user", "Users, the people phones belong to: add, list, show, edit, remove."),
    "account": Lazy("accounts:account", "Accounts, the logins of people: add, list, show, edit, password, remove."),
    "role": Lazy("roles:role", "Roles: add, list, edit, remove."),
    "token": Lazy("tokens:token", "Tokens of programs: create, list, revoke."),
    "ca": Lazy("ca:ca", "Makers' CAs: list, show, add, remove, learn."),
    "certificate": Lazy("certificates:certificate", "Denied factory certificates: deny, list, allow."),
    "backup": Lazy("backup:backup", "Write everything to one encrypted file."),
    "restore": Lazy("backup:restore", "Fill an empty data folder out of a backup."),
    "key": Lazy("keys:key", "The keys of secrets at rest: show, rotate."),
    "audit": Lazy("audit:audit", "The audit: list, head, verify."),
    "doctor": Lazy("doctor:doctor", "Look over this installation and say what to do."),
    "templates": Lazy("templates:templates", "Templates: check, diff."),
    "completion": Lazy("completion:completion", "Shell completion."),
    "simulate": Lazy("simulate:simulate", "Boot a phone that is not there, and say what it would do."),
}


@click.group(
    cls=LazyGroup,
    table=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, prog_name="ztp")
def cli(**_options: Any) -> None:
    """Zero-touch provisioning for desk phones."""
