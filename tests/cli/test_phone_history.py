"""`ztp phone history`: what a phone asked for, and the bytes it was given at any time."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import MAC, Ztp
from tests.services.opened import open_data
from ztp_server.domain.attempt import Attempt, MadeOf
from ztp_server.store.served_files import ServedFile

Done = Callable[..., str]
FILE = f"{MAC}-settings.cfg"


@pytest.fixture
def given(office: Done, data: Path) -> None:
    """The phone was given a file on two days."""
    asyncio.run(_given(data))


async def _given(data: Path) -> None:
    services = await open_data(data)
    async with services.store.write() as session:
        for day, body in ((1, b"a\nold\n"), (2, b"a\nnew\n")):
            at = datetime(2026, 11, day, 10, tzinfo=UTC)
            await session.served_files.add([ServedFile(f"tag{day}", "text/xml", zlib.compress(body), len(body))])
            run = Attempt(MAC, FILE, at, at, 200, etag=session.served_files.tag(f"tag{day}"), proof="network")
            run.made_of = MadeOf(base_settings="vvx-standard", base_settings_revision=day)
            run.address = "10.0.0.7"
            await session.check_in_log.add([run])
    await services.close()


def test_requests_are_listed_newest_first_with_base_settings_and_revision(office: Done, given: None) -> None:
    rows = [line.split("\t") for line in office("phone", "history", MAC).splitlines()]
    assert [row[0] for row in rows] == ["2026-11-02T10:00:00Z", "2026-11-01T10:00:00Z"]
    assert rows[0][1:] == ["1", FILE, "200", "network", "", "10.0.0.7", "", "vvx-standard@2", ""]


def test_json_has_the_objects_of_the_rest_interface(office: Done, given: None) -> None:
    (row,) = json.loads(office("phone", "history", MAC, "--limit", "1", "--json"))
    assert row["file"] == FILE and row["made_of"]["base_settings_revision"] == 2 and row["count"] == 1


def test_the_bytes_of_a_time_are_printed_as_they_are(office: Done, given: None) -> None:
    assert office("phone", "history", MAC, "--file", FILE, "--at", "2026-11-01T23:00") == "a\nold\n"
    assert office("phone", "history", MAC, "--file", FILE, "--at", "2026-11-30") == "a\nnew\n"


def test_the_files_given_by_a_time_are_listed(office: Done, given: None) -> None:
    (row,) = json.loads(office("phone", "history", MAC, "--at", "2026-11-01T23:00", "--json"))
    assert (row["file"], row["size"]) == (FILE, 6)


def test_two_times_are_compared(office: Done, given: None) -> None:
    diff = office("phone", "history", MAC, "--file", FILE, "--diff", "2026-11-01T23:00", "2026-11-30")
    assert diff.splitlines()[-2:] == ["-old", "+new"]


def test_what_is_no_time_or_was_not_given_is_refused(office: Done, ztp: Ztp, given: None) -> None:
    bad = ztp("phone", "history", MAC, "--at", "soon")
    assert bad.code == 1 and bad.complaint.startswith("ztp: --at: 'soon' is no time")
    early = ztp("phone", "history", MAC, "--file", FILE, "--at", "2026-10-01")
    assert early.code == 1 and "had been given no" in early.complaint
    assert ztp("phone", "history", MAC, "--diff", "2026-11-01", "2026-11-02").code == 2


def test_a_phone_is_shown_with_its_status(office: Done) -> None:
    shown = json.loads(office("phone", "show", MAC))
    assert shown["status"]["provisioning"] == "never_seen" and shown["status"]["reason"]
