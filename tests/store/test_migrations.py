"""A database of an earlier version, with phones in it, brought up to date."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from ztp_server.errors import Misconfigured
from ztp_server.store import Store
from ztp_server.store.migrations import runner
from ztp_server.store.schema import HEAD

PHONE = {
    "id": "a" * 32, "hardware_id": "0004f2aabbcc", "name": "ÄRZTE & Söhne 😀", "category": "managed",
    "model": "vvx-411", "site_id": "madrid", "base_settings_id": "vvx", "line_keys": "[]",
    "settings": json.dumps({"rtp_dscp": 40, "custom.a.b": "1"}), "revision": 3,
}  # fmt: skip


def old_database(folder: Path) -> Path:
    """The file of a server of schema 0002, with a phone that has a line and an upload."""
    file = folder / "ztp.db"
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        command.upgrade(runner._config(connection), "0002")
        insert = [
            ("sites", {"id": "madrid", "name": "Madrid", "networks": "[]", "proofs": "[]", "plain_secrets": 1,
                       "settings": "{}", "revision": 1}),
            ("base_settings", {"id": "vvx", "name": "VVX", "model": "vvx-411", "revision": 1}),
            ("base_settings_revisions", {"base_settings_id": "vvx", "revision": 1, "settings": "{}", "author": "x",
                                         "at": "2026-01-01 00:00:00"}),
            ("phones", PHONE),
            ("lines", {"phone_id": PHONE["id"], "position": 1, "user": "1001", "auth_user": "", "password": "",
                       "display_name": "Ana", "label": "", "shared": 0}),
            ("uploads", {"phone_id": PHONE["id"], "name": "{mac}-app.log", "body": b"x", "size": 1,
                         "at": "2026-01-01 00:00:00"}),
        ]  # fmt: skip
        for table, row in insert:
            columns = [sa.column(name) for name in row]
            connection.execute(sa.insert(sa.table(table, *columns)).values(row))
    engine.dispose()
    return file


def rows(file: Path, query: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(file)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


async def brought_up_to_date(tmp_path: Path) -> Path:
    file = old_database(tmp_path)
    store = await Store.open(f"sqlite:///{file}", tmp_path, lambda name: False)
    await store.close()
    return file


async def test_a_phone_keeps_its_lines_and_uploads_when_its_table_is_made_anew(tmp_path: Path) -> None:
    file = await brought_up_to_date(tmp_path)
    assert rows(file, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert rows(file, "SELECT phone_id, user, display_name FROM lines") == [(PHONE["id"], "1001", "Ana")]
    assert rows(file, "SELECT phone_id, name FROM uploads") == [(PHONE["id"], "{mac}-app.log")]
    assert rows(file, "SELECT hardware_id, revision FROM phones") == [("0004f2aabbcc", 3)]


async def test_a_phone_of_before_is_found_by_name_and_by_what_it_overrides(tmp_path: Path) -> None:
    file = await brought_up_to_date(tmp_path)
    assert rows(file, "SELECT name_key FROM phones") == [("ärzte & söhne 😀",)]
    assert rows(file, "SELECT name FROM phone_overrides ORDER BY name") == [("custom.a.b",), ("rtp_dscp",)]


async def test_a_removed_phone_takes_its_lines_with_it_after_the_migration_as_before(tmp_path: Path) -> None:
    file = await brought_up_to_date(tmp_path)
    database = sqlite3.connect(file)
    database.execute("PRAGMA foreign_keys=ON")
    database.execute("DELETE FROM phones")
    database.commit()
    database.close()
    assert rows(file, "SELECT * FROM lines") == rows(file, "SELECT * FROM phone_overrides") == []


async def test_a_database_whose_rows_point_to_nothing_is_left_as_it_is(tmp_path: Path) -> None:
    file = old_database(tmp_path)
    database = sqlite3.connect(file)
    database.execute("UPDATE lines SET phone_id = 'gone'")
    database.commit()
    database.close()
    with pytest.raises(Misconfigured, match="1 rows point to nothing, first in table lines"):
        await Store.open(f"sqlite:///{file}", tmp_path, lambda name: False)
    assert rows(file, "SELECT version_num FROM alembic_version") == [("0002",)]
