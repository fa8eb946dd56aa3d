"""An import killed at any moment: nothing of it is done, or everything; and it can be run again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import ADMIN, examples
from tests.services.opened import new_data, open_data

ROOT = Path(__file__).parents[2]
_OLD, _NEW = 600, 900
_HEADER = "hardware_id,name,model,site,base_settings,line1_user,line1_password,line2_user,key1_type"


def table(count: int, name: str) -> str:
    rows = (
        f"0004f2{n:06x},{name} {n},vvx-411,madrid,vvx-standard,{n},pass-{name}-{n},2{n},line"
        for n in range(1, count + 1)
    )
    return "\n".join([_HEADER, *rows, ""])


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A data folder with phones that the import changes."""
    data = new_data(tmp_path / "prepared")

    async def fill_it() -> None:
        services = await open_data(data)
        await services.sites.add(ADMIN, "madrid", "", {})
        await services.base_settings.add(ADMIN, "vvx-standard", "", "vvx-411", {})
        await services.phone_import.run(ADMIN, [table(_OLD, "old").encode()], "create")
        await services.close()

    asyncio.run(fill_it())
    return data


def start_import(data: Path, file: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "ztp_server",
        "phone",
        "import",
        str(file),
        "--mode",
        "upsert",
        "--data",
        str(data),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def found_in(data: Path) -> tuple[int, int, int, int, str]:
    """How many phones there are, new names, lines, records of imports; and what the audit says of itself."""
    counts = ("phones", "phones WHERE name LIKE 'new %'", "lines", "audit WHERE action = 'phones.imported'")
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = [database.execute(f"SELECT count(*) FROM {what}").fetchone()[0] for what in counts]

    async def verify() -> str:
        services = await open_data(data)
        async with services.store.read() as session:
            verdict = await session.audit.verify()
        await services.close()
        return verdict.reason

    return (*found, asyncio.run(verify()))


NOTHING = (_OLD, 0, 2 * _OLD, 1, "")
EVERYTHING = (_NEW, _NEW, 2 * _NEW, 2, "")


@pytest.mark.slow
def test_an_import_killed_at_any_moment_did_nothing_or_everything_and_can_be_run_again(
    prepared: Path, tmp_path: Path
) -> None:
    file = tmp_path / "phones.csv"
    file.write_text(table(_NEW, "new"), newline="")
    moments = random.Random(4711)

    def copied(name: str) -> Path:
        return Path(shutil.copytree(prepared, tmp_path / name))

    began = time.monotonic()
    out, err = (whole := start_import(copied("whole"), file)).communicate(timeout=60)
    took = time.monotonic() - began
    assert (whole.returncode, out) == (0, b"300 phones were created, 600 updated\n"), err
    assert found_in(tmp_path / "whole") == EVERYTHING

    killed = 0
    for number in range(examples(4, 30)):
        data = copied(f"killed-{number}")
        process = start_import(data, file)
        try:
            process.wait(timeout=took * (0.3 + 0.7 * moments.random()))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        killed += process.returncode != 0
        assert found_in(data) in (NOTHING, EVERYTHING), "some of it, but not all"

        _, err = (again := start_import(data, file)).communicate(timeout=60)
        assert again.returncode == 0, err
        # Run again after the commit, it finds nothing to change.
        assert found_in(data)[:3] == EVERYTHING[:3] and found_in(data)[4] == ""
    assert killed, "no import was killed"
