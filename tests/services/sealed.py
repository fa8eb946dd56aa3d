"""A data folder with a secret in every column that seals them, and ways to look at them and to damage them."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.conftest import ADMIN, VVX, fill, sample_phone
from ztp_server.domain.access import Actor
from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.phone import Line
from ztp_server.domain.proof import DigestCredential
from ztp_server.services.opening import Services
from ztp_server.services.phone_selection import Selection
from ztp_server.store.key_file import KeyFile
from ztp_server.store.sealed_values import SEALED

CALLER = Actor.trusted("token:ci")
UPLOAD = "{mac}-phone.cfg"
FILE_JOB = "f" * 32


async def seal_everything(services: Services) -> None:
    """The common world, and one secret more in each column of SEALED."""
    await fill(services)
    await services.sites.edit(ADMIN, "madrid", None, {"held_token": 'held-s3cret-"é😀'})
    line = Line("900", password='guest-s3cret-"é😀')
    await services.sites.edit(ADMIN, "madrid", None, {"logged_out.line": line})
    await services.users.add(ADMIN, "eva", "Eva", "1001", lines=[Line("1001", password="user-line-s3cret")])
    await services.phones.edit(ADMIN, VVX, {}, {"custom.secret.pin": "custom-s3cret", "rtp_port_start": 5000})
    gone = (await services.phones.add(ADMIN, sample_phone("0004f2666666"))).phone
    await services.phones.remove(ADMIN, gone.id)
    edit = await services.phone_bulk.edit(ADMIN, Selection((VVX,)), {"settings": {"admin_password": "bulk-s3cret"}})
    await services.job_runner.run(edit.id)
    await services.idempotency.begin(CALLER, "key", "request")
    await services.idempotency.finish(CALLER, "key", '{"token": "answer-s3cret"}')
    door = {"source": "asterisk_ami", "source_address": "tcp:127.0.0.1", "source_user": "ztp"}
    secrets = {"user": "ztp", "password": "platform-s3cret", "source_password": "source-s3cret"}
    await services.platforms.add(ADMIN, "pbx", "", {"domains": "sip.example.net", **door, **secrets})
    async with services.store.write() as session:
        phone = await session.phones.get(VVX)
        await session.uploads.put_parameters(phone.id, UPLOAD, {"divert.1.contact": "upload-s3cret"})
        await session.phone_proofs.put_digest(
            DigestCredential(phone.id, "vvx-digest", "digest-s3cret", "test", datetime.now(UTC))
        )
        waiting = Job(FILE_JOB, "test.none", "stopped", ADMIN, {"file": "order-s3cret"}, finished_at=datetime.now(UTC))
        await session.jobs.add(waiting, [JobItem(1, "", "", undo={"password": "undo-s3cret"})])
        await session.jobs.add_file_part(FILE_JOB, 1, b"file-s3cret \xff\x00")


async def everything_opened(services: Services) -> dict[str, Any]:
    """All that is sealed, as it reads."""
    async with services.store.read() as session:
        phone = await session.phones.get(VVX)
        return {
            "site": (await session.sites.get("madrid")).settings,
            "profile": (await session.sites.get("madrid")).logged_out,
            "base": [(await session.base_settings.get(name)).settings for name in ("vvx-standard", "400hd")],
            "phones": await session.phones.all(),
            "user": await session.users.get("eva"),
            "removed": (await session.removed_phones.get("0004f2666666"))[1],
            "upload": (await session.uploads.get_parameters(phone.id, UPLOAD)),
            "digest": (await session.phone_proofs.of_phone(phone.id)).digest,
            "orders": [job.order for job in await session.jobs.page()],
            "file": [part async for part in session.jobs.file_parts(FILE_JOB)],
            "platforms": await session.platforms.all(),
            "answer": await session.idempotency.get(CALLER.name, "key"),
        }


def sealed_texts(data: Path) -> dict[str, list[bytes]]:
    """Every text anywhere in the database that is sealed, by table and column: looked for, not looked up."""
    found: dict[str, list[bytes]] = {}
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            for column in columns:
                for (value,) in database.execute(f'SELECT "{column}" FROM "{table}"'):
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    if raw.startswith((b"v1:", b"v2:")) or b'"sealed"' in raw:
                        found.setdefault(f"{table}.{column}", []).append(raw)
    return found


def go_back(data: Path) -> None:
    """Make of a database what the program of before data keys would have left: one key, in the file."""
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        wrapped = dict(database.execute("SELECT id, wrapped FROM data_keys").fetchall())
        keys = KeyFile(data / "secret.key").unwrap(wrapped)
        assert keys is not None and set(keys) == {1}
        for sealed in SEALED:
            table, column = sealed.column.table.name, sealed.column.name
            new = f"replace(CAST(\"{column}\" AS TEXT), 'v2:1:', 'v1:')"
            new = f"CAST({new} AS BLOB)" if sealed.shape == "bytes" else new
            only = f"WHERE CAST(substr(\"{column}\", 1, 5) AS TEXT) = 'v2:1:'" if sealed.shape == "bytes" else ""
            database.execute(f'UPDATE "{table}" SET "{column}" = {new} {only}')
        database.execute("DELETE FROM data_keys")
        database.commit()
    (data / "secret.key").write_bytes(base64.b64encode(keys[1]) + b"\n")


def flip(data: Path, table: str, column: str, where: str) -> None:
    """Flip one bit of one sealed value, as a bad disk does."""
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        rows = database.execute(f'SELECT rowid, "{column}" FROM "{table}" WHERE {where}').fetchall()
        assert len(rows) == 1, f"{len(rows)} rows"
        rowid, value = rows[0]
        text = value.decode() if isinstance(value, bytes) else value
        place = text.index("v2:") + 25
        other = "A" if text[place] != "A" else "B"
        new = text[:place] + other + text[place + 1 :]
        damaged = new.encode() if isinstance(value, bytes) else new
        database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (damaged, rowid))
        database.commit()
