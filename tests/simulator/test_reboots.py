"""Boots until nothing in flash changes: how many, why, and when a phone would never stop."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from tests.simulator.conftest import MAC, READING, FileServer, Serve, make_phone, xml
from ztp_server.simulator.flash import Flash
from ztp_server.simulator.phone import SimulatedPhone
from ztp_server.simulator.simulation import MAX_BOOTS, MAX_PLACES, SimulationReport, simulate
from ztp_server.simulator.trust import Trust

CFG = f"{MAC}.cfg"
LINES = {"line__1__user": "1001", "line__1__server": "sip.example.net", "line__transport": "TLS"}
IN_FLASH = READING | {
    "address": "dev.url",
    "flash": {"names": r"dev\..+", "switch": "dev.set", "needs": "{name}.set"},
}
OVERRIDES: list[Mapping[str, Any]] = [
    {"path": "{mac}.cfg", "reads": True},
    {"path": "{mac}-phone.cfg", "overrides": True, "optional": True},
    {"path": "{mac}-web.cfg", "overrides": True, "optional": True},
]


def phone(boot: list[Mapping[str, Any]] | None = None) -> SimulatedPhone:
    return make_phone(boot or [{"path": "{mac}.cfg", "reads": True}], IN_FLASH)


async def run(server: FileServer, flash: Flash | None = None, **more: Any) -> SimulationReport:
    return await simulate(phone(**more), server.url, Trust(), flash or Flash({}))


def device(**values: str) -> dict[str, str]:
    """Parameters of flash, switched on."""
    parameters = {"dev__set": "1"}
    for name, value in values.items():
        parameters |= {f"dev__{name}": value, f"dev__{name}__set": "1"}
    return parameters


def file(**values: str) -> bytes:
    return xml(**device(**values), **LINES)


async def test_a_boot_that_changes_flash_is_followed_by_one_that_does_not(server: FileServer) -> None:
    server.answers = {CFG: file(vlan="30", ntp="ntp.example.net")}
    report = await run(server)
    assert (report.failure, [len(stage.changes) for stage in report.stages]) == ("", [2, 0])
    assert report.stages[0].reason == "dev.vlan changed (nothing → 30), and 1 more"
    assert report.flash.held == {"dev.vlan": "30", "dev.ntp": "ntp.example.net"}


async def test_a_configured_phone_boots_once_and_reboots_for_a_change_in_flash_alone(server: FileServer) -> None:
    flash = Flash({"dev.vlan": "30"})
    server.answers = {CFG: file(vlan="30")}
    assert len((await run(server, flash)).stages) == 1
    server.answers = {CFG: xml(**device(vlan="30"), **LINES, rtp__start="4000")}
    assert len((await run(server, flash)).stages) == 1
    server.answers = {CFG: file(vlan="31")}
    report = await run(server, flash)
    assert [stage.reason for stage in report.stages] == ["dev.vlan changed (30 → 31)", ""]


async def test_of_a_phone_whose_flash_nobody_knows_no_reboot_is_told(server: FileServer) -> None:
    server.answers = {CFG: file(vlan="30")}
    assert len((await simulate(phone(), server.url, Trust())).stages) == 1


async def test_an_address_that_is_not_switched_on_leads_nowhere(server: FileServer, serve: Serve) -> None:
    elsewhere = await serve()
    server.answers = {CFG: xml(dev__set="1", dev__url=elsewhere.url, **LINES)}
    assert len((await run(server)).stages) == 1
    assert elsewhere.asked == []


async def test_a_phone_goes_where_its_flash_says(server: FileServer, serve: Serve) -> None:
    steady = await serve()
    server.answers, steady.answers = {CFG: xml(ntp="n")}, {CFG: xml(**LINES)}
    report = await run(server, Flash({"dev.url": steady.url}))
    assert [stage.folder for stage in report.stages] == [server.url, steady.url]


async def test_bootstrap_and_steady_address_make_three_boots(server: FileServer, serve: Serve) -> None:
    steady = await serve()
    server.answers = {CFG: xml(**device(url=steady.url))}
    steady.answers = {CFG: file(url=steady.url, vlan="30")}
    report = await run(server)
    assert [stage.folder for stage in report.stages] == [server.url, steady.url, steady.url]
    assert [bool(stage.changes) for stage in report.stages] == [True, True, False]


async def test_another_spelling_of_one_address_costs_a_reboot_and_no_more(server: FileServer, serve: Serve) -> None:
    """A slash or a capital letter is another value, though the same place."""
    steady = await serve()
    spelled = f"HTTP://{steady.url.removeprefix('http://').rstrip('/')}"
    server.answers = {CFG: xml(**device(url=steady.url))}
    steady.answers = {CFG: file(url=spelled)}
    report = await run(server)
    assert (report.failure, len(report.stages)) == ("", 3)
    assert report.stages[1].reason == f"dev.url changed ({steady.url} → {spelled})"


async def test_a_value_that_differs_at_each_boot_is_a_loop(server: FileServer) -> None:
    numbers = count()

    async def another(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=file(vlan=str(next(numbers) % 2), ntp="n"))

    server.answers = {CFG: another}
    report = await run(server)
    assert len(report.stages) == MAX_BOOTS
    assert report.failure == "the phone would reboot for ever: dev.vlan changes at every boot (1 → 0)"


async def test_the_last_allowed_reboot_is_no_loop(server: FileServer) -> None:
    values = iter(["1", "2", "3", "4", "4"])

    async def another(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=file(vlan=next(values)))

    server.answers = {CFG: another}
    report = await run(server)
    assert (report.failure, len(report.stages)) == ("", MAX_BOOTS)


async def test_two_servers_that_send_to_each_other_are_a_loop(server: FileServer, serve: Serve) -> None:
    other = await serve()
    server.answers, other.answers = {CFG: file(url=other.url)}, {CFG: file(url=server.url)}
    report = await run(server)
    assert len(report.places) == MAX_PLACES
    assert report.failure == (
        f"the phone would reboot for ever: sent on each time, {server.url} → {other.url} → {server.url} → {other.url}"
    )


async def test_of_two_files_the_one_further_left_wins(server: FileServer) -> None:
    server.answers = {
        CFG: xml(files="left.cfg, right.cfg"),
        "left.cfg": file(vlan="1"),
        "right.cfg": file(vlan="2", ntp="n"),
    }
    report = await run(server, boot=[{"path": "{mac}.cfg", "reads": True}, {"listed_in": "files", "reads": True}])
    assert report.flash.held == {"dev.vlan": "1", "dev.ntp": "n"}
    assert len(report.stages) == 2


async def test_what_a_user_changed_goes_above_every_file_and_the_phones_menu_above_its_web_page(
    server: FileServer,
) -> None:
    server.answers = {
        CFG: file(vlan="1", ntp="file", log="file"),
        f"{MAC}-phone.cfg": xml(dev__vlan="menu"),
        f"{MAC}-web.cfg": xml(dev__vlan="web", dev__ntp="web"),
    }
    report = await run(server, boot=OVERRIDES)
    assert report.flash.held == {"dev.vlan": "menu", "dev.ntp": "web", "dev.log": "file"}
    assert len(report.stages) == 2


@pytest.mark.parametrize("answers", [{}, {f"{MAC}-phone.cfg": b"<PHONE_CONFIG><OVERRIDES/></PHONE_CONFIG>"}])
async def test_no_changes_of_a_user_change_nothing(server: FileServer, answers: dict[str, bytes]) -> None:
    server.answers = {CFG: file(vlan="1"), **answers}
    report = await run(server, boot=OVERRIDES)
    assert (report.failure, report.flash.held) == ("", {"dev.vlan": "1"})


async def test_a_changed_user_setting_that_is_kept_in_flash_reboots_once(server: FileServer) -> None:
    """It stands above our file at every boot, so that neither gives way for ever; without it ours holds again."""
    flash = Flash({"dev.vlan": "7"})
    server.answers = {CFG: file(vlan="1"), f"{MAC}-phone.cfg": xml(dev__vlan="7")}
    assert len((await run(server, flash, boot=OVERRIDES)).stages) == 1
    server.answers[f"{MAC}-phone.cfg"] = 404
    assert len((await run(server, flash, boot=OVERRIDES)).stages) == 2


async def test_no_secret_is_in_the_reason_of_a_reboot_or_a_loop(server: FileServer) -> None:
    numbers = count()

    async def another(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=file(adminPassword=f"hunter{next(numbers)}"))

    server.answers = {CFG: another}
    report = await run(server)
    told = report.failure + "".join(stage.reason for stage in report.stages)
    assert "dev.adminPassword changes at every boot (hidden → hidden)" in told and "hunter" not in told
