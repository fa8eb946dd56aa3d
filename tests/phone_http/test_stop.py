"""A server that is stopped just after its start leaves its database to the next one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.conftest import World, examples

Start = Callable[..., Awaitable[World]]


def take_the_lock(data: Path) -> None:
    """As the next server would; at once or not at all."""
    database = sqlite3.connect(data / "ztp.db", timeout=0, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    database.execute("ROLLBACK")
    database.close()


async def test_no_moment_of_stopping_leaves_the_database_locked(start: Start) -> None:
    world = await start()
    for turns in range(examples(40, 200)):
        await world.restart()
        await asyncio.sleep(turns / 2000)  # any moment of what a server does when it starts
        await world.app.stop()
        take_the_lock(world.data)
