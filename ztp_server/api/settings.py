"""/settings: what can be set, for forms."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ztp_server.api.operation import Call, Routes
from ztp_server.api.paging import page
from ztp_server.api.shapes import Answer, Page

routes = Routes("settings", "The settings there are; sites, base settings and phones set them.")


class SettingRecord(Answer):
    """A setting. `schema` is the JSON Schema of its value."""

    name: str
    section: str
    value_schema: dict[str, Any] = Field(alias="schema")
    default: Any
    help: str
    secret: bool


@routes.get("/settings", answer=Page[SettingRecord])
async def list_settings(call: Call) -> Any:
    """List every setting, in the order of the documentation.

    `custom.<parameter>` sets a raw parameter beside them."""
    return page(call.services.settings_list.all(call.who))
