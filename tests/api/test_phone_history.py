"""Status and history of phones over REST."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import ADMIN, VVX
from ztp_server.domain.attempt import Attempt, MadeOf
from ztp_server.store.served_files import ServedFile

SETTINGS = f"{VVX}-settings.cfg"
DAYS = [datetime(2026, 11, day, 10, tzinfo=UTC) for day in (1, 2)]


async def given(rest: Rest, number: int, body: bytes, **changes: Any) -> None:
    """A phone was given a file on one of the days."""
    async with rest.services.store.write() as session:
        tag = session.served_files.tag(f"etag{number}")
        await session.served_files.add([ServedFile(f"etag{number}", "text/xml", zlib.compress(body), len(body))])
        fields = {
            "status": 200,
            "etag": tag,
            "proof": "network",
            "listener": "http",
            "made_of": MadeOf("x", 1, "madrid"),
        }
        attempt = Attempt(VVX, SETTINGS, DAYS[number], DAYS[number], **fields | changes)
        await session.check_in_log.add([attempt])


async def test_a_phone_that_never_asked_has_a_status(rest: Rest) -> None:
    answer = await rest.get(f"/phones/{VVX}/status", token="viewer-token")
    assert answer.status == 200
    assert answer.json["state"] == answer.json["provisioning"] == "never_seen"
    assert answer.json["registration"] == "unknown" and answer.json["last_seen"] is None


async def test_check_ins_come_newest_first_page_by_page(rest: Rest) -> None:
    await given(rest, 0, b"one")
    await given(rest, 1, b"two")
    first = (await rest.get(f"/phones/{VVX}/check-ins", limit=1)).json
    rest_of_it = (await rest.get(f"/phones/{VVX}/check-ins", limit=1, cursor=first["next_cursor"])).json
    assert [row["last_at"][:10] for row in (*first["items"], *rest_of_it["items"])] == ["2026-11-02", "2026-11-01"]
    assert rest_of_it["next_cursor"] is None
    assert first["items"][0]["made_of"]["site"] == "madrid"


async def test_check_ins_of_one_file_alone(rest: Rest) -> None:
    await given(rest, 0, b"one")
    assert (await rest.get(f"/phones/{VVX}/check-ins", file="other.cfg")).json["items"] == []
    assert len((await rest.get(f"/phones/{VVX}/check-ins", file=SETTINGS)).json["items"]) == 1


async def test_the_bytes_of_a_date_are_text_and_so_is_a_diff_of_two(rest: Rest) -> None:
    await given(rest, 0, "é one\n".encode())
    await given(rest, 1, b"two\n")
    listed = await rest.get(f"/phones/{VVX}/files-given", at="2026-11-01T12:00")
    assert [(row["file"], row["size"]) for row in listed.json["items"]] == [(SETTINGS, 7)]
    then = await rest.get(f"/phones/{VVX}/files-given/{SETTINGS}", at="2026-11-01T12:00+01:00")
    now = await rest.get(f"/phones/{VVX}/files-given/{SETTINGS}")
    assert (then.body.decode(), now.body.decode()) == ("é one\n", "two\n")
    assert then.headers["Content-Type"].startswith("text/plain")
    diff = await rest.get(f"/phones/{VVX}/files-given/{SETTINGS}/diff", earlier="2026-11-01T12:00")
    assert diff.body.decode().splitlines()[-2:] == ["-é one", "+two"]


async def test_a_file_that_was_not_given_by_then_is_not_found(rest: Rest) -> None:
    await given(rest, 0, b"one")
    assert (await rest.get(f"/phones/{VVX}/files-given/{SETTINGS}", at="2026-10-01")).status == 404


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "0001-01-01T00:00+23:59", "9" * 60])
async def test_a_time_that_is_none_is_refused_by_name(rest: Rest, text: str) -> None:
    answer = await rest.get(f"/phones/{VVX}/files-given", at=text)
    assert answer.status == 422 and answer.fields == ["at"]


async def test_a_removed_phone_is_found_by_its_address_by_who_may_see_the_audit(rest: Rest) -> None:
    await given(rest, 0, b"one")
    await rest.services.phones.remove(ADMIN, VVX)
    assert len((await rest.get(f"/phones/{VVX}/check-ins")).json["items"]) == 1
    assert (await rest.get(f"/phones/{VVX}/check-ins", token="viewer-token")).status == 404


async def test_a_phone_at_another_site_is_not_there(rest: Rest) -> None:
    await rest.services.sites.add(ADMIN, "lyon", "Lyon", {"sip_server": "sip.example.net", "time_zone": "Etc/GMT-1"})
    await rest.services.phones.edit(ADMIN, VVX, {"site": "lyon"}, {})
    for path in ("status", "check-ins", "files-given"):
        assert (await rest.get(f"/phones/{VVX}/{path}", token="madrid-token")).status == 404
