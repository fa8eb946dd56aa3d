"""Do secrets open, is the audit whole, is there a backup, and who may come in?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ztp_server.domain.diagnosis import Finding, Level, ok
from ztp_server.services.backups import LAST_BACKUP
from ztp_server.services.doctor_patient import Check, Patient
from ztp_server.services.keys import ROTATION
from ztp_server.store.meta import DEMO
from ztp_server.store.read_only import vault_to_look

# Of each kind of sealed value.
_SAMPLE = 100
# Records of the audit that are followed here: half a minute.
_LONG_AUDIT = 500_000
_NAMED = 5
_OLD_BACKUP, _VERY_OLD_BACKUP = timedelta(days=2), timedelta(days=14)
_FORGOTTEN = timedelta(days=180)
_LONG_OVER = timedelta(days=30)
_KEYS, _BACKUP, _ACCOUNTS = "docs/how-to/keys.md", "docs/how-to/backup.md", "docs/how-to/accounts-and-tokens.md"


async def data_keys(patient: Patient) -> Sequence[Finding]:
    """The key of secrets opens the keys in the database."""
    file = patient.installation.secret_key
    if patient.never_opened:
        return ok(patient.why_locked)
    if patient.store is None:
        return [Finding("failure", patient.why_locked, f"put back the secret.key of this database: {_KEYS}")]
    left = file.with_name(f".{file.name}.new")
    if left.exists():
        return [Finding("warning", f"{left}: a rotation of {file.name} was cut off", "ztp key rotate --wrapping")]
    async with patient.records() as records:
        going_on = await records.meta(ROTATION)
    if going_on:
        return [Finding("warning", f"a rotation to data key {going_on} was cut off", "end it: ztp key rotate")]
    return ok(f"{file} opens the data keys; {patient.store.keys.newest[0]} seals new values")


async def sealed_values(patient: Patient) -> Sequence[Finding]:
    """Passwords and the like can be read: some of each kind are tried."""
    assert patient.store
    async with patient.records() as records:
        sample = await records.sealed_sample(vault_to_look(patient.store), _SAMPLE)
    advice = f"set it anew; ztp key rotate names all that do not open: {_KEYS}"
    found = [Finding("failure", why, advice) for why in sample.damaged[:_NAMED]]
    if len(sample.damaged) > _NAMED:
        found.append(Finding("failure", f"{len(sample.damaged) - _NAMED} more do not open", advice))
    return found or ok(f"all of {sample.opened} that were tried open")


async def audit(patient: Patient) -> Sequence[Finding]:
    """Nothing of what administrators did was changed or taken out."""
    assert patient.store
    async with patient.store.read() as session:
        newest, _ = await session.audit.head()
        if newest > _LONG_AUDIT:
            return [Finding("advice", f"{newest} records take too long to be followed here", "ztp audit verify")]
        found = await session.audit.verify()
    if found.broken:
        what = f"record {found.broken} of the audit {found.reason}"
        return [Finding("failure", what, "somebody wrote into the database past this program: ztp audit verify")]
    return ok(f"{found.records} records, none changed or missing")


async def backup(patient: Patient) -> Sequence[Finding]:
    """There is a backup of late, and the key that it needs."""
    if patient.installation.file is None:
        return [
            Finding("advice", "backups of PostgreSQL are not seen from here", f"{_BACKUP}: pg_dump, and the key beside")
        ]
    make = f"ztp backup FILE every night: {_BACKUP}"
    async with patient.records() as records:
        text, made = await records.meta(LAST_BACKUP), await records.last_of("backup.made")
        phones = await records.phones()
    if text is None:
        return [Finding("warning" if phones else "advice", "there was never a backup", make)]
    age = patient.now - datetime.fromisoformat(text)
    found = []
    if age > _OLD_BACKUP:
        level: Level = "failure" if age > _VERY_OLD_BACKUP else "warning"
        found.append(Finding(level, f"the last backup is {age.days} days old", make))
    if made and not made.get("with_key", True):
        what = "the last backup was made without the key, and opens nothing without it"
        found.append(Finding("advice", what, f"see that a copy of {patient.installation.secret_key} is kept elsewhere"))
    return found or ok(f"the last one was made at {text}")


async def accounts(patient: Patient) -> Sequence[Finding]:
    """Somebody may do everything over the network, or nobody at all."""
    async with patient.records() as records:
        there, admins = await records.accounts()
        first = [row for row in await records.tokens("first") if row.expires_at and row.expires_at > patient.now]
    add = f"ztp account add NAME --role admin: {_ACCOUNTS}"
    if there and not admins:
        return [Finding("warning", f"none of {there} accounts is enabled and has the role admin", add)]
    if there:
        return ok(f"{there} accounts, {admins} of them may do everything")
    if first:
        until = f"{first[0].expires_at:%Y-%m-%d %H:%M} UTC"
        what = f"there is no account yet; who has the token of the first start can make one until {until}"
        return [Finding("advice", what, add)]
    return [Finding("advice", "there is no account: the command line is the only way in", add)]


async def tokens(patient: Patient) -> Sequence[Finding]:
    """Tokens of programs end some day, and are used."""
    async with patient.records() as records:
        found = await records.tokens("api")
    now = patient.now
    groups = (
        ("never end", [row.name for row in found if row.expires_at is None]),
        ("are over for long", [row.name for row in found if row.expires_at and row.expires_at < now - _LONG_OVER]),
        (
            f"were not used for {_FORGOTTEN.days} days",
            [row.name for row in found if (row.last_used_at or row.created_at) < now - _FORGOTTEN],
        ),
    )
    advice = f"ztp token revoke NAME, or a new one with --expires: {_ACCOUNTS}"
    some = [Finding("advice", f"tokens that {what}: {_names(names)}", advice) for what, names in groups if names]
    return some or ok(f"{len(found)} tokens of programs")


async def demo(patient: Patient) -> Sequence[Finding]:
    """Demonstration data is for trying out."""
    async with patient.records() as records:
        is_filled = await records.meta(DEMO)
    serving = patient.serving
    if serving and serving.demo:
        advice = "start without --demo, with a data folder of its own, before real phones come"
        return [Finding("advice", "the server was started with --demo", advice)]
    if is_filled and serving:
        what = "the data of the demonstration is served as if it were real; its CAs do not count, its passwords do"
        return [Finding("warning", what, "begin with a new data folder, or remove the site demo with its phones")]
    return ok("none is served")


async def jobs(patient: Patient) -> Sequence[Finding]:
    """Work on many phones goes on and ends well."""
    now = patient.now
    async with patient.records() as records:
        stuck = await records.stuck_jobs(now - timedelta(minutes=10))
        failed = await records.failed_jobs(now - timedelta(days=1))
    found = [
        Finding(
            "warning",
            f"job {row.id} ({row.kind}) is {row.state}, and nobody works on it",
            f"ztp job resume {row.id}, or start the server",
        )
        for row in stuck[:_NAMED]
    ]
    found += [
        Finding("advice", f"job {row.id} ({row.kind}) failed: {row.reason}", f"ztp job show {row.id}")
        for row in failed[:_NAMED]
    ]
    more = len(stuck[_NAMED:]) + len(failed[_NAMED:])
    return [*found, *([Finding("advice", f"{more} more jobs", "ztp job list")] if more else [])] or ok("none is stuck")


async def firmware(patient: Patient) -> Sequence[Finding]:
    """Every image lies on the disk as long as it was. A server hashes them once a day."""
    async with patient.records() as records:
        images = await records.images()
    return await asyncio.to_thread(_on_disk, patient.installation.data / "firmware", images)


def _on_disk(folder: Path, images: Sequence[Any]) -> Sequence[Finding]:
    found = []
    for image in images:
        file = folder / image.sha256
        problem = "is missing" if not file.is_file() else "is damaged" if file.stat().st_size != image.size else ""
        if problem:
            again = f"ztp firmware remove {image.model} {image.version}, then add the image again"
            what = f"firmware {image.version} of {image.model}: {file} {problem}"
            found.append(Finding("failure", what, f"{again}: docs/how-to/firmware.md"))
    known = {image.sha256 for image in images}
    there = [file for file in folder.iterdir() if not file.name.startswith(".")] if folder.is_dir() else []
    strange = sorted(str(file) for file in there if file.name not in known)
    if strange:
        found.append(
            Finding("advice", f"no firmware is known of: {_names(strange)}", "rm them, if nobody is adding one")
        )
    return found or ok(f"{len(known)} images are there")


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


CHECKS = (
    Check("data-keys", "keys in the database", data_keys, "database"),
    Check("sealed-values", "sealed values", sealed_values, "key"),
    Check("audit", "audit", audit, "key"),
    Check("backup", "backup", backup, "database"),
    Check("accounts", "accounts", accounts, "database"),
    Check("tokens", "tokens of programs", tokens, "database"),
    Check("demo", "demonstration data", demo, "database"),
    Check("jobs", "jobs", jobs, "database"),
    Check("firmware", "firmware images", firmware, "database"),
)
