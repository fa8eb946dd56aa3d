"""Services over a data folder of their own, without listeners: what most tests below the doors need."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from ztp_server.config import DataOptions, shipped_folder
from ztp_server.domain.template_context import Server
from ztp_server.services.opening import Services, open_services
from ztp_server.services.templates import Templates
from ztp_server.store.migrations import runner

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SERVER = Server(
    {kind: f"http{'s' * (kind != 'http')}://ztp.example.net/" for kind in ("http", "https", "mtls")}, CA, ""
)


@cache
def _checked_templates() -> Path:
    """The state folder after a first start, so that not every test renders every model once more."""
    scratch = Path(tempfile.mkdtemp(prefix="ztp-checked-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    (scratch / "own").mkdir()
    Templates(shipped_folder("templates"), scratch / "own", scratch / "state")
    return scratch / "state"


@cache
def _empty_database() -> Path:
    """A database with its tables and nothing in them: making them takes longer than most tests."""
    scratch = Path(tempfile.mkdtemp(prefix="ztp-empty-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    engine = sa.create_engine(f"sqlite:///{scratch / 'ztp.db'}")
    with engine.begin() as connection:
        runner.upgrade(connection)
    engine.dispose()
    return scratch / "ztp.db"


def new_data(folder: Path) -> Path:
    """A data folder that nobody has used yet, but that has its tables and knows the shipped templates to be good."""
    folder.mkdir(mode=0o700, parents=True)
    shutil.copytree(_checked_templates(), folder / "templates.state")
    shutil.copy(_empty_database(), folder / "ztp.db")
    return folder


def there_or_new(folder: Path) -> Path:
    """The data folder that is there, or a new one."""
    return folder if folder.exists() else new_data(folder)


async def open_data(data: Path, database: str = "") -> Services:
    """The services of a data folder, at an address as if it had been served before."""
    options = DataOptions(data, database)
    services = await open_services(
        data, options.database_url, shipped_folder("templates"), options.own_templates, options.makers
    )
    services.address.server = SERVER
    return services
