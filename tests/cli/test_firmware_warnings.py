"""A version of firmware that phones will not get is taken, with a warning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import MAC, Ztp
from tests.services.opened import open_data
from ztp_server.domain.event import CheckIn

Done = Callable[..., str]
VERSION = "5.9.8.5760"


@pytest.fixture
def add(ztp: Ztp, tmp_path: Path) -> Callable[[str], list[str]]:
    """Adds an image; returns the warnings."""

    def run(version: str) -> list[str]:
        image = tmp_path / "sip.ld"
        image.write_bytes(version.encode() * 100)
        ended = ztp("firmware", "add", image, "--model", "vvx-411", "--version", version)
        assert ended.code == 0
        return ended.err.splitlines()

    return run


def test_settings_that_name_an_image_that_is_not_there_are_warned_of(office: Done, ztp: Ztp) -> None:
    named = f"firmware_version={VERSION}"
    for command, source in (
        (("base-settings", "edit", "vvx-standard"), "base settings vvx-standard"),
        (("site", "edit", "madrid"), None),  # the base settings go first
        (("phone", "edit", MAC), f"phone {MAC}"),
    ):
        ended = ztp(*command, "--set", named)
        assert ended.code == 0
        expected = [f"warning: {source}: there is no image of {VERSION} for vvx-411"] if source else []
        assert ended.err.splitlines() == expected
    ended = ztp("base-settings", "add", "new", "--model", "vvx-500", "--set", named)
    assert ended.complaint == f"warning: base settings new: there is no image of {VERSION} for vvx-500"


def test_what_is_there_or_not_named_is_not_warned_of(office: Done, ztp: Ztp, add: Callable[[str], list[str]]) -> None:
    add("5.4.7.1")
    assert add("5.7.3.2263") == [] and add(VERSION) == []
    assert ztp("base-settings", "edit", "vvx-standard", "--set", f"firmware_version={VERSION}").err == ""
    assert ztp("base-settings", "edit", "vvx-standard", "--set", "rtp_dscp=40").err == ""
    assert ztp("phone", "edit", MAC, "--set", "firmware_version=").err == ""


def test_an_image_that_some_phones_cannot_take_at_once_is_warned_of(
    office: Done, add: Callable[[str], list[str]]
) -> None:
    assert add(VERSION) == [
        f"warning: vvx-411: a phone below 5.4 needs a 5.4 image to reach {VERSION}, and there is none",
        f"warning: vvx-411: a phone below 5.7 needs a 5.7 image to reach {VERSION}, and there is none",
    ]


def test_no_step_is_told_that_no_phone_needs_any_more(
    office: Done, add: Callable[[str], list[str]], data: Path
) -> None:
    asyncio.run(_say(data, "5.7.3.2263"))

    assert add(VERSION) == []


def test_removing_an_image_that_settings_name_is_warned_of(
    office: Done, ztp: Ztp, add: Callable[[str], list[str]]
) -> None:
    add("5.4.7.1")
    office("base-settings", "edit", "vvx-standard", "--set", "firmware_version=5.4.7.1")
    ended = ztp("firmware", "remove", "--model", "vvx-411", "--version", "5.4.7.1")

    assert ended.code == 0
    assert ended.complaint == "warning: base settings vvx-standard: there is no image of 5.4.7.1 for vvx-411"


def test_a_version_that_is_older_than_what_phones_run_is_warned_of(
    office: Done, ztp: Ztp, add: Callable[[str], list[str]], data: Path
) -> None:
    add("5.4.7.1")
    asyncio.run(_say(data, VERSION))
    ended = ztp("base-settings", "edit", "vvx-standard", "--set", "firmware_version=5.4.7.1")
    assert ended.complaint == (
        "warning: base settings vvx-standard: 1 vvx-411 said to run a newer one than 5.4.7.1 and will keep it; "
        "firmware_downgrade=on lets them go back"
    )
    again = ("--set", "firmware_version=5.4.7.1", "--set", "firmware_downgrade=on")
    assert ztp("base-settings", "edit", "vvx-standard", *again).err == ""


async def _say(data: Path, version: str) -> None:
    services = await open_data(data)
    async with services.store.write() as session:
        row = CheckIn(MAC, f"{MAC}.cfg", datetime.now(UTC), 200, "e", "10.0.0.1", "network", version)
        await session.check_ins.note([row])
    await services.close()
