"""A process that runs a job and says how far it is; test_jobs_killed.py kills it. `python -m … DATA JOB`"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.conftest import ADMIN
from tests.services.opened import open_data
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.job import Job
from ztp_server.services.job_kinds import Kind, Report, WholeKind
from ztp_server.services.job_runner import JobRunner
from ztp_server.services.opening import Services


class Rename(WholeKind[dict[str, str]]):
    """As an import does: a file of names by phone, all of them or none."""

    name = "test.rename"

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    async def prepare(self, session: Any, job: Job, file: Any, progress: Any) -> dict[str, str]:
        lines = b"".join([part async for part in file]).decode().splitlines()
        for number, _ in enumerate(lines, 1):
            await progress(number, len(lines))
        return dict(line.split(" ", 1) for line in lines)

    async def apply(self, session: Any, job: Job, prepared: dict[str, str]) -> Report:
        known = await session.phones.get_many(list(prepared))
        await session.phones.replace_many([replace(phone, name=prepared[phone.id]) for phone in known])
        entries = [
            AuditEntry("phone.changed", p.hardware_id, {"name": p.name}, {"name": prepared[p.id]}) for p in known
        ]
        await session.audit.add_all(ADMIN, entries)
        return Report(len(known), {"done": len(known)})


def runner_of(services: Services) -> JobRunner:
    """As the server's, with the kind above."""
    kinds: dict[str, Kind] = {**services.job_runner._kinds, Rename.name: Rename()}
    return JobRunner(services.store, kinds)


async def run(data: Path, job_id: str) -> None:
    services = await open_data(data)
    await runner_of(services).run(job_id, lambda job: print(job.done, flush=True))
    await services.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
