"""ztp phone status, watch, and the status in ztp phone list."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import click
import pytest

from tests.cli.conftest import MAC, Ztp
from tests.conftest import HOSTILE_NAME
from ztp_server.domain.moment import parse_moment
from ztp_server.services.status_changes import News, Position
from ztp_server.services.status_feed import StatusFeed
from ztp_server.store.status_changes import Newest


@pytest.fixture(autouse=True)
def _phone(ztp: Ztp) -> None:
    for command in (
        ("site", "add", "madrid", "--name", "Madrid", "--set", "sip_server=sip.example.net"),
        ("base-settings", "add", "vvx", "--model", "vvx-411"),
        ("phone", "add", "--hardware-id", MAC, "--name", HOSTILE_NAME, "--model", "vvx-411", "--site", "madrid",
         "--base-settings", "vvx", "--line", "user=1001,password=x"),
    ):  # fmt: skip
        assert ztp(*command).code == 0


def test_the_status_of_a_phone_says_why_nothing_is_known_of_its_lines(ztp: Ztp) -> None:
    shown = ztp("phone", "status", MAC).out
    assert "never_seen" in shown and shown.count("no platform has the SIP server sip.example.net") == 2
    status = json.loads(ztp("phone", "status", MAC, "--json").out)
    assert (status["state"], status["registration"]) == ("never_seen", "unknown")
    assert [(line["user"], line["state"]) for line in status["lines"]] == [("1001", "unknown")]
    (listed,) = json.loads(ztp("phone", "list", "--json", "--filter", "status=unknown").out)
    assert listed["status"]["lines"] is None
    assert ztp("phone", "list", "--filter", "status=online,offline", "--count").out == "0\n"
    assert "never_registered" in ztp("phone", "list", "--filter", "status=gone").complaint


def test_watch_shows_what_is_pushed_until_it_is_stopped(ztp: Ztp, monkeypatch: pytest.MonkeyPatch) -> None:
    (listed,) = json.loads(ztp("phone", "list", "--json").out)
    listed["status"] |= {"state": "offline", "registration": "offline", "registration_reason": "not registered"}
    position = Position(Newest(7, 3), parse_moment("at", "2026-11-24"))
    came_with: list[str] = []

    async def pushed(after: str) -> AsyncIterator[News | None]:
        came_with.append(after)
        if after:
            raise click.Abort
        yield None
        yield News(position, refresh="site changed")
        yield News(position, (listed,))

    async def follow(_self: StatusFeed, _who: Any, after: str = "") -> AsyncIterator[News | None]:
        return pushed(after)

    monkeypatch.setattr(StatusFeed, "follow", follow)
    ended = ztp("phone", "watch")
    assert f"{MAC} offline (files never_seen, registration offline; not registered) {HOSTILE_NAME}" in ended.out
    assert "many may have changed: site changed" in ended.err
    # It goes on from where it was when the server lets it go.
    assert came_with == ["", str(position)]
    came_with.clear()
    assert json.loads(ztp("phone", "watch", "--json").out)["status"]["state"] == "offline"
