"""What is examined, and what a check is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from ztp_server.domain.diagnosis import Finding
from ztp_server.pki.makers import MakerFolders
from ztp_server.services.serving import Serving
from ztp_server.services.templates import Snapshot
from ztp_server.store import Store
from ztp_server.store.database import Database
from ztp_server.store.examination import ExaminationStore

_SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
# adjtimex(2) with no mode set changes nothing; it returns 5, TIME_ERROR, when nothing keeps the clock. In a process of
# its own: where a filter of system calls kills who asks, it kills that one.
_ASK_KERNEL = "import ctypes; print(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024)))"


@dataclass(frozen=True)
class Installation:
    """Where everything lies. `database` is what an administrator calls it; `file` is SQLite's."""

    data: Path
    templates: Path
    makers: MakerFolders
    secret_key: Path
    database: str
    file: Path | None


@dataclass(frozen=True)
class DiskSpace:
    """What is free and what there is, in bytes, and how many more files can be made (None: as many as fit)."""

    free: int
    size: int
    files: int | None


class Machine:
    """What is asked of the operating system."""

    def space(self, folder: Path) -> DiskSpace:
        """Raises OSError."""
        found = os.statvfs(folder)
        files = found.f_favail if found.f_files else None  # file systems that make them as needed count none
        return DiskSpace(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, files)

    def is_synchronized(self) -> bool | None:
        """Whether something keeps the clock right; None where that cannot be told."""
        if _SYNCHRONIZED.exists():
            return True
        try:
            command = [sys.executable, "-I", "-c", _ASK_KERNEL]
            done = subprocess.run(command, capture_output=True, text=True, timeout=10)
            state = int(done.stdout) if done.returncode == 0 else -1
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        return None if state < 0 else state != 5


@dataclass(frozen=True)
class Patient:
    """An installation, as far as it can be opened: `database` may be closed to us, and the `store` locked while the key
    does not open it; then the two texts say why. `serving` is what a server last wrote down, None before the first."""

    installation: Installation
    now: datetime
    snapshot: Snapshot | None = None
    database: Database | None = None
    store: Store | None = None
    why_closed: str = ""
    database_is_missing: bool = False
    why_locked: str = ""
    never_opened: bool = False
    why_no_templates: str = ""
    serving: Serving | None = None
    machine: Machine = field(default_factory=Machine)

    @asynccontextmanager
    async def records(self) -> AsyncIterator[ExaminationStore]:
        """What the database says of itself. For checks that need it. Raises StoreUnavailable."""
        assert self.database
        async with self.database.reading() as connection:
            yield ExaminationStore(connection)


Work = Callable[[Patient], Sequence[Finding]] | Callable[[Patient], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True)
class Check:
    """A row of the doctor's table. `work` is a function, which is run in a thread, or a coroutine; `needs` is what must
    be there for it."""

    name: str
    about: str
    work: Work
    needs: Literal["", "database", "key", "templates", "serving"] = ""

    def lacks(self, patient: Patient) -> str:
        """Why it cannot be made; empty when it can."""
        if self.needs in ("database", "key") and patient.database is None:
            return patient.why_closed
        if self.needs == "key" and patient.store is None:
            return patient.why_locked
        if self.needs == "templates" and patient.snapshot is None:
            return patient.why_no_templates
        if self.needs == "serving" and patient.serving is None:
            return "no server was started with this data yet"
        return ""
