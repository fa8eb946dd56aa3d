"""Boot files: the requests of real phones at a first boot, in their order, over real HTTP.

A file under tests/boot tells in its comments where the sequence is from, in `model:` (and `mac:`, `firmware:` in the
store) which phone it is, and in its lines `METHOD name status`; `user-agent:` says who asks from there on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, VVX, World
from ztp_server.domain.phone import Line, Phone

FOLDER = Path(__file__).parent / "boot"
BOOT_FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.boot"))


@dataclass(frozen=True)
class Step:
    method: str
    path: str
    status: int
    user_agent: str


@dataclass(frozen=True)
class Boot:
    """A boot file: which phone, and what it asks in what order."""

    model: str
    mac: str
    firmware: str
    steps: tuple[Step, ...]

    @classmethod
    def read(cls, name: str) -> Boot:
        lines = [line for line in (FOLDER / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]
        heads = dict(line.split(": ", 1) for line in lines if line.startswith(("model: ", "mac: ", "firmware: ")))
        mac = heads.get("mac", VVX)
        return cls(heads["model"], mac, heads.get("firmware", ""), tuple(_steps(lines, mac)))


def _steps(lines: Iterable[str], mac: str) -> Iterator[Step]:
    user_agent = ""
    for line in lines:
        if line.startswith("user-agent: "):
            user_agent = line.removeprefix("user-agent: ")
        elif ": " not in line:
            method, name, status = line.split(" ")
            yield Step(method, name.replace("{mac}", mac).replace("{MAC}", mac.upper()), int(status), user_agent)


@pytest.mark.parametrize("name", BOOT_FILES)
async def test_a_phone_boots_as_real_ones_do(name: str, world: World, tmp_path: Path) -> None:
    boot = Boot.read(name)
    await _add(world, boot)
    if boot.firmware:
        image = tmp_path / "image"
        image.write_bytes(b"firmware")
        await world.services.firmware.add(ADMIN, image, [boot.model], boot.firmware, True)

    answered = [(step, await _take(world, step)) for step in boot.steps]

    assert [(step.method, step.path, status) for step, status in answered] == [
        (step.method, step.path, step.status) for step in boot.steps
    ]


@pytest.mark.parametrize("name", BOOT_FILES)
async def test_a_boot_is_written_down_with_the_firmware_of_the_phone_itself(name: str, world: World) -> None:
    boot = Boot.read(name)
    await _add(world, boot)
    for step in boot.steps:
        await _take(world, step)
    await world.app.check_ins.flush()

    noted = {row.file: row for row in await world.services.phones.check_ins(ADMIN, boot.mac)}
    own = [step for step in boot.steps if step.status == 200 and boot.mac in step.path.lower()]
    assert own and {step.path.lower() for step in own} <= set(noted)
    running = re.search(r"[0-9]+(?:\.[0-9]+){3}", boot.steps[-1].user_agent)
    if running:
        assert {noted[step.path.lower()].firmware for step in own} == {running[0]}


async def _add(world: World, boot: Boot) -> None:
    """A phone of that model, in the place of the common one with that MAC."""
    catalog = world.services.templates.catalog
    family = catalog.family_of(catalog.models[boot.model])
    zone = {"time_zone": "Etc/GMT-1"} if "time_zone" in family.rendered else {}  # one that every family can express
    await world.services.base_settings.add(ADMIN, "of-the-boot", "", boot.model, zone)
    if boot.mac in {phone.hardware_id for phone in await world.services.phones.all(ADMIN)}:
        await world.services.phones.remove(ADMIN, boot.mac)
    model = catalog.models[boot.model]
    line = Line("1001", password=HOSTILE_PASSWORD, display_name=HOSTILE_NAME)
    phone = Phone(HOSTILE_NAME, boot.mac, model.id, "madrid", "of-the-boot", lines=(line,))
    await world.services.phones.add(ADMIN, phone)


async def _take(world: World, step: Step) -> int:
    body = b"a line of the boot log\n" if step.method == "PUT" else None
    return (await world.ask(step.path, method=step.method, user_agent=step.user_agent, body=body)).status
