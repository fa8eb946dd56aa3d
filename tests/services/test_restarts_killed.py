"""A process killed while it restarts many phones: none is told twice, and of each it is said what is known."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, examples, fill
from tests.services.killed_restart_child import telling
from tests.services.opened import new_data, open_data
from tests.services.told_phones import add_phones, told_by, until
from ztp_server.services.phone_selection import parse_selection
from ztp_server.services.restarts import Telling
from ztp_server.store.schema_access import jobs

PHONES = 150
ROOT = Path(__file__).parents[2]
SELECTED = parse_selection(None, {"name": "P *"})
LOST = "not known: the server stopped while it was sent"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the phones, copied for each round."""
    data = new_data(tmp_path_factory.mktemp("fleet") / "data")
    asyncio.run(_fill(data))
    return data


async def _fill(data: Path) -> None:
    services = await open_data(data)
    await fill(services)
    await add_phones(services, PHONES)
    await services.close()


@pytest.mark.slow
@pytest.mark.parametrize("round_number", range(examples(2, 30)))
async def test_a_killed_restart_tells_no_phone_twice(round_number: int, fleet: Path, tmp_path: Path) -> None:
    chance = random.Random(round_number)
    data, file = tmp_path / "data", tmp_path / "told"
    shutil.copytree(fleet, data)
    services = await open_data(data)
    # Some rounds are killed while phones are followed, some while they are settled at once.
    telling_them = replace(Telling(rate=50), follow=chance.choice([0, 600]))
    job = await services.restarts.tell_many(ADMIN, "resync", SELECTED, telling_them, confirm=str(PHONES))
    await services.close()

    await asyncio.to_thread(_run_and_kill, data, job.id, file, chance)
    before = file.read_text().split()

    services = await open_data(data)
    try:
        told_by(services, telling(file))
        async with services.store.write() as session:
            # As ten seconds later, when what the killed process held is free; nobody waits for phones to come.
            await session.jobs._connection.execute(sa.update(jobs).values(lease_until=None))
            left = await session.jobs.items(job.id, limit=PHONES, state="under_way")
        claimed = {item.label[:12] for item in left if not item.told}
        running = asyncio.create_task(services.job_runner.run(job.id))
        await until(lambda: len(file.read_text().split()) + len(claimed - set(before)) >= PHONES)
        await services.jobs.stop(ADMIN, job.id)
        ended = await running
        told = file.read_text().split()
        assert len(told) == len(set(told)) and before == told[: len(before)]
        items = await services.jobs.items(ADMIN, job.id, limit=PHONES)
        assert ended.done == ended.total == len(items) == PHONES
        assert {item.label[:12] for item in items if item.detail == LOST} == claimed
        assert {item.label[:12] for item in items if item.state == "done"} == set(told) - claimed
        assert {item.state for item in items} <= {"done", "refused"}
        async with services.store.read() as session:
            records = await session.audit.page(below=None, limit=1000, action="phone.resynced")
            assert not (await session.audit.verify()).broken
        assert sorted(record.subject for record in records) == sorted({*told, *claimed})
    finally:
        await services.close()


def _run_and_kill(data: Path, job_id: str, file: Path, chance: random.Random) -> None:
    """Kill it some time after some beat."""
    command = [sys.executable, "-m", "tests.services.killed_restart_child", str(data), job_id, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout
        for _ in range(chance.randint(2, 3)):
            assert child.stdout.readline(), "it ended before it could be killed"
        time.sleep(chance.uniform(0, 0.4))
        child.kill()
