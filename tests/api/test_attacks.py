"""Attacks on the REST interface by those who have a token, but not these rights: each was tried, and did harm once."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Answered, Rest, rest_over
from tests.conftest import ADMIN, OTHER_VVX, VVX, sample_phone
from ztp_server.api import answers, server
from ztp_server.api.operation import Call, Raw, Routes
from ztp_server.api.paging import make_cursor
from ztp_server.domain.phone import Line

ELSEWHERE = "0004f2aabbff"


@pytest.fixture
async def elsewhere(rest: Rest) -> str:
    """A phone at a site that `madrid-token` may not see."""
    await rest.services.sites.add(ADMIN, "lisbon", "Lisbon", {"networks": "127.0.0.0/8", "sip_server": "sip.example"})
    phone = sample_phone(ELSEWHERE, name="Board", site="lisbon", lines=(Line("9001", password="9876"),), line_keys=())
    written = await rest.services.phones.add(ADMIN, phone)
    return str(written.phone.id)


async def large(rest: Rest, path: str, body: Any) -> Answered:
    data = io.BytesIO(json.dumps(body, separators=(",", ":")).encode())
    return await rest.post(path, data=data, headers={"Content-Type": "application/json"})


async def test_why_says_nothing_of_the_files_of_phones_one_may_not_see(rest: Rest, elsewhere: str) -> None:
    asked = [f"{mac}-settings.cfg" for mac in (ELSEWHERE, ELSEWHERE.upper(), "0004f2000042", OTHER_VVX)]
    said = [
        await rest.post(f"/phones/{VVX}/why", {"file": file, "from": "127.0.0.1"}, token="madrid-token")
        for file in asked
    ]
    assert [(answer.status, answer.fields) for answer in said] == [(422, ["file"])] * 4
    assert len({answer.body for answer in said}) == 1
    own = await rest.post(f"/phones/{VVX}/why", {"file": f"{VVX}-settings.cfg"}, token="madrid-token")
    assert own.status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/phones", {"lines": [1] * 400_000}),
        ("/phones/remove", {"filter": {str(n): 1 for n in range(80_000)}}),
        ("/phones/remove", {str(n): 1 for n in range(80_000)}),
    ],
)
async def test_a_body_that_is_wrong_in_every_place_is_answered_briefly(rest: Rest, path: str, body: Any) -> None:
    answer = await large(rest, path, body)
    assert answer.status == 422
    assert len(answer.json["errors"]) == 1 and len(answer.body) < 1000
    mine = await rest.post(path, {"lines": 7, "filter": 7})
    assert {"lines", "filter"} <= set(mine.fields)


async def test_a_body_is_not_looked_at_for_one_who_may_do_this_nowhere(rest: Rest) -> None:
    answer = await rest.post("/phones/remove", {"no": "such body"}, token="viewer-token")
    assert answer.status == 403 and "phones:delete" in answer.json["detail"]


async def test_what_is_kept_of_a_request_with_a_key_cannot_be_tried_out_against_passwords(rest: Rest) -> None:
    body = {"id": "ben", "name": "Ben", "lines": [{"user": "1", "password": "4711"}]}
    tags = []
    for key in ("one", "two"):
        body["id"] = f"ben-{key}"
        assert (await rest.post("/users", body, headers={"Idempotency-Key": key})).status == 201
    again = await rest.post("/users", body, headers={"Idempotency-Key": "two"})
    assert again.headers["Idempotent-Replayed"] == "true"
    with sqlite3.connect(rest.data / "ztp.db") as connection:
        tags = [row[0] for row in connection.execute("SELECT request FROM idempotency_keys")]
    assert len(tags) == 2 and all(tag.startswith("digest:") for tag in tags)


async def test_who_may_not_send_a_file_is_told_before_any_of_it_is_taken(rest: Rest) -> None:
    head = (
        b"POST /api/v1/firmware?model=vvx-411&version=1&file_name=a HTTP/1.1\r\n"
        b"Host: localhost\r\nConnection: close\r\n"
        b"Authorization: Bearer viewer-token\r\nContent-Type: application/octet-stream\r\nContent-Length: 99\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(*rest.url.removeprefix("http://").split(":"))
    writer.write(head)
    async with asyncio.timeout(20):
        answer = await reader.readuntil(b"firmware:add")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 403")


async def test_slow_readers_of_exports_leave_connections_to_the_database_for_others(rest: Rest) -> None:
    held = []
    refused = 0
    try:
        for _ in range(20):
            answer = await rest.get("/phones/export", token="viewer-token") if len(held) >= 3 else None
            if answer is not None:
                refused += answer.status == 429 and "Retry-After" in answer.headers
                continue
            found = await rest.services.phone_export.export(ADMIN, {})
            pieces = aiter(found.pieces)
            await anext(pieces)
            held.append(pieces)
        assert refused == 17
        assert (await rest.get("/phones", token="viewer-token")).status == 200
    finally:
        for pieces in held:
            await pieces.aclose()
    assert (await rest.get("/phones/export", token="viewer-token")).status == 200


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01", "soon"])
async def test_a_cursor_with_a_time_that_no_calendar_has_is_none(rest: Rest, moment: str) -> None:
    answer = await rest.get("/removed-phones", cursor=make_cursor(moment, "x"))
    assert (answer.status, answer.fields) == (422, ["cursor"])


async def test_who_stops_reading_an_endless_answer_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "IDLE_SECONDS", 0.05)
    over = asyncio.Event()
    routes = Routes("test", "A test.")

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65_536
        finally:
            over.set()

    @routes.get("/endless", answer="text/plain")
    async def give_without_end(call: Call) -> Any:
        """Give without end."""
        return Raw(endless(), "text/plain")

    async with rest_over(tmp_path, [routes]) as rest:
        _reader, writer = await asyncio.open_connection(*rest.url.removeprefix("http://").split(":"))
        writer.write(b"GET /api/v1/endless HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer viewer-token\r\n\r\n")
        async with asyncio.timeout(20):
            await over.wait()
        writer.close()


async def test_nobody_fills_the_database_with_answers_to_questions(rest: Rest) -> None:
    for path in (f"/phones/{VVX}/why", "/logout"):
        body = {} if path.endswith("why") else None
        answer = await rest.post(path, body, token="viewer-token", headers={"Idempotency-Key": "1"})
        assert answer.status in (200, 204)
    with sqlite3.connect(rest.data / "ztp.db") as connection:
        assert connection.execute("SELECT count(*) FROM idempotency_keys").fetchone() == (0,)


async def test_a_client_that_says_nothing_is_hung_up_on(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.05)
    async with asyncio.timeout(20):
        assert await rest.raw(b"") == b""
        assert await rest.raw(b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n") == b""
