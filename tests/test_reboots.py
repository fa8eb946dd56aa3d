"""A phone reboots when a parameter in its flash changes: out of its box until it stays, and never for ever after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, VVX, World, start_filled
from ztp_server.config import shipped_folder
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.vendor import Family, Model, Vendor
from ztp_server.simulator.flash import Flash, split_flash
from ztp_server.simulator.phone import SimulatedPhone
from ztp_server.simulator.reading import read_parameters
from ztp_server.simulator.simulation import SimulationReport, simulate
from ztp_server.simulator.trust import Trust
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

CATALOG = load_catalog(read_folder(shipped_folder("templates")))
FAMILIES = [f"{vendor.id}/{family}" for vendor in CATALOG.vendors.values() for family in vendor.family]
# Where the maker keeps its VLAN in flash: a setting that must cost one reboot.
VLAN_IN_FLASH = [
    name
    for name, family in zip(FAMILIES, (f for v in CATALOG.vendors.values() for f in v.family.values()), strict=True)
    if family.reading.flash and family.reading.flash.regex.fullmatch(family.support("vlan_id").parameter)
]
# Files of the maker's releases that an administrator adds, since old software needs its own.
RELEASES = {"poly/soundpoint3": [f"{name}_{release}.cfg" for name in ("phone1", "sip") for release in (213, 318, 327)]}


@dataclass
class Fleet:
    """One recorded phone of every model of a family: at a site that gives no secrets over plain HTTP, but for those
    that stay there."""

    world: World
    vendor: Vendor
    family: Family
    models: list[Model]

    def phone(self, number: int = 0) -> SimulatedPhone:
        oui = self.vendor.ouis[0] if self.vendor.ouis else "020000"  # a softphone is given one
        return SimulatedPhone(self.vendor, self.models[number], f"{oui}{number:06x}")

    def steady(self, number: int = 0) -> str:
        """Where a phone stays."""
        seen = self.world.services.templates.catalog.identify(self.phone(number).user_agent)
        address = self.world.services.address
        return address.steady_url(self.vendor, self.family, self.models[number], seen.firmware)

    @property
    def is_installed(self) -> bool:
        """Whether it comes with its address and our CA: it can be given neither over plain HTTP."""
        return not self.family.bootstrap and self.family.steady != "http"

    async def out_of_the_box(self, number: int = 0) -> SimulationReport:
        if self.is_installed:
            return await self.again(Flash({}), number)
        return await simulate(self.phone(number), self.world.url("http"), Trust(), Flash({}))

    async def again(self, flash: Flash, number: int = 0) -> SimulationReport:
        """What a configured phone does when it is switched off and on."""
        return await simulate(self.phone(number), self.steady(number), Trust(ca=self.world.ca.read_text()), flash)

    async def change(self, changes: Mapping[str, str]) -> None:
        await self.world.services.base_settings.edit(ADMIN, "base", None, changes)


MakeFleet = Callable[[str], Awaitable[Fleet]]


@pytest.fixture
async def make_fleet(start: Callable[..., Awaitable[World]], tmp_path: Path) -> MakeFleet:
    async def make(name: str) -> Fleet:
        vendor_id, family_id = name.split("/")
        static = tmp_path / "data" / "templates" / vendor_id / "files"
        static.mkdir(parents=True)
        for file in RELEASES.get(name, ()):
            (static / file).write_text("<release/>")
        world = await start()
        vendor = world.services.templates.catalog.vendors[vendor_id]
        models = [model for model in vendor.model if model.family == family_id]
        fleet = Fleet(world, vendor, vendor.family[family_id], models)
        await _record(fleet)
        return fleet

    return make


async def _record(fleet: Fleet) -> None:
    services = fleet.world.services
    site = {"networks": "127.0.0.0/8", "sip_server": "sip.example.net", "time_zone": "Etc/GMT-1"}
    for plain_secrets in ("on", "off"):
        await services.sites.add(ADMIN, f"plain-{plain_secrets}", "", site | {"plain_secrets": plain_secrets})
    await services.base_settings.add(ADMIN, "base", "", fleet.models[0].id, {})
    for number, model in enumerate(fleet.models):
        at = "plain-on" if fleet.steady(number) == fleet.world.url("http") else "plain-off"
        lines = (Line(str(1000 + number), password="secret"),)
        await services.phones.add(
            ADMIN, Phone(f"Phone {number}", fleet.phone(number).mac, model.id, at, "base", lines=lines)
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
async def test_every_model_out_of_its_box_ends_at_its_steady_address_and_stays_there(
    make_fleet: MakeFleet, name: str
) -> None:
    """The bootstrap file, unless it stays at plain HTTP; its own files; and if those went to flash, nothing new."""
    fleet = await make_fleet(name)
    http = fleet.world.url("http")
    for number, model in enumerate(fleet.models):
        report = await fleet.out_of_the_box(number)
        assert report.failure == "", model.id
        steady, knocks = fleet.steady(number), [] if fleet.is_installed or fleet.steady(number) == http else [http]
        boots = [steady, steady] if report.flash.held else [steady]
        assert [stage.folder for stage in report.stages] == [*knocks, *boots], model.id
        assert [bool(stage.boot.registrations) for stage in report.stages] == [False] * len(knocks) + [True] * len(
            boots
        )


@pytest.mark.parametrize(("name", "boots"), [("poly/vvx", 3), ("audiocodes/hd400", 2)])
async def test_how_many_boots_a_phone_out_of_its_box_takes(make_fleet: MakeFleet, name: str, boots: int) -> None:
    fleet = await make_fleet(name)
    assert len((await fleet.out_of_the_box()).stages) == boots


@pytest.mark.parametrize("name", VLAN_IN_FLASH)
async def test_a_configured_phone_reboots_once_for_a_change_in_flash_and_not_for_another(
    make_fleet: MakeFleet, name: str
) -> None:
    fleet = await make_fleet(name)
    flash = (await fleet.out_of_the_box()).flash
    assert len((await fleet.again(flash)).stages) == 1

    await fleet.change({"rtp_port_start": "6000"})
    assert len((await fleet.again(flash)).stages) == 1

    await fleet.change({"vlan_id": "30"})
    report = await fleet.again(flash)
    assert [[change.name for change in stage.changes] for stage in report.stages] == [
        [fleet.family.support("vlan_id").parameter],
        [],
    ]
    assert len((await fleet.again(flash)).stages) == 1


async def test_the_order_in_which_phones_boot_changes_nothing_in_their_flash(make_fleet: MakeFleet) -> None:
    fleet = await make_fleet("poly/vvx")
    last = len(fleet.models) - 1
    forth = [(await fleet.out_of_the_box(number)).flash.held for number in (0, last)]
    listeners = fleet.world.app.listeners
    await fleet.world.restart(**{f"phone_{kind}": listener.address for kind, listener in listeners.items()})
    back = [(await fleet.out_of_the_box(number)).flash.held for number in (last, 0)]
    both = await asyncio.gather(*(fleet.out_of_the_box(number) for number in (0, last)))
    assert forth == back[::-1] == [report.flash.held for report in both]


async def flash_of(world: World, listener: str) -> dict[str, str]:
    """What the settings of the common VVX write to flash, asked for at a listener."""
    device = world.device("poly", VVX) if listener == "mtls" else None
    answer = await world.ask(f"{VVX}-settings.cfg", listener=listener, device=device)
    rule = CATALOG.family_of(CATALOG.models["vvx-411"]).reading.flash
    kept, _others = split_flash(rule, read_parameters("settings", "xml", answer.body))
    assert len(kept) > 10
    return kept


async def test_what_goes_to_flash_is_the_same_at_every_listener(world: World) -> None:
    at = {listener: await flash_of(world, listener) for listener in ("http", "https", "mtls")}
    assert at["http"] == at["https"] == at["mtls"]


@pytest.mark.parametrize(
    "edit",
    [
        {"lines": [Line("1001", password="another", label="Another label")], "line_keys": []},
        {"line_keys": []},
        {"settings": {"rtp_port_start": "6000"}},
    ],
)
async def test_an_edit_of_what_is_not_in_flash_leaves_flash_as_it_was(world: World, edit: dict[str, Any]) -> None:
    path = f"{VVX}-settings.cfg"
    before, whole = await flash_of(world, "https"), (await world.ask(path)).body
    await world.services.phones.edit(ADMIN, VVX, {}, **({"settings": {}} | edit))
    assert await flash_of(world, "https") == before
    assert (await world.ask(path)).body != whole


async def test_a_restart_of_the_server_and_other_settings_leave_flash_as_it_was(
    start: Callable[..., Awaitable[World]],
) -> None:
    world = await start_filled(start)
    before = await flash_of(world, "https")
    changes = {"rtp_port_start": "6000", "codecs": "audio/PCMA", "digit_map": "x.T", "poll_period": "3600"}
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, changes)
    await world.restart(**{f"phone_{kind}": listener.address for kind, listener in world.app.listeners.items()})
    assert await flash_of(world, "https") == before


BAD = {
    "vendor.toml": """
