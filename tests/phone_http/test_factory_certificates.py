"""Factory certificates as phones show them: what is refused and where that is told, and what is told of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from tests.conftest import ADMIN, HD400, VVX, World, sample_phone
from tests.phone_http.conftest import Start
from ztp_server.pki.authority import make_device_authority, make_device_certificate
from ztp_server.pki.pair import read_certificate
from ztp_server.services.why_findings import Shown

SETTINGS = f"{VVX}-settings.cfg"
UNKNOWN_BLOCK = "f0a0b0c0d0e0"
SHA256 = hashes.SHA256()


def shown_by(world: World, subject: dict[str, str], name: str, vendor: str = "poly") -> tuple[Path, Path]:
    """A certificate by the maker's CA with any subject."""
    authority = make_device_authority(world.data / "certs" / vendor, f"test-{vendor}")
    return make_device_certificate(*authority, world.data / "devices", name, subject)


async def events(world: World, action: str) -> list[tuple[str, str]]:
    await world.app.check_ins.flush()
    found, _ = await world.services.events.page(ADMIN, action=action)
    return [(event.subject, event.detail["reason"]) for _, event in found]


async def explained(world: World, phone: str = VVX, shown: Shown | None = None) -> Any:
    return await world.services.why.explain(ADMIN, phone, shown=shown)


async def test_why_a_certificate_is_refused_is_told_to_us_and_never_to_the_phone(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same answer as for a phone that is not there; the reason is in log, check-ins and why."""
    two = shown_by(world, {"CN": VVX.upper(), "OU": "0004F2AABBCD"}, "two")
    foreign = shown_by(world, {"CN": HD400.upper()}, "foreign")
    stranger = await world.ask("0004f2999999-settings.cfg", listener="mtls", device=two)
    for device, reason in (
        (two, f"it names two MACs, {VVX} and 0004f2aabbcd"),
        (foreign, f"poly signed it, and {HD400} is an address of audiocodes"),
    ):
        answered = await world.ask(SETTINGS, listener="mtls", device=device)
        assert (answered.status, answered.body) == (404, b"") == (stranger.status, stranger.body)
        assert {**answered.headers, "Date": ""} == {**stranger.headers, "Date": ""}
        await world.app.check_ins.flush()
        attempt = (await explained(world)).attempts[0]
        assert attempt.proof == "" and attempt.reason.startswith("certificate ") and attempt.reason.endswith(reason)
        pem = device[0].read_bytes()
        said = await explained(world, shown=world.services.why.read_certificate(pem))
        assert any(reason in finding.text for finding in said.findings if finding.ok is False)
    world.app._requests.flush()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert any("it names two MACs" in str(line.get("reason")) for line in lines)


async def test_another_certificate_than_before_is_served_and_told_once(world: World) -> None:
    first, second = world.device("poly", VVX), shown_by(world, {"CN": VVX.upper(), "O": "Repaired"}, "second")
    pins = [read_certificate(device[0]).fingerprint(SHA256).hex() for device in (first, second)]
    for device in (first, first, second, second):
        assert (await world.ask(SETTINGS, listener="mtls", device=device)).status == 200
        await world.app.check_ins.flush()
    ((subject, reason),) = await events(world, "certificate.changed")
    assert subject == VVX and reason == f"proved itself with certificate {pins[1]}, and with {pins[0]} before"
    # A proof by its address in between forgets nothing.
    assert (await world.ask(SETTINGS)).status == 200
    assert (await world.ask(SETTINGS, listener="mtls", device=second)).status == 200
    assert (
        len(await events(world, "certificate.changed")) == 1 and await events(world, "certificate.unknown_block") == []
    )


async def test_a_mac_of_no_known_maker_is_believed_and_told_once_for_each_certificate(world: World) -> None:
    await world.services.phones.add(ADMIN, sample_phone(UNKNOWN_BLOCK, name="New block", line_keys=()))
    device = shown_by(world, {"CN": UNKNOWN_BLOCK.upper()}, "unknown")
    for _ in range(2):
        answered = await world.ask(f"{UNKNOWN_BLOCK}-settings.cfg", listener="mtls", device=device)
        assert answered.status == 200
        await world.app.check_ins.flush()
    await world.restart()
    assert (await world.ask(f"{UNKNOWN_BLOCK}-settings.cfg", listener="mtls", device=device)).status == 200
    ((subject, _),) = await events(world, "certificate.unknown_block")
    assert subject == UNKNOWN_BLOCK


async def test_why_tells_who_denied_a_certificate_and_why(world: World) -> None:
    device = world.device("poly", VVX)
    assert (await world.ask(SETTINGS, listener="mtls", device=device)).status == 200
    await world.app.check_ins.flush()
    await world.services.denied_certificates.deny_phone(ADMIN, VVX, "stolen & sold")
    assert (await world.ask(SETTINGS, listener="mtls", device=device)).status == 404
    await world.app.check_ins.flush()
    shown = world.services.why.read_certificate(device[0].read_bytes())
    found = await explained(world, shown=shown)
    denied = [finding.text for finding in found.findings if finding.ok is False and "denied by test" in finding.text]
    assert len(denied) == 2 and all("stolen & sold" in text for text in denied)
    assert found.attempts[0].reason.endswith(": it was denied")
    assert any("ztp certificate allow" in line for line in found.advice)
    assert {answer.status for answer in found.answers if answer.listener == "mtls"} == {404}


async def test_a_changed_ca_file_is_an_event(world: World, tmp_path: Path) -> None:
    (ca,) = (world.data / "certs" / "poly").glob("*.pem")
    other = make_device_authority(tmp_path / "other", "other-ca")
    ca.write_bytes(other[0].read_bytes())
    await world.app._refresh_certificates()
    ((file, reason),) = await events(world, "ca.changed")
    assert file == f"poly/{ca.name}" and read_certificate(ca).fingerprint(SHA256).hex() in reason


async def test_demonstration_phones_are_believed_only_where_the_server_is_a_demonstration(
    start: Start, tmp_path: Path
) -> None:
    """By its listeners, and by tools beside it."""
    world = await start(tmp_path / "demo", demo=True, public_name="")
    (device, *_) = sorted((world.data / "demo" / "devices").glob("*.pem"))
    read = world.services.why.read_certificate
    assert read(device.read_bytes()).certified
    await world.restart(demo=False)
    read = world.services.why.read_certificate
    assert "no CA in certs/ vouches" in read(device.read_bytes()).reason
    assert [ca.vendor for ca in await world.services.device_cas.all(ADMIN)] == []
