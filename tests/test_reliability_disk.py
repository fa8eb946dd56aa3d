"""Real failures of disk and database, by other processes, noise and limits: proven phones go on to get their last good
files, nobody is told of success that would not last, and a server starts as long as there is something to serve."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import ADMIN, OTHER_VVX, VVX, World, examples, fill, options, start_filled
from tests.served_child import Child, free_port, serving
from tests.services.opened import new_data, open_data
from ztp_server.app import App
from ztp_server.domain.account import RoleGrant
from ztp_server.errors import DataUnavailable, Misconfigured
from ztp_server.services import database_opening
from ztp_server.store import database
from ztp_server.store.last_good import LAST_GOOD

Start = Callable[..., Awaitable[World]]
OWN, OTHER, LOG = f"{VVX}-settings.cfg", f"{OTHER_VVX}-settings.cfg", f"{VVX}-app.log"
UNKNOWN = "0004f2777777-settings.cfg"
SITE = "/api/v1/sites/madrid"


async def fed(start: Start, **changes: Any) -> World:
    """A server whose phones have been given their files, which are kept on the disk."""
    world = await start_filled(start, **changes)
    for name in (OWN, OTHER):
        assert (await world.ask(name)).status == 200
    await world.app.last_good.flush()
    return world


async def admin(world: World, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, bool]:
    """What the admin listener answers: its status, and whether it says when to come again."""
    url = f"http://{world.app.admin_address}{path}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session, session.request(method, url, json=body, headers=headers) as answer:
        return answer.status, "Retry-After" in answer.headers


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 (of another task, which tells nobody)
            await asyncio.sleep(0.02)


def noise(file: Path, start: int = 0, end: int | None = None) -> None:
    """Overwrite a part of a file in place."""
    with file.open("r+b") as out:
        out.seek(start)
        out.write(os.urandom((end or file.stat().st_size) - start))


@contextmanager
def held(file: Path, *statements: str) -> Iterator[None]:
    """Somebody else has the database."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as other:
        for statement in statements:
            other.execute(statement)
        yield


async def test_a_database_that_others_write_to_holds_up_no_phone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 100)
    world = await fed(start)
    token, _ = await world.services.tokens.create(ADMIN, "ci", [RoleGrant("admin")])
    with held(world.data / "ztp.db", "BEGIN IMMEDIATE"):
        assert [(await world.ask(name)).status for name in (OWN, OTHER)] == [200, 200]
        world.app.fleet._known.clear()
        assert (await world.ask(OWN)).status == 200
        refused = await world.ask(LOG, method="PUT", body=b"a log")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
        assert await admin(world, "PATCH", SITE, {"name": "Other"}, token) == (503, True)
        await world.app.check_ins.flush()
    assert (await world.ask(LOG, method="PUT", body=b"a log")).status == 201, "the one before was not kept"
    await world.app.check_ins.flush()
    async with world.services.store.read() as session:
        told = {row.file: row.status for row in await session.check_ins.of_phone(VVX)}
        assert (await session.sites.get("madrid")).name == "Madrid"
    assert told["{mac}-settings.cfg".replace("{mac}", VVX)] == 200, "what was asked meanwhile is written down"


