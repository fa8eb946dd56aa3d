"""ztp phone"""

from __future__ import annotations

import click

from ztp_server.cli.lazy import Lazy, LazyGroup

_COMMANDS = {
    "add": Lazy("phone_records:add", "Add a phone."),
    "list": Lazy("phone_list:list_phones", "List phones."),
    "show": Lazy("phone_show:show", "Show a phone, its firmware, what its user changed, its last check-ins."),
    "edit": Lazy("phone_records:edit", "Change a phone."),
    "remove": Lazy("phone_records:remove", "Remove a phone."),
    "import": Lazy("phone_import:import_phones", "Import phones from a CSV file."),
    "preview": Lazy("phone_preview:preview", "The bytes a phone would get."),
    "explain": Lazy("phone_show:explain", "Every setting of a phone and where it comes from."),
    "clear-overrides": Lazy("phone_show:clear_overrides", "Undo what a user changed on a phone."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def phone() -> None:
    """Phones and what they are given."""
