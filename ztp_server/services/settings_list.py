"""The table of settings as forms and scripts read it."""

from __future__ import annotations

from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.settings import Setting
from ztp_server.services.templates import Templates


class SettingsList:
    """Every setting that may be written. It stands in the documentation too, so whoever comes in may read it."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def all(self, who: Actor) -> list[dict[str, Any]]:
        """The product's rows, and then those of each vendor."""
        return [setting_view(row) for row in self._templates.catalog.settings.rows.values()]


def setting_view(row: Setting) -> dict[str, Any]:
    """A row with the JSON Schema of its value."""
    return {
        "name": row.name,
        "section": row.section,
        "schema": row.json_schema,
        "default": row.default,
        "help": row.help,
        "secret": row.secret,
    }
