"""ztp phone"""

from __future__ import annotations

import click

from ztp_server.cli.lazy import Lazy, LazyGroup

_COMMANDS = {
    "add": Lazy("phone_records:add", "Add a phone."),
    "list": Lazy("phone_list:list_phones", "List phones."),
    "show": Lazy("phone_show:show", "Show a phone, its firmware, what its user changed, its last check-ins."),
    "status": Lazy("phone_status:status", "How far a phone came, and whether it is registered."),
    "watch": Lazy("phone_status:watch", "Show each change of the status of phones."),
    "edit": Lazy("phone_records:edit", "Change a phone."),
    "line": Lazy("phone_lines:line", "Lines of a phone one by one: add, set, move, remove."),
    "key": Lazy("phone_lines:key", "Keys of a phone one by one: add, set, move, remove."),
    "connection": Lazy("phone_connection:connection", "What to type into a device that is configured elsewhere."),
    "new-password": Lazy("phone_connection:new_password", "Make a new password for a line."),
    "proofs": Lazy("phone_proofs:proofs", "What a phone proves itself with."),
    "token": Lazy("phone_proofs:token", "Make or remove a token for the address that a phone asks at."),
    "window": Lazy("phone_proofs:window", "Provisioning windows: open, close."),
    "digest": Lazy("phone_proofs:digest", "A phone's user and password for HTTP Digest."),
    "block": Lazy("phone_proofs:block", "Give a phone nothing any more."),
    "unblock": Lazy("phone_proofs:unblock", "Let the proofs of its site count again."),
    "remove": Lazy("phone_records:remove", "Remove a phone."),
    "removed": Lazy("phone_records:removed", "List removed phones that can be brought back."),
    "restore": Lazy("phone_records:restore", "Bring a removed phone back."),
    "log-out": Lazy("logged_in:log_out", "Take users off phones, one or many."),
    "log-in": Lazy("logged_in:log_in", "Put a user on a phone."),
    "edit-many": Lazy("phone_bulk:edit_many", "Change many phones at once."),
    "migrate": Lazy("phone_bulk:migrate", "Move phones to other base settings."),
    "restart": Lazy("phone_restart:restart", "Restart phones, one or many."),
    "resync": Lazy("phone_restart:resync", "Ask phones to look for their files again."),
    "remove-many": Lazy("phone_bulk:remove_many", "Remove many phones at once."),
    "import": Lazy("phone_import:import_phones", "Import phones from a CSV file."),
    "export": Lazy("phone_export:export", "Export phones as CSV, to import them again."),
    "preview": Lazy("phone_preview:preview", "The bytes a phone would get."),
    "why": Lazy("phone_why:why", "What a phone would be given now, and why."),
    "explain": Lazy("phone_show:explain", "Every setting of a phone and where it comes from."),
    "history": Lazy("phone_history:history", "What a phone asked for and was given, and the bytes at any time."),
    "clear-overrides": Lazy("phone_show:clear_overrides", "Undo what a user changed on a phone."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def phone() -> None:
    """Phones and what they are given."""