name = "Loop"
ouis = ["02feed"]
user_agents = ['^Loop (?P<model>L1)$']

[[file]]
pattern = "{mac}.loop"
template = "{family}/settings.j2"
bootstrap = "bootstrap.j2"
format = "line"
content_type = "text/plain"
""",
    "l1/family.toml": """
name = "Loop L1"
factory_certificate = false
line_key_types = []
clock = "offset"
custom_name = ".+"
user_agent_example = "Loop {model}"
boot = [{ path = "{mac}.loop", reads = true }]

[reading]
format = "line"
address = "flash.url"
user = "line.{n}.user"
server = "sip.server"
transport = "sip.transport"

[reading.flash]
names = 'flash\\..+'

[notify]
resync = "check-sync"

[settings]
sip_server = { parameter = "sip.server" }

[[model]]
id = "loop-1"
name = "Loop L1"
user_agent = "L1"
lines = 1
line_keys = 0
codecs = ["audio/PCMU"]
""",
    "bootstrap.j2": "flash.url={{ server.url }}\n",
}
SETTINGS = "sip.server={{ settings.sip_server }}\n{% for line in lines %}\nline.1.user={{ line.user }}\n{% endfor %}\n"


async def simulate_bad(start: Callable[..., Awaitable[World]], data: Path, address: str) -> SimulationReport:
    """A phone out of its box, of a family whose template writes `address`."""
    folder = data / "templates" / "loop"
    (folder / "l1").mkdir(parents=True)
    for file, text in (BAD | {"l1/settings.j2": f"flash.url={address}\n{SETTINGS}"}).items():
        (folder / file).write_text(text)
    world = await start(data)
    services = world.services
    site = {"networks": "127.0.0.0/8", "plain_secrets": "off", "sip_server": "sip.example.net"}
    await services.sites.add(ADMIN, "madrid", "Madrid", site)
    await services.base_settings.add(ADMIN, "base", "", "loop-1", {})
    await services.phones.add(ADMIN, Phone("Loop", "02feed000001", "loop-1", "madrid", "base", lines=(Line("1001"),)))
    vendor = services.templates.catalog.vendors["loop"]
    phone = SimulatedPhone(vendor, vendor.model[0], "02feed000001")
    # The CA as if from its factory: this family is given none.
    return await simulate(phone, world.url("http"), Trust(roots=world.ca.read_text()), Flash({}))


async def test_a_template_that_sends_phones_back_where_they_came_from_is_a_loop(
    start: Callable[..., Awaitable[World]], tmp_path: Path
) -> None:
    report = await simulate_bad(start, tmp_path / "data", "{{ server.http_url }}")
    assert report.failure.startswith("the phone would reboot for ever: sent on each time, http://")
    assert len(report.places) == 3


@pytest.mark.parametrize(
    ("address", "boots"),
    [("{{ server.url }}", 2), ("{{ server.url }}{{ phone.mac }}.loop", 3), ("{{ server.url | upper }}", 3)],
)
async def test_an_address_spelled_in_two_ways_costs_one_reboot_more(
    start: Callable[..., Awaitable[World]], tmp_path: Path, address: str, boots: int
) -> None:
    report = await simulate_bad(start, tmp_path / "data", address)
    assert (report.failure, len(report.stages)) == ("", boots)


async def test_a_steady_address_that_is_no_place_for_this_phone_is_a_loop(make_fleet: MakeFleet) -> None:
    """An administrator sends phones to plain HTTP, at a site that gives them no secrets there."""
    fleet = await make_fleet("poly/vvx")
    await fleet.change({"provisioning_url": fleet.world.url("http")})
    report = await fleet.out_of_the_box()
    assert "reboot for ever: sent on each time" in report.failure
