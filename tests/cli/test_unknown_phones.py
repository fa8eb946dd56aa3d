"""ztp unknown, approval-rule."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import MAC, Ztp
from tests.conftest import HOSTILE_NAME
from tests.services.opened import open_data
from ztp_server.domain.unknown_phone import UnknownPhone

PLACE = ("--site", "madrid", "--base-settings", "vvx-standard")
MACS = [f"0004f210000{number}" for number in range(4)]


@pytest.fixture
def knocked(office: Any, data: Path) -> Any:
    """Three phones knocked that said what they are, and one that did not."""

    async def knock() -> None:
        services = await open_data(data)
        now = datetime.now(UTC)
        async with services.store.write() as session:
            await session.unknown_phones.keep(
                [
                    UnknownPhone(mac, now, now, "poly", "vvx-411" if mac != MACS[3] else "", address="10.1.0.9")
                    for mac in MACS
                ]
            )
        await services.close()

    asyncio.run(knock())
    return office


def test_who_knocked_is_listed(knocked: Any) -> None:
    rows = [line.split("\t") for line in knocked("unknown", "list").splitlines()]
    assert [row[0] for row in rows] == MACS
    assert rows[0][1:4] == ["vvx-411", "", "10.1.0.9"]
    found = json.loads(knocked("unknown", "list", "--network", "10.1.0.0/24", "--model", "vvx-411", "--json"))
    assert [row["mac"] for row in found] == MACS[:3]
    assert knocked("unknown", "list", "--network", "10.2.0.0/24") == ""


def test_one_is_shown(knocked: Any, ztp: Ztp) -> None:
    shown = dict(line.split("\t") for line in knocked("unknown", "show", "00:04:F2:10:00:00").splitlines())
    assert (shown["MAC"], shown["State"], shown["Model"]) == (MACS[0], "waiting", "vvx-411")
    knocked("unknown", "deny", MACS[0], "--reason", HOSTILE_NAME)
    found = json.loads(knocked("unknown", "show", MACS[0], "--json"))
    assert (found["state"], found["why"]) == ("denied", HOSTILE_NAME)
    assert "Denied by" in knocked("unknown", "show", MACS[0])
    assert ztp("unknown", "show", "0004f2999999").code == 1


def test_one_is_approved_with_its_line_and_the_server_may_be_down(knocked: Any, ztp: Ztp) -> None:
    out = knocked("unknown", "approve", "00:04:F2:10:00:00", *PLACE, "--name", HOSTILE_NAME, "--line", "user=1001")
    assert out == f"{MACS[0]}\n"
    shown = json.loads(knocked("phone", "show", MACS[0]))
    assert (shown["name"], shown["model"], shown["lines"][0]["user"]) == (HOSTILE_NAME, "vvx-411", "1001")
    assert ztp("unknown", "approve", MACS[0], *PLACE).code == 1
    ended = ztp("unknown", "approve", MACS[3], *PLACE)
    assert ended.code == 1 and "model" in ended.complaint
    assert knocked("unknown", "approve", MACS[3], *PLACE, "--model", "vvx-311", "--json")
    assert [row["mac"] for row in json.loads(knocked("unknown", "list", "--json"))] == MACS[1:3]


def test_many_are_approved_from_a_file_each_by_itself(knocked: Any, ztp: Ztp, tmp_path: Path) -> None:
    (tmp_path / "macs.txt").write_text(f"{MACS[0]}\n{MAC}\n{MACS[1]}\n")
    ended = ztp("unknown", "approve", f"@{tmp_path / 'macs.txt'}", *PLACE, "--open-window", "2h")
    assert ended.code == 1
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert [(mac, said == "approved") for mac, said in rows] == [(MACS[0], True), (MAC, False), (MACS[1], True)]
    for wrong in (("--name", "x"), ("--line", "user=1")):
        assert ztp("unknown", "approve", *MACS[2:], *PLACE, *wrong).code == 2
    assert ztp("unknown", "approve", MACS[2], *PLACE, "--open-window", "soon").code == 1


def test_one_is_denied_and_forgotten(knocked: Any, ztp: Ztp) -> None:
    knocked("unknown", "deny", MACS[0], "--reason", HOSTILE_NAME)
    (denied,) = json.loads(knocked("unknown", "list", "--state", "denied", "--json"))
    assert (denied["mac"], denied["why"]) == (MACS[0], HOSTILE_NAME)
    knocked("unknown", "forget", MACS[0])
    assert ztp("unknown", "forget", MACS[0]).complaint == f"ztp: no unknown phone {MACS[0]}"


def test_a_rule_is_made_changed_listed_and_removed(office: Any, ztp: Ztp) -> None:
    office(
        "approval-rule", "add", "lobby", *PLACE, "--most", "50", "--network", "10.20.0.0/16", "--until", "2099-01-01"
    )
    office("approval-rule", "edit", "lobby", "--most", "60", "--proof", "certificate", "--no-end")
    office("approval-rule", "edit", "lobby", "--site-networks")
    assert office("approval-rule", "list") == ("lobby\tmadrid\tvvx-standard\tthe site's\tcertificate\t0 of 60\tnever\n")
    (rule,) = json.loads(office("approval-rule", "list", "--json"))
    assert (rule["networks"], rule["revision"]) == ([], 3)
    assert (
        "networks: 0.0.0.0/0 is too wide" in ztp("approval-rule", "edit", "lobby", "--network", "0.0.0.0/0").complaint
    )
    assert ztp("approval-rule", "edit", "lobby", "--network", "10.0.0.0/8", "--site-networks").code == 2
    office("approval-rule", "remove", "lobby")
    assert office("approval-rule", "list") == ""
