"""A REST client over a running server, as administrators with different rights; every answer is held against the
OpenAPI document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
from aiohttp import web
from multidict import CIMultiDict

from tests.conftest import fill
from tests.services.opened import new_data, open_data
from ztp_server.api.application import NOUNS, admin_app
from ztp_server.api.openapi import document
from ztp_server.api.operation import Routes
from ztp_server.api.server import AdminRunner
from ztp_server.domain.access import ROLES, Actor, Grant, granted
from ztp_server.log import RequestLog
from ztp_server.metrics import Metrics


@dataclass(frozen=True)
class Answered:
    """An answer of the REST interface, read to its end."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> list[str]:
        """The names of the fields that were refused."""
        return [row["field"] for row in self.json["errors"]]


class KnownTokens:
    """Tokens of a test: the admin, someone who only looks, and someone with everything but accounts at one site."""

    def __init__(self) -> None:
        self.actors = {
            "admin-token": Actor("token:admin", (Grant(ROLES["admin"]),)),
            "viewer-token": Actor("token:viewer", (Grant(ROLES["viewer"]),)),
            "madrid-token": Actor("token:madrid", granted(ROLES["editor"], "madrid")),
        }

    async def authenticate(self, token: str, address: str) -> Actor | None:
        return self.actors.get(token)


@dataclass
class Rest:
    """Speaks to the admin listener. `services` are those behind it; `tokens` who may come in."""

    services: Any
    data: Path
    url: str
    tokens: KnownTokens
    requests: RequestLog
    session: aiohttp.ClientSession

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "admin-token",
        data: Any = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        pairs: Sequence[tuple[str, Any]] = (),
        **query: Any,
    ) -> Answered:
        """One request of a path below /api/v1 (or a whole one), `body` as JSON or `data` as it is."""
        sent = CIMultiDict({"Authorization": f"Bearer {token}"} if token else {})
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent.extend(headers)
        url = self.url + (path if path.startswith("/api") else f"/api/v1{path}")
        async with self.session.request(
            method, url, data=data, headers=sent, params=[*query.items(), *pairs], allow_redirects=False
        ) as response:
            answered = Answered(response.status, response.headers, await response.read())
        if path.startswith("/api"):
            return answered
        check_answer(method, path, answered)
        return answered

    async def raw(self, request: bytes) -> bytes:
        """Bytes as they are; everything the server says until it hangs up."""
        reader, writer = await asyncio.open_connection(*self.url.removeprefix("http://").split(":"))
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer

    async def get(self, path: str, **more: Any) -> Answered:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> Answered:
        return await self.ask("POST", path, body, **more)

    async def patch(self, path: str, body: Any, **more: Any) -> Answered:
        return await self.ask("PATCH", path, body, **more)

    async def put(self, path: str, body: Any, **more: Any) -> Answered:
        return await self.ask("PUT", path, body, **more)

    async def delete(self, path: str, **more: Any) -> Answered:
        return await self.ask("DELETE", path, **more)


def check_answer(method: str, path: str, answered: Answered) -> None:
    """Hold an answer against the document: its status is declared, its JSON is of the declared shape."""
    row = _declared(method, path)
    if row is None or answered.status == 304:
        return
    said = row["responses"].get(str(answered.status))
    assert said is not None, f"{method} {path}: {answered.status} is not declared"
    if "$ref" in said:
        said = openapi()["components"]["responses"][said["$ref"].rpartition("/")[2]]
    media = answered.headers.get("Content-Type", "").partition(";")[0]
    assert not answered.body or media in said["content"], f"{method} {path}: {media} is not declared"
    if answered.body and media.endswith("json"):
        _validator(json.dumps(said["content"][media]["schema"])).validate(answered.json)


@cache
def openapi() -> dict[str, Any]:
    return document(NOUNS)


@cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.Draft202012Validator({**json.loads(schema), "components": openapi()["components"]})


def _declared(method: str, path: str) -> dict[str, Any] | None:
    parts = f"/api/v1{path}".split("/")
    for declared, row in sorted(openapi()["paths"].items(), key=lambda item: "{" in item[0]):
        names = declared.split("/")
        if len(names) == len(parts) and all("{" in n or n == p for n, p in zip(names, parts, strict=True)):
            found: dict[str, Any] | None = row.get("get" if method == "HEAD" else method.lower())
            if found:
                return found
    return None


@asynccontextmanager
async def rest_over(folder: Path, nouns: Sequence[Routes] = NOUNS) -> AsyncIterator[Rest]:
    """The REST interface of some nouns over a data folder of its own, empty."""
    data = new_data(folder / "data")
    services = await open_data(data)
    tokens, requests = KnownTokens(), RequestLog(as_json=True)
    runner = AdminRunner(admin_app(services, tokens, Metrics(), requests, data, nouns=nouns))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session:
            yield Rest(services, data, f"http://{host}:{port}", tokens, requests, session)
    finally:
        await runner.cleanup()
        await services.close()


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Rest]:
    """The REST interface over the common data (tests/conftest.py, `fill`), with three tokens."""
    async with rest_over(tmp_path) as found:
        await fill(found.services)
        yield found
