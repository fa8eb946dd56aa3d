"""Boot files: the requests of real phones at a first boot, in their order, over real HTTP.

A file under tests/boot tells in its comments where the sequence is from, and in its lines `METHOD name status`;
`user-agent:` says who asks from there on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ADMIN, HD400, VVX, World

FOLDER = Path(__file__).parent / "boot"
BOOT_FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.boot"))


@dataclass(frozen=True)
class Setting:
    """What the comments of a boot file say of the phone, and of the firmware in the store."""

    mac: str
    model: str
    default_firmware: str = ""


SETTINGS = {
    "audiocodes/405hd.boot": Setting(HD400, "audiocodes-405hd"),
    "poly/vvx-400-ucs-5.5.2.boot": Setting(VVX, "vvx-400"),
    "poly/vvx-500-ucs-5.9.7.boot": Setting(VVX, "vvx-500", "5.9.7"),
}


@dataclass(frozen=True)
class Step:
    method: str
    path: str
    status: int
    user_agent: str


def steps(path: Path, mac: str) -> Iterator[Step]:
    user_agent = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("user-agent: "):
            user_agent = line.removeprefix("user-agent: ")
        elif line and not line.startswith("#"):
            method, name, status = line.split(" ")
            yield Step(method, name.replace("{mac}", mac).replace("{MAC}", mac.upper()), int(status), user_agent)


@pytest.mark.parametrize("name", BOOT_FILES)
async def test_a_phone_boots_as_real_ones_do(name: str, world: World, tmp_path: Path) -> None:
    setting = SETTINGS[name]
    await world.services.phones.edit(ADMIN, setting.mac, {"model": setting.model}, {})
    if setting.default_firmware:
        image = tmp_path / "image"
        image.write_bytes(b"firmware")
        await world.services.firmware.add(ADMIN, image, [setting.model], setting.default_firmware, True)

    sequence = list(steps(FOLDER / name, setting.mac))
    answered = [(step, await _take(world, step)) for step in sequence]

    assert [(step.method, step.path, status) for step, status in answered] == [
        (step.method, step.path, step.status) for step in sequence
    ]


@pytest.mark.parametrize("name", BOOT_FILES)
async def test_a_boot_is_written_down_with_the_firmware_of_the_phone_itself(name: str, world: World) -> None:
    setting = SETTINGS[name]
    await world.services.phones.edit(ADMIN, setting.mac, {"model": setting.model}, {})
    sequence = list(steps(FOLDER / name, setting.mac))
    for step in sequence:
        await _take(world, step)
    await world.app.check_ins.flush()

    noted = {row.file: row for row in await world.services.phones.check_ins(setting.mac)}
    own = [step for step in sequence if step.status == 200 and setting.mac in step.path.lower()]
    assert {step.path.lower() for step in own} <= set(noted)
    running = re.search(r"[0-9]+(?:\.[0-9]+){3}", sequence[-1].user_agent)
    assert running and {noted[step.path.lower()].firmware for step in own} == {running[0]}


def test_every_boot_file_is_run() -> None:
    assert set(SETTINGS) == set(BOOT_FILES)


async def _take(world: World, step: Step) -> int:
    body = b"a line of the boot log\n" if step.method == "PUT" else None
    return (await world.ask(step.path, method=step.method, user_agent=step.user_agent, body=body)).status