async def test_a_server_starts_while_its_database_is_locked_and_is_whole_when_it_is_not(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await fed(start)
    good = await world.ask(OWN)
    token, _ = await world.services.tokens.create(ADMIN, "ci", [RoleGrant("admin")])
    await world.app.stop()
    monkeypatch.setattr(database_opening, "PATIENCE", 0.2)
    monkeypatch.setattr(database_opening, "AGAIN_SECONDS", 0.05)
    with held(world.data / "ztp.db", "PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"):
        world.app = await App.start(options(world.data))
        assert not world.services.store.is_open
        kept = await world.ask(OWN)
        assert (kept.status, kept.body) == (200, good.body)
        assert (await world.ask(UNKNOWN)).status == 503
        assert (await world.ask(LOG, method="PUT", body=b"a log")).status == 503
        assert (await admin(world, "GET", "/healthz"))[0] == 503
        assert await admin(world, "GET", SITE, token=token) == (503, True)
    await eventually(lambda: world.services.store.is_open)
    assert (await admin(world, "GET", "/healthz"))[0] == 200
    assert (await world.ask(UNKNOWN)).status == 404 and (await world.ask(OTHER)).status == 200
    await world.app.check_ins.flush()
    async with world.services.store.read() as session:
        assert "database.closed" in {event.action for event in await session.events.latest(100)}


@pytest.mark.parametrize("how", ["noise", "header", "pages", "gone", "empty"])
async def test_a_database_that_is_damaged_takes_nothing_from_phones(
    start: Start, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs, and when it is started again."""
    world = await fed(start)
    token, _ = await world.services.tokens.create(ADMIN, "ci", [RoleGrant("admin")])
    file = world.data / "ztp.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage: dict[str, Callable[[], object]] = {
        "noise": lambda: noise(file),
        "header": lambda: noise(file, 0, 100),
        "pages": lambda: noise(file, 4096),
        "gone": file.unlink,
        "empty": lambda: os.truncate(file, 0),
    }
    damage[how]()
    before = file.read_bytes() if file.exists() else None
    for forgets in (False, True):
        if forgets:
            world.app.fleet._known.clear()
        assert [(await world.ask(name)).status for name in (OWN, OTHER)] == [200, 200]
    # What a connection still has in memory may be read; nothing is written that would be gone.
    assert (await world.ask(LOG, method="PUT", body=b"a log")).status == 503
    assert await admin(world, "PATCH", SITE, {"name": "Other"}, token) == (503, True)

    await world.app.stop()
    for name in ("ztp.db-wal", "ztp.db-shm"):
        (world.data / name).unlink(missing_ok=True)
    assert (file.read_bytes() if file.exists() else None) == before, "what may be rescued is let alone"
    world.app = await App.start(options(world.data))
    assert [(await world.ask(name)).status for name in (OWN, OTHER, UNKNOWN)] == [200, 200, 503]
    assert (await admin(world, "GET", "/healthz"))[0] == 503
    with pytest.raises(Misconfigured, match=r"ztp\.db"):
        await open_data(world.data)
    await world.app.stop()

    world.app = await App.start(options(new_data(world.data.parent / "elsewhere")))
    if how == "noise":
        await starts_with_its_key_and_something_to_serve_alone(world.data, world.data.parent / "elsewhere")


async def starts_with_its_key_and_something_to_serve_alone(data: Path, another: Path) -> None:
    """A server of a damaged database."""
    (data / "secret.key").unlink()
    with pytest.raises(Misconfigured, match=r"secret\.key"):
        await App.start(options(data))
    shutil.copy(another / "secret.key", data)
    for kept in (None, b"", b"no database either"):
        with pytest.raises(DataUnavailable, match=r"ztp\.db: not a database"):
            await App.start(options(data))
        (data / LAST_GOOD).unlink(missing_ok=True)
        if kept is not None:
            (data / LAST_GOOD).write_bytes(kept)


async def test_a_file_beside_the_database_that_is_damaged_is_made_anew(start: Start) -> None:
    world = await fed(start)
    await world.app.stop()
    noise(world.data / LAST_GOOD)
    world.app = await App.start(options(world.data))
    assert (await world.ask(OWN)).status == 200
    await world.app.last_good.flush()
    with closing(sqlite3.connect(world.data / LAST_GOOD)) as kept:
        assert kept.execute("SELECT mac FROM phones").fetchall() == [(VVX,)]


async def prepared(folder: Path) -> Path:
    """A data folder that was served once, with phones that were given their files."""
    data = new_data(folder)
    app = await App.start(options(data))
    await fill(app.services)
    await app.stop()
    return data


def fed_child(child: Child) -> dict[str, bytes]:
    """Give the phones their files, and wait until they are on the disk."""
    given = {name: child.ask(name) for name in (OWN, OTHER)}
    assert {status for status, _ in given.values()} == {200}
    return {name: body for name, (_, body) in given.items()}


def wait_until_kept(data: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            with closing(sqlite3.connect(f"{(data / LAST_GOOD).as_uri()}?mode=ro", uri=True)) as kept:
                if kept.execute("SELECT count(*) FROM files").fetchone()[0] >= 2:
                    return
        except sqlite3.Error:
            pass
        time.sleep(0.05)
    raise AssertionError("nothing was kept")


def full() -> None:
    """No file of this process may grow from now on, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def without_rights() -> None:
    """Let root be bound by the modes of files as anybody else is (capabilities(7), prctl(2))."""
    if os.getuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
                raise OSError(ctypes.get_errno(), "prctl")


async def test_a_full_disk_takes_nothing_from_phones(tmp_path: Path) -> None:
    data = await prepared(tmp_path / "data")
    port = free_port()
    with serving(data, port) as child:
        given = fed_child(child)
        wait_until_kept(data)
        resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        assert {name: child.ask(name) for name in given} == {name: (200, body) for name, body in given.items()}
        assert child.ask(LOG, "PUT", b"a log")[0] == 503
        resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert child.ask(LOG, "PUT", b"a log")[0] == 201
    with serving(data, port, full) as child:
        assert {name: child.ask(name) for name in given} == {name: (200, body) for name, body in given.items()}
        assert child.ask(LOG, "PUT", b"a log")[0] == 503


async def test_a_disk_that_can_only_be_read_takes_nothing_from_phones() -> None:
    """The server is somebody who may read the folder and not write it."""
    scratch = Path(tempfile.mkdtemp(prefix="ztp-read-only-"))
    port = free_port()
    try:
        data = await prepared(scratch / "data")
        with serving(data, port) as child:
            given = fed_child(child)
            wait_until_kept(data)
            child.process.send_signal(signal.SIGTERM)
            child.process.wait(30)
        for path in (*data.rglob("*"), data, scratch):
            path.chmod(0o500 if path.is_dir() else 0o400)
        with serving(data, port, without_rights) as child:
            assert {name: child.ask(name) for name in given} == {name: (200, body) for name, body in given.items()}
            assert child.ask(LOG, "PUT", b"a log")[0] == 503
    finally:
        removed(scratch)


def removed(folder: Path) -> None:
    """Take away a folder that cannot be written."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700)
    shutil.rmtree(folder)


async def test_a_server_that_is_killed_while_it_writes_loses_nothing_it_said_it_had(tmp_path: Path) -> None:
    data, port = await prepared(tmp_path / "data"), free_port()
    kept: list[bytes] = []
    for number in range(examples(2, 20)):
        with serving(data, port) as child:
            given = fed_child(child)
            stopper = threading.Timer(0.3 + 0.05 * number, child.process.send_signal, (signal.SIGKILL,))
            stopper.start()
            with pytest.raises(OSError):  # it is killed in the middle of one of them
                for attempt in range(100_000):
                    body = b"log %d of %d " % (attempt, number) * 50
                    assert child.ask(LOG, "PUT", body)[0] in (201, 204)
                    kept.append(body)
            stopper.join()
        with closing(sqlite3.connect(data / "ztp.db")) as database_file:
            assert database_file.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        with serving(data, port) as child:
            assert {name: child.ask(name)[1] for name in given} == given
            status, found = child.ask(LOG)
            # The one that was cut off may have come to be written as well.
            assert status == 200 and found in (kept[-1], *later(kept[-1], number))


def later(body: bytes, number: int) -> list[bytes]:
    """What was sent after a log that was kept."""
    attempt = int(body.split()[1])
    return [b"log %d of %d " % (attempt + 1, number) * 50]
