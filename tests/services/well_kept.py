"""An installation that is kept well, to be spoiled in one thing after the other, and the doctor's word on it."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.conftest import ADMIN, VVX, fill
from tests.services.opened import new_data
from ztp_server.config import DataOptions, shipped_folder
from ztp_server.domain.account import EVERYTHING
from ztp_server.domain.diagnosis import Diagnosis, Finding
from ztp_server.pki.authority import ensure_server_files, make_device_authority
from ztp_server.services.ca_pins import report_changed_cas
from ztp_server.services.doctor import CHECKS, diagnosis, open_patient
from ztp_server.services.doctor_patient import DiskSpace, Machine
from ztp_server.services.opening import installation_of, open_services
from ztp_server.services.serving import keep_serving, note_stopped

NOW = datetime.now(UTC)
NAME = "ztp.example.net"
FACTS = {
    "listeners": {"http": "127.0.0.1:1", "https": "127.0.0.1:1", "mtls": "127.0.0.1:1", "admin": "127.0.0.1:1"},
    "urls": dict.fromkeys(("https", "mtls"), f"https://{NAME}:1/"),
}


@dataclass
class Well(Machine):
    """A machine on which all is well, unless told otherwise."""

    free: int = 1 << 40
    files: int | None = None
    synchronized: bool | None = True

    def space(self, folder: Path) -> DiskSpace:
        return DiskSpace(self.free, 1 << 41, self.files)

    def is_synchronized(self) -> bool | None:
        return self.synchronized


@dataclass(frozen=True)
class Place:
    """Where an installation lies: the data folder, and beside it the key and the makers' CAs."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def certs(self) -> Path:
        return self.folder / "certs"

    @property
    def key(self) -> Path:
        return self.folder / "secret.key"

    @property
    def options(self) -> DataOptions:
        return DataOptions(self.data, certs=self.certs, secret_key=self.key)

    async def open(self) -> Any:
        """Its services."""
        own = self.options
        return await open_services(
            self.data, own.database_url, shipped_folder("templates"), own.own_templates, own.makers, self.key
        )

    async def examine(self, machine: Machine | None = None, at: datetime | None = None, **serving: Any) -> Diagnosis:
        """What the doctor says, on a machine, at a time, and as if the server had been told something else."""
        own = self.options
        installation = installation_of(self.data, own.database_url, own.own_templates, own.makers, self.key)
        async with open_patient(installation, own.database_url, shipped_folder("templates")) as found:
            told = replace(found.serving, **{"files": 65_536, **serving}) if found.serving else None
            patient = replace(found, machine=machine or Well(), now=at or datetime.now(UTC), serving=told)
            return await diagnosis(patient, CHECKS)

    def sql(self, statement: str, *values: Any) -> None:
        """Write past the program."""
        with closing(sqlite3.connect(self.data / "ztp.db")) as database:
            database.execute(statement, values)
            database.commit()


async def keep_well(folder: Path) -> Place:
    """An installation with the common phones, an administrator, a CA, certificates and a backup, whose server was
    stopped. Its proofs are others than an address."""
    place = Place(folder)
    new_data(place.data)
    make_device_authority(place.certs / "poly", "test-poly")
    (place.certs / "poly" / "test-poly.key").rename(folder / "poly-ca.key")
    ensure_server_files(place.data / "tls", [NAME, "localhost"])
    services = await place.open()
    try:
        await fill(services)
        await services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate,token", "plain_secrets": "off"})
        await services.accounts.add(ADMIN, "ana", "Ana", "a long passphrase of hers", [EVERYTHING])
        await report_changed_cas(services.store, place.options.makers.counted(False), lambda *event: None)
        async with services.store.write() as session:
            phone = await session.phones.get(VVX)
            log = zlib.compress(b"what a phone said in its log")
            await session.uploads.put(phone.id, "boot.log", log, 28)  # packed, and not sealed
            await session.meta.set("last backup", NOW.isoformat(timespec="seconds"))
            await session.audit.add(ADMIN, "backup.made", "b", after={"with_key": True})
    finally:
        await services.close()
    keep_serving(place.data, FACTS)
    note_stopped(place.data)
    return place


def said(found: Diagnosis) -> set[tuple[str, Finding]]:
    """All that is not well, with the check that found it."""
    return {(check.name, one) for check in found.checks for one in check.findings if one.level != "ok"}


def of(found: Diagnosis, name: str) -> Sequence[Finding]:
    """What one check found."""
    return next(check.findings for check in found.checks if check.name == name)


def stored(at: datetime) -> str:
    """A time as SQLite has it."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)
