"""The listener for phones that speak TLS 1.0: its CAs come and go while it serves, and it has an end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.conftest import ADMIN, LOOPBACK, VVX, VVX_UA, World
from tests.phone_http.conftest import Start, eventually
from ztp_server.config import LegacyListener
from ztp_server.errors import Misconfigured
from ztp_server.pki.authority import make_device_authority, make_device_certificate

HERE = (ip_network("127.0.0.1/32"),)
TODAY = datetime.now(UTC).date()
SETTINGS = f"{VVX}-settings.cfg"


def until(days: int) -> LegacyListener:
    return LegacyListener(LOOPBACK, HERE, TODAY + timedelta(days=days))


async def ask_as_of_old(world: World, device: tuple[Path, Path] | None = None) -> str:
    """The status line a phone gets that speaks TLS 1.0, with its certificate if it has one; empty without an answer."""
    shown = ["-cert", str(device[0]), "-key", str(device[1])] if device else []
    client = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{world.app.listeners['legacy'].address.port}", "-quiet",
        "-tls1", "-cipher", "DEFAULT:@SECLEVEL=0", *shown,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    answer, _ = await client.communicate(f"GET /{SETTINGS} HTTP/1.0\r\nUser-Agent: {VVX_UA}\r\n\r\n".encode())
    return answer.partition(b"\r\n")[0].decode()


async def reported(world: World, action: str) -> list[str]:
    await world.app.check_ins.flush()
    events, _ = await world.services.events.page(ADMIN, action=action)
    return [event.detail["reason"] for _, event in events]


async def test_without_a_ca_the_proofs_of_the_site_count_and_with_one_a_certificate_is_demanded(
    start: Start, copy: Path
) -> None:
    world = await start(copy, legacy=until(400))
    assert ask_status(await ask_as_of_old(world)) == "200"

    folder = copy / "certs" / "legacy" / "poly"
    authority = make_device_authority(copy / "old-ca", "old")
    device = make_device_certificate(*authority, copy / "devices", "old", {"CN": VVX.upper()})
    folder.mkdir(parents=True)
    (folder / "old.pem").write_bytes(authority[0].read_bytes())

    async def demanded() -> bool:
        return ask_status(await ask_as_of_old(world)) == ""

    await eventually(demanded)
    assert ask_status(await ask_as_of_old(world, device)) == "200"
    # A CA of the other listener counts for nothing here, and this one for nothing there.
    assert ask_status(await ask_as_of_old(world, world.device("poly", VVX))) == ""
    (folder / "old.pem").unlink()

    async def not_demanded() -> bool:
        return ask_status(await ask_as_of_old(world)) == "200"

    await eventually(not_demanded)


def ask_status(line: str) -> str:
    return line.split(" ")[1] if line else ""


async def test_the_bootstrap_file_is_not_given_over_old_tls(start: Start, copy: Path) -> None:
    """A configured phone must not be emptied by it, and it is for the first knock alone."""
    world = await start(copy, legacy=until(400))
    await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate"})

    assert ask_status(await ask_as_of_old(world)) == "404"


async def test_its_end_is_told_measured_and_kept(start: Start, copy: Path) -> None:
    world = await start(copy, legacy=until(400))
    doors = world.app.doors
    assert b"ztp_legacy_days_left 400.0" in world.app.metrics.text()
    assert set(doors.other_urls()) == {"legacy"} and "legacy" not in doors.urls()

    last = TODAY + timedelta(days=400)
    for day in (last - timedelta(days=91), last - timedelta(days=90), last):
        await doors.look_at_the_date(day)
    assert [reason.partition(": ")[2] for reason in await reported(world, "listener.ends_soon")] == [
        "0 days left",
        "90 days left",
    ]
    assert "legacy" in world.app.listeners

    await doors.look_at_the_date(last + timedelta(days=1))
    assert "legacy" not in world.app.listeners
    assert len(await reported(world, "listener.ended")) == 1


async def test_after_its_last_day_no_server_starts_with_it(start: Start, copy: Path) -> None:
    with pytest.raises(Misconfigured, match=r"--legacy-until .* is over"):
        await start(copy, legacy=until(-1))
    await start(copy, legacy=until(0))


async def test_a_server_without_it_has_no_such_figure(start: Start, copy: Path) -> None:
    world = await start(copy)

    assert b"ztp_legacy_days_left" not in world.app.metrics.text()
    await world.app.doors.look_at_the_date()
    assert await reported(world, "listener.ends_soon") == []
