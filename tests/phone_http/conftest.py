"""What the tests of the phones' door share."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, World, fill, options
from ztp_server.app import App
from ztp_server.pki.authority import make_device_authority
from ztp_server.services.firmware_files import FirmwareFiles

ROOT = Path(__file__).parents[2]
IMAGE = bytes(range(256)) * 40
VERSION = "5.9.7.4477"

AddFirmware = Callable[..., Awaitable[str]]
Ztp = Callable[..., Awaitable[str]]


Start = Callable[..., Awaitable[World]]


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The common data on disk, made once: keys take longer to make than most tests take."""
    data = tmp_path_factory.mktemp("seed") / "data"
    asyncio.run(_sow(data))
    return data


async def _sow(data: Path) -> None:
    for vendor in ("poly", "audiocodes"):
        make_device_authority(data / "certs" / vendor, f"test-{vendor}")
    app = await App.start(options(data))
    await fill(app.services)
    world = World(app, data, restart=app.stop)
    for vendor, mac in (("poly", VVX), ("poly", OTHER_VVX), ("audiocodes", HD400)):
        world.device(vendor, mac)
    await app.stop()


@pytest.fixture
def copy(seed: Path, tmp_path: Path) -> Path:
    """A data folder of its own with the common data, not yet served."""
    return shutil.copytree(seed, tmp_path / "data")


@pytest.fixture
async def world(start: Start, copy: Path) -> World:
    """As the common world: a running server with the common data."""
    return await start(copy)


@pytest.fixture
async def add_firmware(world: World, tmp_path: Path) -> AddFirmware:
    """Adds an image for a model; returns its SHA-256."""

    async def add(
        model: str = "vvx-411", version: str = VERSION, *, default: bool = False, content: bytes = IMAGE
    ) -> str:
        source = tmp_path / "image.ld"
        source.write_bytes(content)
        [image] = await world.services.firmware.add(ADMIN, source, [model], version, default)
        return image.sha256

    return add


def stored(world: World, sha256: str) -> Path:
    """Where the bytes of an image lie on disk."""
    files: FirmwareFiles = world.services.firmware_files
    return files.path(sha256)


def environment(data: Path) -> dict[str, str]:
    """The environment of a `ztp` of its own over the same data."""
    return {**os.environ, "ZTP_DATA": str(data), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def ztp(world: World) -> Ztp:
    """Runs `ztp` in another process over the world's data; returns what it printed."""

    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ztp_server", *arguments),
            env=environment(world.data),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    return run


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = 10) -> None:
    """Wait until something has happened. The time is a limit for a broken program, not a claim about a sound one."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 (files and databases set no events)
            await asyncio.sleep(0.05)
