"""A process killed in the middle of a job leaves each phone as it was or as it is to be, never in between, and the next
one goes on where it was."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HOSTILE_NAME, examples, fill, sample_phone
from tests.services.killed_child import Rename, runner_of
from tests.services.opened import new_data, open_data
from ztp_server.domain.job import Job
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.services.jobs import Jobs
from ztp_server.services.opening import Services
from ztp_server.services.phone_selection import parse_selection
from ztp_server.store.schema import phone_overrides
from ztp_server.store.schema_access import jobs

PHONES = 450
ROOT = Path(__file__).parents[2]
SELECTED = parse_selection(None, {"model": "vvx-411"})


@dataclass(frozen=True)
class Work:
    """A job to be killed: how it is made, what it makes of a phone (None: removed), what the audit calls that."""

    make: Callable[[Services], Awaitable[Job]]
    after: Callable[[Phone], Phone | None]
    action: str
    whole: bool = False


async def rename(services: Services) -> Job:
    async with services.store.read() as session:
        known = await session.phones.all(base_settings="vvx-standard")
    body = "".join(f"{phone.id} {phone.name} & more\n" for phone in known).encode()
    runner = runner_of(services)
    return await Jobs(services.store, {}, runner).submit_file(ADMIN, Rename.name, {}, [body])


WORKS = {
    "edit": Work(
        lambda s: s.phone_bulk.edit(ADMIN, SELECTED, {"settings": {"rtp_port_start": 5000, "sip_dscp": None}}),
        lambda phone: replace(phone, settings={**_without(phone, "sip_dscp"), "rtp_port_start": 5000}),
        "phone.changed",
    ),
    "migrate": Work(
        lambda s: s.phone_bulk.migrate(ADMIN, SELECTED, "vvx-new", "drop"),
        lambda phone: replace(phone, base_settings="vvx-new", settings={}),
        "phone.changed",
    ),
    "remove": Work(lambda s: s.phone_bulk.remove(ADMIN, SELECTED), lambda phone: None, "phone.removed"),
    "import": Work(rename, lambda phone: replace(phone, name=f"{phone.name} & more"), "phone.changed", whole=True),
}


def _without(phone: Phone, name: str) -> dict[str, Any]:
    return {n: v for n, v in phone.settings.items() if n != name}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with some hundred phones, copied for each round."""
    data = new_data(tmp_path_factory.mktemp("fleet") / "data")
    asyncio.run(_fill(data))
    return data


async def _fill(data: Path) -> None:
    services = await open_data(data)
    await fill(services)
    await services.base_settings.add(ADMIN, "vvx-new", "", "vvx-411", {"dtmf_payload_type": "110"})
    lines = (Line("u&1", password="p<a\"s&s'%41;#="), Line("u2", password="second"))
    async with services.store.write() as session:
        await session.phones.add(
            [
                sample_phone(
                    f"0004f2{number:06x}",
                    name=f"{HOSTILE_NAME} {number}",
                    lines=lines,
                    line_keys=(LineKey("line", line=1), LineKey("blf", "1003", "Sales & Co")),
                    settings={"sip_dscp": 8, "admin_password": "Ad&min"},
                )
                for number in range(PHONES)
            ]
        )
    await services.close()


@pytest.mark.slow
@pytest.mark.parametrize("round_number", range(examples(1, 30)))
@pytest.mark.parametrize("kind", WORKS)
async def test_a_killed_job_leaves_nothing_partial_and_goes_on(
    kind: str, round_number: int, fleet: Path, tmp_path: Path
) -> None:
    work, chance = WORKS[kind], random.Random(f"{kind} {round_number}")
    data = tmp_path / "data"
    shutil.copytree(fleet, data)
    services = await open_data(data)
    async with services.store.read() as session:
        before = {phone.id: phone for phone in await session.phones.all()}
    job = await work.make(services)
    await services.close()

    await asyncio.to_thread(_run_and_kill, data, job.id, chance, work.whole)

    services = await open_data(data)
    try:
        await _hold(services, job.id, work, before)
        async with services.store.write() as session:
            # As ten seconds later, when what the killed process held is free.
            await session.jobs._connection.execute(sa.update(jobs).values(lease_until=None))
        ended = await runner_of(services).run(job.id)
        assert ended.state == "done" and ended.done == ended.total == PHONES + 2
        assert await _hold(services, job.id, work, before) == PHONES + 2
    finally:
        await services.close()


def _run_and_kill(data: Path, job_id: str, chance: random.Random, whole: bool) -> None:
    """Kill it some time within some step: after it said so many times how far it is, and a little later."""
    command = [sys.executable, "-m", "tests.services.killed_child", str(data), job_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout
        for _ in range(1 if whole else chance.randint(1, 5)):
            assert child.stdout.readline(), "it ended before it could be killed"
        time.sleep(chance.uniform(0, 0.3))
        child.kill()


async def _hold(services: Services, job_id: str, work: Work, before: dict[str, Phone]) -> int:
    """Every phone is as before or as it is to be, its rows agree, and what is said of it is so; returns how many
    are done."""
    async with services.store.read() as session:
        there = {phone.id: phone for phone in await session.phones.all()}
        gone = {phone.id: phone for phone in await session.removed_phones.get_many(list(before))}
        records = await session.audit.page(below=None, limit=10_000, action=work.action)
        assert not (await session.audit.verify()).broken
        rows = await session.phones._connection.execute(sa.select(phone_overrides))
        overrides = {(row.phone_id, row.name) for row in rows}
        job = await session.jobs.get(job_id)
        items = [
            item
            for start in range(0, PHONES + 2, 400)
            for item in await session.jobs.items(job_id, after=start, limit=400)
        ]
    assert not there.keys() & gone.keys() and there.keys() | gone.keys() == before.keys()
    assert overrides == {(phone.id, name) for phone in there.values() for name in phone.settings}
    done = {own_id for own_id in before if _is_done(work, before[own_id], there.get(own_id))}
    subjects = [record.subject for record in records]
    assert sorted(subjects) == sorted(before[own_id].hardware_id for own_id in done)
    assert gone == {i: before[i] for i in done if work.after(before[i]) is None}
    if work.whole:
        assert len(done) in (0, PHONES + 2) and (job.state == "done") == bool(done)
    else:
        assert {item.subject for item in items if item.state == "done"} == done
        assert {item.state for item in items} <= {"done", "pending"}
        assert job.done == job.summary.get("done", 0) == len(done) and job.total == len(items) == PHONES + 2
    return len(done)


def _is_done(work: Work, before: Phone, now: Phone | None) -> bool:
    """Whether a phone is as it is to be, with one revision more; if not, it must be as it was."""
    after = work.after(before)
    if now == before:
        return False
    assert now == (after and replace(after, revision=before.revision + 1))
    return True
