"""The audit: whoever changes a record, takes one away or makes one up is found out."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from tests.conftest import ADMIN
from ztp_server.domain.audit import AuditEntry, Verdict
from ztp_server.store import Store

SECRET = "p<a\"s&s'%41;#="


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path / 'ztp.db'}", tmp_path, lambda name: False)
    async with opened.write() as session:
        password = session.audit.digest(SECRET)
        for name in ("Reception", "Sales & Co", "Lobby 😀"):
            before, after = {"name": "", "same": 1}, {"name": name, "same": 1, "lines.1.password": password}
            await session.audit.add(ADMIN, "phone.changed", "0004f2aabbcc", before=before, after=after, reason="moved")
    yield opened
    await opened.close()


async def verdict(store: Store, noted: str = "") -> Verdict:
    async with store.read() as session:
        return await session.audit.verify(noted)


async def head(store: Store) -> str:
    async with store.read() as session:
        seq, digest = await session.audit.head()
    return f"{seq}:{digest}"


def on_disk(tmp_path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in tmp_path.glob("ztp.db*"))


def meddle(tmp_path: Path, statement: str) -> None:
    """As somebody would who has the file and no scruples."""
    database = sqlite3.connect(tmp_path / "ztp.db")
    database.execute("DROP TRIGGER IF EXISTS audit_no_update")
    database.execute("DROP TRIGGER IF EXISTS audit_no_delete")
    database.execute(statement)
    database.commit()
    database.close()


async def test_a_record_says_what_changed_and_nothing_of_what_did_not(store: Store) -> None:
    async with store.read() as session:
        newest = (await session.audit.page(below=None, limit=1))[0]
    assert newest.before == {"name": ""} and set(newest.after) == {"name", "lines.1.password"}
    assert (newest.actor, newest.subject, newest.reason) == ("test", "0004f2aabbcc", "moved")


async def test_a_secret_is_told_from_another_and_is_not_there(store: Store, tmp_path: Path) -> None:
    async with store.write() as session:
        assert session.audit.digest(SECRET) == session.audit.digest(SECRET) != session.audit.digest(SECRET + "x")
        assert session.audit.digest("") == ""
    assert SECRET.encode() not in on_disk(tmp_path)


async def test_an_audit_that_nobody_touched_holds(store: Store) -> None:
    assert await verdict(store) == Verdict(3, await head(store))
    assert (await verdict(store, await head(store))).broken == 0


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET actor = 'somebody else' WHERE seq = 2", 2),
        ("UPDATE audit SET after = '{}' WHERE seq = 1", 1),
        ("UPDATE audit SET at = '2020-01-01 00:00:00' WHERE seq = 3", 3),
        ("UPDATE audit SET reason = '' WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 3", 3),
        (
            "INSERT INTO audit SELECT 4, at, actor, address, action, subject, reason, before, after, hash "
            "FROM audit WHERE seq = 3",
            4,
        ),
        ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 1) WHERE seq = 2", 2),
    ],
)  # fmt: skip
async def test_the_first_record_that_was_meddled_with_is_named(
    store: Store, tmp_path: Path, statement: str, broken: int
) -> None:
    meddle(tmp_path, statement)
    assert (await verdict(store)).broken == broken


async def test_a_shorter_past_shows_to_who_noted_the_head(store: Store, tmp_path: Path) -> None:
    noted = await head(store)
    async with store.read() as session:
        second = (await session.audit.page(below=3, limit=1))[0]
    meddle(tmp_path, "DELETE FROM audit WHERE seq = 3")
    meddle(tmp_path, f"UPDATE meta SET value = '2:{second.hash}' WHERE name = 'audit head'")
    assert (await verdict(store)).broken == 0
    assert (await verdict(store, noted)).broken == 3


async def test_another_past_shows_to_who_noted_the_head(store: Store, tmp_path: Path) -> None:
    noted = await head(store)
    meddle(tmp_path, "DELETE FROM audit")
    meddle(tmp_path, "DELETE FROM meta WHERE name = 'audit head'")
    async with store.write() as session:
        await session.audit.add_all(ADMIN, [AuditEntry("phone.changed", f"{n}") for n in range(5)])
    assert (await verdict(store)).broken == 0
    assert (await verdict(store, noted)).broken == 3


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
async def test_the_database_itself_refuses_to_change_a_record(store: Store, statement: str) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        async with store.database.writing() as connection:
            await connection.exec_driver_sql(statement)


async def test_a_change_that_is_not_kept_leaves_no_record(store: Store) -> None:
    before = await head(store)
    with pytest.raises(ZeroDivisionError):
        async with store.write() as session:
            await session.audit.add(ADMIN, "phone.removed", "0004f2aabbcc")
            raise ZeroDivisionError
    assert await head(store) == before


async def test_many_records_of_one_change_are_one_chain(store: Store) -> None:
    async with store.write() as session:
        await session.audit.add_all(ADMIN, [AuditEntry("phone.added", f"{n:012x}") for n in range(2500)])
    assert await verdict(store) == Verdict(2503, await head(store))
