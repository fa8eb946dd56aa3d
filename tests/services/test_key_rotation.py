"""Keys of secrets: everything is sealed anew while servers run, and a rotation that is cut off loses nothing."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, VVX, examples
from tests.services.opened import new_data, open_data
from tests.services.sealed import everything_opened, flip, go_back, seal_everything, sealed_texts
from ztp_server.domain.proof import PhoneToken
from ztp_server.errors import Conflict, Misconfigured
from ztp_server.services.opening import Services
from ztp_server.store.key_file import KeyFile
from ztp_server.store.sealed_values import SEALED, SealedValueStore

ROOT = Path(__file__).parents[2]


class CutOff(Exception):
    """The process ended here."""


def keys_in(data: Path) -> set[str]:
    """The keys under which anything in the database is sealed: `v1`, `v2:1`, …"""
    found = b"".join(text for texts in sealed_texts(data).values() for text in texts)
    return {name.decode() for name in re.findall(rb"v1(?=:)|v2:[0-9]+(?=:)", found)}


def key_files(data: Path) -> list[str]:
    return [path.name for path in data.iterdir() if "secret" in path.name]


@pytest.fixture
async def full(services: Services) -> Services:
    await seal_everything(services)
    return services


async def test_every_column_with_a_sealed_value_is_one_that_is_sealed_anew(full: Services, data: Path) -> None:
    assert set(sealed_texts(data)) == {sealed.name for sealed in SEALED}
    assert keys_in(data) == {"v2:1"}


async def test_a_new_key_seals_everything_and_changes_nothing(full: Services, data: Path) -> None:
    before, (first,) = await everything_opened(full), await full.keys.show(ADMIN)
    assert first.values == sum(text.count(b"v2:1:") for texts in sealed_texts(data).values() for text in texts)

    done = await full.keys.rotate(ADMIN)
    assert (done.key, done.resumed, list(done.damaged)) == (2, False, [])
    assert keys_in(data) == {"v2:2"} and set(sealed_texts(data)) == {sealed.name for sealed in SEALED}
    assert await everything_opened(full) == before
    assert [(k.id, k.values, k.newest) for k in await full.keys.show(ADMIN)] == [(1, 0, False), (2, first.values, True)]
    assert (await full.keys.rotate(ADMIN)).key == 3

    async with full.store.read() as session:
        assert not (await session.audit.verify()).broken
        records = await session.audit.page(below=None, limit=2)
    assert [(r.action, r.subject) for r in records] == [("key.rotated", "data key 3"), ("key.made", "data key 3")]


async def test_other_processes_learn_of_a_key_when_they_meet_it(full: Services, data: Path) -> None:
    other = await open_data(data)
    try:
        before = await everything_opened(other)
        await full.keys.rotate(ADMIN)
        assert await everything_opened(other) == before
        await full.keys.rotate(ADMIN)
        # One who writes without having read anything first.
        await other.phones.edit(ADMIN, VVX, {}, {"custom.secret.a": "new"})
        assert keys_in(data) == {"v2:3"}
    finally:
        await other.close()


async def test_a_rotation_that_was_cut_off_goes_on_with_its_key(
    full: Services, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, steps = await everything_opened(full), 0
    reseal = SealedValueStore.reseal

    async def some(self: SealedValueStore, sealed: Any, after: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > 6:
            raise CutOff
        return await reseal(self, replace(sealed, batch=1), after)

    monkeypatch.setattr(SealedValueStore, "reseal", some)
    with pytest.raises(CutOff):
        await full.keys.rotate(ADMIN)
    assert keys_in(data) == {"v2:1", "v2:2"} and await everything_opened(full) == before
    monkeypatch.undo()
    again = await full.keys.rotate(ADMIN)
    assert (again.key, again.resumed) == (2, True)
    assert keys_in(data) == {"v2:2"} and await everything_opened(full) == before


async def test_what_does_not_open_is_named_and_stays_and_the_rest_goes_over(full: Services, data: Path) -> None:
    flip(data, "lines", "password", "user = '1005'")
    done = await full.keys.rotate(ADMIN)
    assert len(done.damaged) == 1 and re.match("lines/[0-9a-f]{32}/1: does not open", done.damaged[0])
    assert (await full.keys.show(ADMIN))[0].values == 1
    # It is none of the next rotation's business to go on with this one.
    assert (await full.keys.rotate(ADMIN)).key == 3


async def test_a_database_of_before_data_keys_is_taken_over_as_it_is(data: Path) -> None:
    """Its secrets, its audit, its tokens: all were made with the key in the file."""
    services = await open_data(data)
    await seal_everything(services)
    before = await everything_opened(services)
    token = PhoneToken("a" * 32, "steady", "", "1", "test", before["digest"].created_at)
    async with services.store.read() as session:
        made, tag = session.phone_proofs.token(token), session.served_files.tag("x")
    await services.close()
    go_back(data)
    assert keys_in(data) == {"v1"}

    services = await open_data(data)
    assert await everything_opened(services) == before
    async with services.store.read() as session:
        assert (session.phone_proofs.token(token), session.served_files.tag("x")) == (made, tag)
        assert not (await session.audit.verify()).broken
    values = [key.values for key in await services.keys.show(ADMIN)]
    await services.keys.rotate(ADMIN)
    assert keys_in(data) == {"v2:2"} and [key.values for key in await services.keys.show(ADMIN)] == [0, *values]
    await services.keys.rotate_wrapping(ADMIN)
    await services.close()
    again = await open_data(data)
    assert await everything_opened(again) == before
    await again.close()


async def test_the_key_of_another_database_of_before_is_refused(data: Path) -> None:
    services = await open_data(data)
    await services.close()
    go_back(data)
    (data / "secret.key").write_bytes(b"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n")
    with pytest.raises(Misconfigured, match=r"not the key of .*put that one back"):
        await open_data(data)


async def test_a_new_wrapping_key_opens_and_the_old_one_does_not(full: Services, data: Path) -> None:
    before, old = await everything_opened(full), (data / "secret.key").read_bytes()
    assert await full.keys.rotate_wrapping(ADMIN) == str(data / "secret.key")
    new = (data / "secret.key").read_bytes()
    assert new != old and (data / "secret.key").stat().st_mode & 0o777 == 0o600
    assert key_files(data) == ["secret.key"]
    # One that runs on takes up a data key that was wrapped by the new one.
    other = await open_data(data)
    await other.keys.rotate(ADMIN)
    assert await everything_opened(full) == before == await everything_opened(other)
    await other.close()
    (data / "secret.key").write_bytes(old)
    with pytest.raises(Misconfigured, match="not the key of"):
        await open_data(data)


@pytest.mark.parametrize("cut_off_before", ["put_beside", "wrap_anew", "commit", "take_new"])
async def test_a_wrapping_that_is_cut_off_anywhere_leaves_a_database_that_opens(
    full: Services, data: Path, monkeypatch: pytest.MonkeyPatch, cut_off_before: str
) -> None:
    before = await everything_opened(full)

    def cut_off(*_: Any, **__: Any) -> None:
        raise CutOff

    target: Any = {"wrap_anew": "ztp_server.store.data_keys.DataKeyStore.wrap_anew",
                   "commit": "ztp_server.store.audit.AuditStore.add"}.get(cut_off_before)  # fmt: skip
    monkeypatch.setattr(target or f"ztp_server.store.key_file.KeyFile.{cut_off_before}", cut_off)
    with pytest.raises(CutOff):
        await full.keys.rotate_wrapping(ADMIN)
    monkeypatch.undo()
    again = await open_data(data)
    assert await everything_opened(again) == before
    if cut_off_before == "take_new":
        assert not (data / ".secret.key.new").exists()  # opening ended what was begun
    await again.keys.rotate_wrapping(ADMIN)
    await again.close()
    last = await open_data(data)
    assert await everything_opened(last) == before == await everything_opened(full)
    await last.close()


async def test_only_one_rotates_at_a_time(full: Services, data: Path) -> None:
    with KeyFile(data / "secret.key").locked():
        for rotation in (full.keys.rotate, full.keys.rotate_wrapping):
            with pytest.raises(Conflict, match="is being rotated already"):
                await rotation(ADMIN)


async def test_a_key_may_lie_elsewhere(tmp_path: Path) -> None:
    from ztp_server.config import DataOptions, shipped_folder
    from ztp_server.services.opening import open_services

    data, key = new_data(tmp_path / "data"), tmp_path / "elsewhere.key"
    options = DataOptions(data, secret_key=key)
    arguments = (data, options.database_url, shipped_folder("templates"), options.own_templates, options.makers)
    services = await open_services(*arguments, options.secret_key)
    await services.keys.rotate_wrapping(ADMIN)
    await services.close()
    assert key.exists() and not (data / "secret.key").exists()
    with pytest.raises(Misconfigured, match=f"{data}/secret.key: missing"):
        await open_services(*arguments)


def rotate_process(data: Path, *flags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ztp_server", "key", "rotate", *flags, "--data", str(data)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--wrapping",)])
def test_a_rotation_killed_at_any_moment_goes_on(tmp_path: Path, flags: tuple[str, ...]) -> None:
    data = new_data(tmp_path / "data")

    def with_services(work: Callable[[Services], Any]) -> Any:
        async def run() -> Any:
            services = await open_data(data)
            try:
                return await work(services)
            finally:
                await services.close()

        return asyncio.run(run())

    async def filled(services: Services) -> dict[str, Any]:
        await seal_everything(services)
        async with services.store.write() as session:
            phones = [replace(p, id="", hardware_id=f"0004f3{n:06x}", revision=0) for n in range(1500)
                      for p in [await session.phones.get(VVX)]]  # fmt: skip
            await session.phones.add(phones)
        return await everything_opened(services)

    before = with_services(filled)
    moments, killed = random.Random(4711), 0
    for _ in range(examples(4, 40)):
        process = rotate_process(data, *flags)
        try:
            process.wait(timeout=0.5 + 1.5 * moments.random())
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        killed += process.returncode != 0
        with closing(sqlite3.connect(data / "ztp.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert killed, "no rotation was killed"
    assert with_services(everything_opened) == before
    _, err = (last := rotate_process(data, *flags)).communicate(timeout=60)
    assert last.returncode == 0, err
    assert with_services(everything_opened) == before
    assert flags or len(keys_in(data)) == 1
