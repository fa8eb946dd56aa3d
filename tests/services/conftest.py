from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import fill
from tests.services.opened import new_data, open_data
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
