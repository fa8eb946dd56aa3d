"""A running server does the jobs that are waiting, and phones get what they made."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import sqlalchemy as sa

from tests.conftest import ADMIN, VVX, World
from tests.services.opened import open_data
from ztp_server.domain.job import Job
from ztp_server.services.phone_selection import parse_selection
from ztp_server.store.schema_access import jobs


async def ended(world: World, job: Job) -> Job:
    async with asyncio.timeout(30):
        found = await world.services.jobs.get(ADMIN, job.id)
        while not found.ended:
            await asyncio.sleep(0.02)
            found = await world.services.jobs.get(ADMIN, job.id)
        return found


async def test_a_server_runs_a_job_and_the_next_request_of_a_phone_sees_it(world: World) -> None:
    assert "5004" not in (await world.ask(f"{VVX}-settings.cfg")).text
    selection = parse_selection(None, {"base_settings": "vvx-standard"})
    job = await world.services.phone_bulk.edit(ADMIN, selection, {"settings": {"rtp_port_start": 5004}})
    found = await ended(world, job)
    assert (found.state, found.summary) == ("done", {"done": 2})
    assert "5004" in (await world.ask(f"{VVX}-settings.cfg")).text


async def test_a_job_of_a_command_that_was_killed_is_done_by_the_server(world: World) -> None:
    command = await open_data(world.data)
    job = await command.phone_bulk.remove(ADMIN, parse_selection([VVX], None), run_here=True)
    assert job.owner == command.job_runner.owner
    assert (await world.ask(f"{VVX}-settings.cfg")).status == 200
    async with command.store.write() as session:
        # As ten seconds later.
        await session.jobs._connection.execute(sa.update(jobs).values(lease_until=datetime.now(UTC)))
    await command.close()
    assert (await ended(world, job)).summary == {"done": 1}
    assert (await world.ask(f"{VVX}-settings.cfg")).status == 404
