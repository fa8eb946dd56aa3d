"""What belongs to one phone: its settings, files and connection."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from ztp_server.api.operation import Call, Raw, Routes
from ztp_server.api.phone_shapes import PhoneWrittenRecord
from ztp_server.api.phones import show_written
from ztp_server.api.shapes import Answer, Body, Flag, Query
from ztp_server.services.connection import connection_view
from ztp_server.services.edits import checked_reason
from ztp_server.services.phone_views import explained_view

routes = Routes("phone details", "Settings, files and SIP connection of one phone.")


class SettingBody(Body):
    """The value of a setting; null: inherit it again."""

    value: Any


class CoveredValue(Answer):
    """A value that another covers, and who said it."""

    value: Any
    layer: str
    source: str


class ExplainedRecord(Answer):
    """A setting with the layer it came from (`site`), what that is called (`site madrid`), whether the phone itself
    says so, what becomes of it, and the values underneath, nearest first."""

    name: str
    value: Any
    layer: str
    source: str
    overridden: bool
    rendered: str
    underneath: list[CoveredValue]


class SettingsRecord(Answer):
    """The settings that hold for a phone, by name; with `explain` each with where it comes from. Secrets are `***`."""

    settings: dict[str, Any]
    explained: list[ExplainedRecord] = Field(default_factory=list)


class OriginRecord(Answer):
    """A value as an administrator knows it (`settings.rtp_dscp`, `lines.1.user`), who said it (`site madrid`), and how
    many values of layers further out it covers."""

    name: str
    source: str
    underneath: int


class LineRecord(Answer):
    """A line of a file. `sources` are lines of templates (`acme/desk.cfg.j2:7`); `settings` stand in it or chose what
    does; `because` decided that it is there. A raw parameter has no source; `replaces` is what it took the place of."""

    number: int
    text: str
    sources: list[str]
    settings: list[OriginRecord]
    because: list[OriginRecord]
    replaces: list[str]


class LinesRecord(Answer):
    lines: list[LineRecord]


class ExplainQuery(Query):
    """Whether to say where each value comes from."""

    explain: Flag = Field("false", description="Say of each where it comes from and what is underneath.")


class RevealQuery(Query):
    """Whether passwords are to be seen."""

    reveal: Flag = Field("false", description="Show passwords: needs phones:reveal and a reason; stands in the audit.")
    reason: str = Field("", max_length=255, description="Why they are to be seen.")


class FilesRecord(Answer):
    """The names of the files that are made for a phone."""

    files: list[str]


class AccountRecord(Answer):
    """What one line registers with."""

    user: str
    auth_user: str
    display_name: str
    address: str
    password: str


class ConnectionRecord(Answer):
    """The SIP connection of a phone. Port 0 is found by DNS; `websocket_url` and `ice_servers` are a browser's."""

    category: str
    server: str
    server_secondary: str
    port: int
    transport: str
    outbound_proxy: str
    register_expires: int
    srtp: str
    accounts: list[AccountRecord]
    websocket_url: str
    ice_servers: list[str]


class NewPasswordBody(Body):
    """Which line, counted from 1."""

    line: int = Field(1, ge=1, le=1000)


_WRITTEN: dict[str, Any] = {"answer": PhoneWrittenRecord, "permission": "phones:edit", "revised": True}


@routes.get("/phones/{id}/settings", answer=SettingsRecord, permission="phones:view")
async def get_phone_settings(call: Call, id: str, query: ExplainQuery) -> Any:
    """Show the settings that hold for a phone.

    A phone that is given no files has those of its SIP connection."""
    rows = await call.services.phones.explain(call.who, id)
    explained = [explained_view(row) for row in rows] if query.explain == "true" else []
    return {"settings": {row.name: row.value for row in rows}, "explained": explained}


@routes.put("/phones/{id}/settings/{name}", **_WRITTEN)
async def set_phone_setting(call: Call, id: str, name: str, body: SettingBody) -> Any:
    """Override a setting for one phone."""
    return await _set(call, id, name, body.value)


@routes.delete("/phones/{id}/settings/{name}", **_WRITTEN)
async def reset_phone_setting(call: Call, id: str, name: str) -> Any:
    """Inherit a setting again."""
    return await _set(call, id, name, None)


@routes.get("/phones/{id}/files", answer=FilesRecord, permission="phones:view")
async def list_phone_files(call: Call, id: str) -> Any:
    """List the files that are made for a phone."""
    return {"files": await call.services.phones.files(call.who, id)}


@routes.get("/phones/{id}/files/{name}", answer="text/plain", permission=("phones:view", "phones:reveal"))
async def get_phone_file(call: Call, id: str, name: str, query: RevealQuery) -> Any:
    """Show a file as the phone would get it now.

    Passwords are `***` unless they are revealed."""
    (body,) = (await call.services.phones.preview(call.who, id, name, *_reveal(query))).values()
    return Raw(body, "text/plain; charset=utf-8")


@routes.get("/phones/{id}/files/{name}/lines", answer=LinesRecord, permission=("phones:view", "phones:reveal"))
async def get_phone_file_lines(call: Call, id: str, name: str, query: RevealQuery) -> Any:
    """Show what made each line of a file as the phone would get it now.

    That is the lines of templates, and the settings with the layers they came from. Passwords are `***` unless they
    are revealed."""
    (lines,) = (await call.services.annotations.annotate(call.who, id, name, *_reveal(query))).values()
    return {"lines": [asdict(line) for line in lines]}


@routes.get("/phones/{id}/connection", answer=ConnectionRecord, permission=("phones:view", "phones:reveal"))
async def get_phone_connection(call: Call, id: str, query: RevealQuery) -> Any:
    """Show what to type into a device that is configured elsewhere, or what a browser's softphone needs.

    Passwords are `***` unless they are revealed."""
    reveal = query.reveal == "true"
    found = await call.services.connections.get(call.who, id, reveal=reveal, reason=query.reason)
    return connection_view(found)


@routes.post("/phones/{id}/new-password", **_WRITTEN)
async def make_new_password(call: Call, id: str, body: NewPasswordBody) -> Any:
    """Make a new password for a line.

    It is in `new_passwords`, this once. The SIP server has to be told of it."""
    written = await call.services.connections.new_password(call.who, id, body.line, revision=call.revision)
    return await show_written(call, written)


@routes.delete("/phones/{id}/user-overrides", permission="phones:edit")
async def clear_user_overrides(call: Call, id: str) -> None:
    """Undo what a user changed on a phone or its web page, at its next boot."""
    await call.services.overrides.clear(call.who, id)


def _reveal(query: RevealQuery) -> tuple[bool, str]:
    reveal = query.reveal == "true"
    return reveal, checked_reason(query.reason, needed=reveal)


async def _set(call: Call, id: str, name: str, value: Any) -> Any:
    written = await call.services.phones.edit(call.who, id, {}, {name: value}, unset_any=True, revision=call.revision)
    return await show_written(call, written)
