"""A process that restarts phones, writes down each that it tells, and is killed by test_restarts_killed.py.
`python -m … DATA JOB FILE`"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.services.opened import open_data
from tests.services.told_phones import Messages, told_by


def telling(file: Path) -> Messages:
    """Phones that write down that they were told, each in one write that a kill cannot part."""
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return Messages(before_answer=lambda mac: os.write(out, f"{mac}\n".encode()))


async def run(data: Path, job_id: str, file: Path) -> None:
    services = await open_data(data)
    told_by(services, telling(file))
    await services.job_runner.run(job_id, lambda job: print(job.done, flush=True))
    await services.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
