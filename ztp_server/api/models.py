"""/models: what makers' phones can do."""

from __future__ import annotations

from typing import Any

from ztp_server.api.operation import Call, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Page, PageQuery

routes = Routes("models", "Models of phones, and what each can do.")


class RestartRecord(Answer):
    """A way to restart a model. `way`: event (a SIP event), rest (its own HTTP interface) or resync (the event of the
    re-sync); `needs` are settings that open it, `firmware` is the least that knows it. With `idle` it waits until its
    calls have ended."""

    way: str
    name: str
    firmware: str
    idle: bool
    needs: dict[str, Any]
    does: str
    cost: str


class NotifyRecord(Answer):
    """What a model can be told: the SIP event at which it looks for its files again, and the ways to restart it in the
    order they are tried; `no_restart` says what to do where there is none."""

    resync: str
    does: str
    idle: bool
    restart: list[RestartRecord]
    no_restart: str


class ModelRecord(Answer):
    """A model of phones. `unproven` names the facts that are careful guesses."""

    id: str
    name: str
    vendor: str
    family: str
    part: str
    lines: int
    line_keys: int
    speed_dial_keys: int
    expansion_modules: int
    expansion_keys: int
    line_key_types: list[str]
    last_firmware: str
    tls_version: str
    unproven: list[str]
    codecs: list[str]
    factory_certificate: bool
    held: bool
    notify: NotifyRecord


@routes.get("/models", answer=Page[ModelRecord])
async def list_models(call: Call, query: PageQuery) -> Any:
    """List the models of phones, by id."""
    after = read_cursor(query.cursor, str)
    rows = [row for row in call.services.models.all(call.who) if after is None or row["id"] > after[0]]
    shown = rows[: query.limit]
    return page(shown, make_cursor(shown[-1]["id"]) if len(rows) > query.limit else None)


@routes.get("/models/{id}", answer=ModelRecord)
async def get_model(call: Call, id: str) -> Any:
    """Show a model of phones."""
    return call.services.models.get(call.who, id)
