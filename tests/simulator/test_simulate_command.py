from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import HD400, HOSTILE_PASSWORD, VVX, World
from ztp_server.cli.simulate import simulate

MODELS = {VVX: "vvx-411", HD400: "audiocodes-405hd"}
VENDORS = {VVX: "poly", HD400: "audiocodes"}


@dataclass
class Ended:
    exit_code: int | None
    stdout: str
    stderr: str


async def ztp_simulate(world: World, *arguments: object) -> Ended:
    """`ztp simulate` in a process of its own, as an administrator calls it."""
    line = ["-m", "ztp_server", "simulate", *map(str, arguments), "--data", str(world.data)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *line, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("mac", [VVX, HD400])
async def test_a_phone_out_of_its_box_finds_its_steady_address(world: World, mac: str, empty_file: Path) -> None:
    certificate, key = world.device(VENDORS[mac], mac)
    result = await ztp_simulate(
        world, mac, "--model", MODELS[mac], "--url", world.url("http"),
        "--factory", "--roots", empty_file, "--cert", certificate, "--key", key, "--json",
    )  # fmt: skip
    report = json.loads(result.stdout)

    assert (result.exit_code, report["would_register"], report["reason"]) == (0, True, "")
    assert [(boot["url"], boot["ca_installed"]) for boot in report["boots"]] == [
        (world.url("http"), True),
        (world.url("mtls"), False),
    ]
    assert report["boots"][0]["comes_back_to"] == world.url("mtls")
    assert report["boots"][1]["changed_in_flash"] == []
    assert {r["server"] for r in report["registrations"]} == {"sip.example.net"}
    assert {r["transport"] for r in report["registrations"]} == {"TLS"}
    assert HOSTILE_PASSWORD not in result.stdout


async def test_a_configured_phone_trusts_the_ca_of_the_data_folder(world: World) -> None:
    certificate, key = world.device("poly", VVX)
    arguments = (VVX, "--model", "vvx-411", "--url", world.url("mtls"), "--cert", certificate, "--key", key)
    result = await ztp_simulate(world, *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0] == f"Boot 1 at {world.url('mtls')}"
    assert f"GET\t{VVX}-settings.cfg\t200\t" in result.stdout
    assert "Would register:\n1\t1001\tsip.example.net\tTLS\n2\t1002\t" in result.stdout


async def test_a_reboot_is_told_with_its_reason_and_without_a_secret(world: World) -> None:
    certificate, key = world.device("poly", VVX)
    arguments = (
        VVX,
        "--model",
        "vvx-411",
        "--url",
        world.url("http"),
        "--cert",
        certificate,
        "--key",
        key,
        "--factory",
    )
    result = await ztp_simulate(world, *arguments)
    assert result.exit_code == 0, result.stderr
    boots = [line for line in result.stdout.splitlines() if line.startswith("Boot ")]
    assert len(boots) == 2
    because = f": rebooted because device.prov.serverName changed (nothing → {world.url('mtls')}), and "
    assert boots[1].startswith(f"Boot 2 at {world.url('mtls')}{because}")

    told = json.loads((await ztp_simulate(world, *arguments, "--json")).stdout)["boots"][0]["changed_in_flash"]
    values = {change["name"]: (change["before"], change["after"]) for change in told}
    assert values["device.prov.serverName"] == ("nothing", world.url("mtls"))
    assert values["device.auth.localAdminPassword"] == ("hidden", "hidden")
    assert "Ad&min1" not in str(told)


async def test_a_phone_that_the_server_does_not_know_is_an_exit_code_of_one(world: World) -> None:
    result = await ztp_simulate(world, "00908f000001", "--model", "audiocodes-405hd", "--url", world.url("https"))
    assert result.exit_code == 1
    assert "404: the server knows no phone 00908f000001, or it was not proven" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((VVX, "--model", "vvx-41"), 1, "ztp: no model vvx-41; did you mean vvx-"),
        (("phone.example.net", "--model", "vvx-411"), 1, "is not a MAC address"),
        ((VVX, "--model", "vvx-411", "--url", "phones.example.net"), 1, "ztp: 'phones.example.net' is not an address"),
        ((VVX, "--model", "vvx-411", "--factory", "--ca", __file__), 2, "--factory and --ca exclude each other"),
        ((VVX, "--model", "vvx-411", "--key", __file__), 2, "--key needs --cert"),
        ((VVX, "--model", "vvx-411", "--cert", "/none.pem"), 2, "does not exist"),
        ((VVX, "--model", "vvx-411", "--cert", __file__), 1, "no certificate with its key"),
        ((VVX,), 2, "so say what it is"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(arguments: tuple[str, ...], code: int, message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, [*arguments, "--data", str(tmp_path)])
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
