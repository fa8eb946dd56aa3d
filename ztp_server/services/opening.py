"""The services of one data folder, ready for any door."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ztp_server.errors import Misconfigured
from ztp_server.services.address import ServerAddress, last_address
from ztp_server.services.annotations import Annotations
from ztp_server.services.base_settings import BaseSettingsService
from ztp_server.services.firmware import FirmwareService
from ztp_server.services.firmware_files import FirmwareFiles
from ztp_server.services.overrides import Overrides
from ztp_server.services.phone_import import PhoneImport
from ztp_server.services.phones import Phones
from ztp_server.services.sites import Sites
from ztp_server.services.templates import Templates
from ztp_server.store import Store


@dataclass(frozen=True)
class Services:
    """Every service over one store."""

    store: Store
    templates: Templates
    address: ServerAddress
    sites: Sites
    base_settings: BaseSettingsService
    phones: Phones
    annotations: Annotations
    phone_import: PhoneImport
    overrides: Overrides
    firmware: FirmwareService
    firmware_files: FirmwareFiles

    async def close(self) -> None:
        await self.store.close()


async def open_services(data: Path, database_url: str, shipped: Path, own_templates: Path) -> Services:
    """Open a data folder, making what is missing. Raises Misconfigured naming the folder, file or database."""
    make_folder(data)
    see_folder(own_templates)
    templates = Templates(shipped, own_templates, data / "templates.state")
    # The table may be another after a reload of the templates, so it is asked each time.
    store = await Store.open(database_url, data, lambda name: templates.catalog.settings.is_secret(name))
    files = FirmwareFiles(data / "firmware")
    address = await last_address(store)
    return Services(
        store=store,
        templates=templates,
        address=address,
        sites=Sites(store, templates),
        base_settings=BaseSettingsService(store, templates),
        phones=Phones(store, templates, address),
        annotations=Annotations(store, templates, address),
        phone_import=PhoneImport(store, templates),
        overrides=Overrides(store, templates),
        firmware=FirmwareService(store, templates, files),
        firmware_files=files,
    )


def see_folder(folder: Path) -> None:
    """Make a folder that is only read, unless it is there. Raises Misconfigured naming it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        next(folder.iterdir(), None)
    except OSError as error:
        raise Misconfigured(f"folder {folder}: {error.strerror}") from None


def make_folder(folder: Path) -> None:
    """Make a folder for our eyes only, and see that it can be written. Raises Misconfigured naming it."""
    probe = folder / ".ztp-write-probe"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Misconfigured(f"data folder {folder}: {error.strerror}") from None
