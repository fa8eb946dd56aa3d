from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import fill
from tests.services.opened import new_data, open_data
from tests.services.well_kept import Place, keep_well
from ztp_server.services.opening import Services


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return new_data(tmp_path / "data")


@pytest.fixture
async def services(data: Path) -> AsyncIterator[Services]:
    """Empty services."""
    opened = await open_data(data)
    yield opened
    await opened.close()


@pytest.fixture
async def office(services: Services) -> Services:
    """Services with the common site, base settings for both families, and three phones."""
    await fill(services)
    return services


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return asyncio.run(keep_well(tmp_path_factory.mktemp("kept")))


@pytest.fixture
def place(kept: Place, tmp_path: Path) -> Place:
    """A copy of an installation that is kept well."""
    shutil.copytree(kept.folder, tmp_path / "kept")
    return Place(tmp_path / "kept")
