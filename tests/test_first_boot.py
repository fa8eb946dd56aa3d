"""A factory phone of each family, from its first knock over plain HTTP until it would register."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.conftest import ADMIN, HD400, VVX, World, sample_phone, start_filled
from ztp_server.errors import NotFound
from ztp_server.simulator.simulation import SimulationReport, run_simulation

FAMILIES = [("poly", VVX, "vvx-411"), ("audiocodes", HD400, "audiocodes-405hd")]


async def factory_boot(
    world: World, mac: str, model: str, device: tuple[Path, Path] | None = None, roots: Path | None = None
) -> SimulationReport:
    certificate, key = device or (None, None)
    catalog = world.services.templates.catalog
    return await run_simulation(
        catalog, mac, model, world.url("http"), ca=None, cert=certificate, key=key, roots=roots, whole_firmware=False
    )


@pytest.mark.parametrize(("vendor", "mac", "model"), FAMILIES)
async def test_a_factory_phone_comes_back_with_its_certificate(world: World, vendor: str, mac: str, model: str) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, {"plain_secrets": "off"})

    report = await factory_boot(world, mac, model, world.device(vendor, mac))

    assert not report.failure
    assert [stage.folder for stage in report.stages] == [world.url("http"), world.url("mtls")]
    assert not report.stages[0].boot.registrations
    assert {(r.server, r.transport) for r in report.registrations} == {("sip.example.net", "TLS")}


@pytest.mark.parametrize(("vendor", "mac", "model"), FAMILIES)
async def test_without_the_makers_ca_a_factory_phone_comes_back_over_https(
    start: Callable[..., Awaitable[World]], tmp_path: Path, vendor: str, mac: str, model: str
) -> None:
    world = await start_filled(start)
    for file in (world.data / "certs").glob("*/*"):
        file.unlink()
    await world.restart()
    await world.services.sites.edit(ADMIN, "madrid", None, {"plain_secrets": "off"})

    report = await factory_boot(world, mac, model)

    assert not report.failure
    assert [stage.folder for stage in report.stages] == [world.url("http"), world.url("https")]


async def test_with_a_certificate_the_phone_trusts_already_the_first_stage_is_skipped(world: World) -> None:
    catalog = world.services.templates.catalog
    certificate, key = world.device("poly", VVX)

    report = await run_simulation(
        catalog, VVX, "vvx-411", world.url("mtls"),
        ca=None, cert=certificate, key=key, roots=world.ca, whole_firmware=False,
    )  # fmt: skip

    assert not report.failure
    assert len(report.stages) == 1


@pytest.mark.parametrize(("vendor", "mac", "model"), FAMILIES)
async def test_a_phone_recorded_after_its_first_knock_is_configured_at_its_next_poll(
    world: World, vendor: str, mac: str, model: str
) -> None:
    device = world.device(vendor, mac)
    known = await world.services.phones.get(ADMIN, mac)
    await world.services.phones.remove(ADMIN, mac)
    with pytest.raises(NotFound):
        await world.services.phones.get(ADMIN, mac)
    before = await factory_boot(world, mac, model, device)

    await world.services.phones.add(ADMIN, sample_phone(mac, model=model, base_settings=known.base_settings,
                                                        lines=known.lines, line_keys=()))  # fmt: skip
    after = await factory_boot(world, mac, model, device)

    assert before.failure and before.stages[0].comes_back_to
    assert not after.failure and after.registrations


@pytest.mark.parametrize(("vendor", "mac", "model"), FAMILIES)
async def test_two_boots_in_a_row_give_the_same_files_so_that_no_third_follows(
    world: World, vendor: str, mac: str, model: str
) -> None:
    device = world.device(vendor, mac)
    first = await factory_boot(world, mac, model, device)
    second = await factory_boot(world, mac, model, device)

    assert first.stages[-1].boot.parameters == second.stages[-1].boot.parameters
    assert first.stages[0].boot.parameters == first.stages[-1].boot.parameters
