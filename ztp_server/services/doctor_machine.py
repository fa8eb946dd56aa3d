"""Is the clock right, is there room, and does the database hold?"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ztp_server import __file__ as _program
from ztp_server.domain.diagnosis import Finding, ok
from ztp_server.services.doctor_patient import Check, Patient

# What another machine's clock may differ by without harm.
_DRIFT = timedelta(minutes=5)
_CHECK_SECONDS = 20.0
_MB = 1 << 20
# Free: less is a failure at the next backup or boot storm; less than the second is spoken of, and so is less than the
# database takes, since a backup begins with a copy of it in the data folder.
_NO_ROOM, _LITTLE_ROOM = 64 * _MB, 512 * _MB
_FEW_FILES = 1000
# SQLite says the same of a full disk, on which it cannot make what it reads with, as of one that fails.
_ROOM_FIRST = (
    "where the disk is full, make room and look again; else look after the disk (journalctl -k) and restore a backup: "
    "docs/how-to/troubleshoot.md"
)
# The log is written back every 4 MB unless a reader never ends.
_LARGE_LOG = 64 * _MB


async def clock(patient: Patient) -> Sequence[Finding]:
    """The time is not before what has happened already."""
    advice = "set the clock (timedatectl set-ntp true, or chrony); certificates, windows and tokens depend on it"
    now, made = patient.now, _made_at()
    if made - now > _DRIFT:
        return [Finding("failure", f"it is {_text(now)} here, and this program was put here at {_text(made)}", advice)]
    if patient.database is None:
        return ok(f"{_text(now)}, which is later than this program was put here")
    async with patient.records() as records:
        newest = await records.newest()
    found = [
        Finding("failure", f"it is {_text(now)} here, and the newest of the {name} is of {_text(at)}", advice)
        for name, at in newest.items()
        if at - now > _DRIFT
    ]
    return found or ok(f"{_text(now)}, which is later than all records")


def time_sync(patient: Patient) -> Sequence[Finding]:
    """Something keeps the clock right."""
    state = patient.machine.is_synchronized()
    if state:
        return ok("the clock is kept by a time service")
    if state is None:
        what = "whether a time service keeps the clock cannot be told from here"
        return [Finding("advice", what, "ask the machine itself: timedatectl, or chronyc tracking")]
    what = "the kernel says that nothing keeps the clock"
    return [Finding("warning", what, "timedatectl set-ntp true, or install chrony (with rtcsync in chrony.conf)")]


def disk(patient: Patient) -> Sequence[Finding]:
    """There is room for what is written."""
    installation = patient.installation
    found, said = list[Finding](), list[str]()
    size = _size(installation.file)
    folders = [installation.data, *([installation.file.parent] if installation.file else [])]
    for folder in dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()):
        space = patient.machine.space(folder)
        free = f"{space.free // _MB} MB of {space.size // _MB} MB"
        said.append(f"{folder}: {free} are free")
        advice = "make room, or move the data to a larger disk"
        if space.free < _NO_ROOM:
            found.append(Finding("failure", f"{folder}: only {free} are free; soon nothing can be kept", advice))
        elif space.free < max(_LITTLE_ROOM, 2 * size):
            found.append(
                Finding("warning", f"{folder}: {free} are free, and the database has {size // _MB} MB", advice)
            )
        if space.files is not None and space.files < _FEW_FILES:
            what = f"{folder}: no more than {space.files} files can be made (df -i)"
            found.append(Finding("failure", what, "remove small files, or move the data to another disk"))
    return found or ok("; ".join(said) or "there is nothing yet")


def database(patient: Patient) -> Sequence[Finding]:
    """It opens, and has the tables of this program."""
    installation = patient.installation
    if patient.database:
        size = f", {_size(installation.file) // 1024} KB" if installation.file else ""
        return ok(f"{installation.database}{size}")
    if patient.serving is None and patient.database_is_missing:
        return [Finding("advice", f"{patient.why_closed}", "a server or the first command makes it: ztp serve")]
    advice = "put it back out of a backup (docs/how-to/backup.md), or start the server of the version it is of"
    if "disk I/O error" in patient.why_closed or "disk is full" in patient.why_closed:
        advice = _ROOM_FIRST
    return [Finding("failure", patient.why_closed, advice)]


def log_size(patient: Patient) -> Sequence[Finding]:
    """What is written comes into the database file itself soon."""
    if patient.installation.file is None:
        return ok("PostgreSQL writes its own")
    log = _log(patient.installation.file)
    size = _size(log)
    if size <= _LARGE_LOG:
        return ok(f"{log.name}: {size // 1024} KB")
    what = f"{log} has {size // _MB} MB: something reads the database and does not end"
    return [Finding("warning", what, f"end what else has it open (fuser {log}), then restart the server")]


def integrity(patient: Patient) -> Sequence[Finding]:
    """Every page of the database file can be read and fits the others."""
    file = patient.installation.file
    if file is None:
        return ok("PostgreSQL looks after its own pages")
    if not file.is_file():
        return ok("there is none")
    log = _log(file)
    was_open = log.exists()
    deadline = time.monotonic() + _CHECK_SECONDS
    address = f"{file.absolute().as_uri()}?mode=ro{'' if was_open else '&immutable=1'}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_CHECK_SECONDS)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            problems = [row[0] for row in connection.execute("PRAGMA quick_check(20)") if row[0] != "ok"]
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            return [Finding("failure", f"{file} cannot be looked through: {error}", _ROOM_FIRST)]
        what = f"{file} was not looked through to its end within {_CHECK_SECONDS:.0f} s"
        return [Finding("advice", what, f"at a quiet hour: sqlite3 'file:{file}?mode=ro' 'PRAGMA quick_check'")]
    except sqlite3.DatabaseError as error:
        problems = [str(error)]
    if problems and not was_open and log.exists():
        return [Finding("advice", "a server was started meanwhile", "examine it again")]
    advice = "stop the server, keep a copy of the file, and restore a backup: docs/how-to/backup.md"
    text = " ".join(problems[0].split())[:200] if problems else ""
    return [Finding("failure", f"{file} is damaged: {text}", advice)] if problems else ok("every page is sound")


def _made_at() -> datetime:
    """When the program was put on this disk."""
    return datetime.fromtimestamp(Path(_program).stat().st_mtime, UTC)


def _size(file: Path | None) -> int:
    return file.stat().st_size if file and file.is_file() else 0


def _log(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


CHECKS = (
    Check("clock", "clock", clock),
    Check("time-sync", "time service", time_sync),
    Check("disk", "room on the disk", disk),
    Check("database", "database", database),
    Check("database-log", "write-ahead log", log_size),
    Check("integrity", "database file", integrity),
)
