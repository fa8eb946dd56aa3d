"""Looks over an installation, check by check: what is well, what is not, and what to do. It changes nothing."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any, cast

from ztp_server.domain.access import Actor
from ztp_server.domain.diagnosis import LEVELS, Checked, Diagnosis, Finding
from ztp_server.errors import StoreUnavailable, ZtpError
from ztp_server.services import (
    doctor_certificates,
    doctor_files,
    doctor_listeners,
    doctor_machine,
    doctor_phones,
    doctor_platforms,
    doctor_records,
)
from ztp_server.services.doctor_patient import Check, Installation, Patient
from ztp_server.services.serving import last_serving
from ztp_server.services.templates import Templates
from ztp_server.store import Store
from ztp_server.store.read_only import NeverOpened, look_into, store_as_it_is

PERMISSION = "server:maintain"

# Every check, in the order in which it is made and shown.
CHECKS: Sequence[Check] = (
    *doctor_listeners.CHECKS,
    *doctor_files.CHECKS,
    *doctor_certificates.CHECKS,
    *doctor_machine.CHECKS,
    *doctor_records.CHECKS,
    *doctor_phones.CHECKS,
    *doctor_platforms.CHECKS,
)


class Doctor:
    """Examines the installation that this process serves."""

    def __init__(self, store: Store, templates: Templates, installation: Installation) -> None:
        self._store = store
        self._templates = templates
        self._installation = installation
        self._examining = asyncio.Lock()

    async def examine(self, who: Actor) -> Diagnosis:
        """Make every check, for one who asks at a time: some take a thread for many seconds, and phones need one as
        well. Raises Forbidden; whatever else fails is a finding."""
        who.require(PERMISSION)
        async with self._examining:
            return await self._examine()

    async def _examine(self) -> Diagnosis:
        serving = await asyncio.to_thread(last_serving, self._installation.data)
        patient = Patient(self._installation, datetime.now(UTC), self._templates.snapshot, serving=serving)
        try:
            patient = replace(patient, database=self._store.database, store=self._store)
        except StoreUnavailable as error:
            patient = replace(patient, why_closed=str(error))
        return await diagnosis(patient)


async def diagnosis(patient: Patient, checks: Sequence[Check] = CHECKS) -> Diagnosis:
    """Make checks, one after the other: phones are served meanwhile."""
    return Diagnosis(patient.now, [await _checked(check, patient) for check in checks])


async def _checked(check: Check, patient: Patient) -> Checked:
    lacking = check.lacks(patient)
    if lacking:
        return Checked(check.name, check.about, skipped=lacking)
    try:
        if inspect.iscoroutinefunction(check.work):
            findings = await check.work(patient)
        else:
            findings = await asyncio.to_thread(cast("Any", check.work), patient)
    except (ZtpError, OSError) as error:
        findings = [Finding("failure", str(error), "mend that, then examine it again")]
    except Exception as error:
        # Not its message, which may quote anything.
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"this check failed itself: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        findings = [Finding("failure", what, "a mistake of ztp; report it with this line")]
    return Checked(check.name, check.about, findings)


@asynccontextmanager
async def open_patient(installation: Installation, database_url: str, shipped: Path) -> AsyncIterator[Patient]:
    """An installation as it can be opened from outside, be a server running or not, without changing anything."""
    data = installation.data
    patient = Patient(installation, datetime.now(UTC), serving=last_serving(data))
    try:
        snapshot = await asyncio.to_thread(_snapshot, installation, shipped)
        patient = replace(patient, snapshot=snapshot)
    except (ZtpError, OSError) as error:
        patient = replace(patient, why_no_templates=str(error))
    missing = installation.file is not None and not installation.file.exists()
    try:
        database = await look_into(database_url)
    except (ZtpError, OSError) as error:
        yield replace(patient, why_closed=str(error), database_is_missing=missing)
        return
    try:
        try:
            patient = replace(patient, database=database, store=await store_as_it_is(database, installation.secret_key))
        except ZtpError as error:
            never = isinstance(error, NeverOpened)
            patient = replace(patient, database=database, why_locked=str(error), never_opened=never)
        yield patient
    finally:
        await database.close()


def _snapshot(installation: Installation, shipped: Path) -> Any:
    """The templates as a server would load them now. What it remembers is copied first: it writes there."""
    with TemporaryDirectory(prefix="ztp-doctor-") as scratch:
        state = installation.data / "templates.state"
        if state.is_dir():
            copytree(state, Path(scratch, "state"))
        return Templates(shipped, installation.templates, Path(scratch, "state")).snapshot


def diagnosis_view(found: Diagnosis) -> dict[str, Any]:
    """As doors show it."""
    return {
        "at": found.at.isoformat(timespec="seconds"),
        "level": found.level,
        "counts": {level: found.count(level) for level in LEVELS},
        "checks": [
            {
                "name": check.name,
                "about": check.about,
                "level": check.level,
                "skipped": check.skipped,
                "findings": [{"level": f.level, "what": f.what, "advice": f.advice} for f in check.findings],
            }
            for check in found.checks
        ],
    }
