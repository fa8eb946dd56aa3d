"""ztp base-settings"""

from __future__ import annotations

import click

from ztp_server.cli.lazy import Lazy, LazyGroup

_COMMANDS = {
    "add": Lazy("base_settings_records:add", "Add base settings, for the family of a model."),
    "clone": Lazy("base_settings_records:clone", "Add base settings that begin as others are."),
    "list": Lazy("base_settings_show:list_base_settings", "List base settings."),
    "show": Lazy("base_settings_show:show", "Show base settings."),
    "template": Lazy("base_settings_show:template", "Every setting as it is for a model by itself."),
    "edit": Lazy("base_settings_records:edit", "Change base settings: a new revision."),
    "revisions": Lazy("base_settings_show:revisions", "Who changed base settings, when and why."),
    "diff": Lazy("base_settings_show:diff", "What changed between two revisions."),
    "revert": Lazy("base_settings_records:revert", "Return to the settings of an earlier revision."),
    "remove": Lazy("base_settings_records:remove", "Remove base settings that no phone uses."),
}


@click.group("base-settings", cls=LazyGroup, table=_COMMANDS)
def base_settings() -> None:
    """Profiles for the phones of one family."""
