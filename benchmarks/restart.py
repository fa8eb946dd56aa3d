"""python -m benchmarks.restart [--phones N] [--rate R] [--json]

Restarts phones at a pace, through a SIP platform on loopback that answers every NOTIFY with 200 out of a process of its
own. Prints how far the pace was from what was ordered, when the job had ended after a stop, and what each phone cost
this process, in milliseconds of its processor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ztp_server.config import DataOptions, shipped_folder
from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.platform import Platform
from ztp_server.services.opening import Services, open_services
from ztp_server.services.phone_selection import parse_selection
from ztp_server.services.restarts import Telling

ADMIN = Actor.trusted("benchmark")
ALL = parse_selection(None, {})
# What of a request goes into its answer (RFC 3261, section 8.2.6.2).
_KEPT = re.compile(rb"(?im)^(Via|v|From|f|To|t|Call-ID|i|CSeq):.*$")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--phones", type=int, default=1000)
    arguments.add_argument("--rate", type=float, default=5.0)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.answer:
        return answer()
    with tempfile.TemporaryDirectory(prefix="ztp-bench-") as folder:
        figures = asyncio.run(measure(Path(folder), options.phones, options.rate))
    print(json.dumps(figures, indent=2) if options.json else "\n".join(f"{k:<52} {v}" for k, v in figures.items()))


async def measure(folder: Path, phones: int, rate: float) -> dict[str, object]:
    """All figures, by name."""
    services = await _opened(folder)
    command = [sys.executable, "-m", "benchmarks.restart", "--answer"]
    peer = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE)
    assert peer.stdout
    try:
        port = int(await asyncio.to_thread(peer.stdout.readline))
        await _fill(services, phones, port)
        heard = Heard(peer.stdout)
        reading = asyncio.create_task(asyncio.to_thread(heard.read))
        figures = await _paced(services, phones, rate, heard)
        figures |= await _stopped(services, phones, heard)
    finally:
        peer.kill()
        await asyncio.to_thread(peer.wait)
    await reading
    peer.stdout.close()
    await services.close()
    return figures


@dataclass
class Heard:
    """When the peer heard of phones."""

    lines: IO[bytes]
    at: list[float] = field(default_factory=list)

    def read(self) -> None:
        for line in self.lines:
            self.at.append(float(line))


async def _paced(services: Services, phones: int, rate: float, heard: Heard) -> dict[str, object]:
    job = await services.restarts.tell_many(ADMIN, "restart", ALL, Telling(rate=rate, follow=20), confirm=str(phones))
    spent = time.process_time()
    ended = await services.job_runner.run(job.id)
    spent = time.process_time() - spent
    times = heard.at[:]
    held = (len(times) - 1) / (times[-1] - times[0])
    return {
        "phones told": len(times),
        "job": f"{ended.state}: {dict(ended.summary)}",
        "ordered pace, a second": rate,
        "pace held, a second": round(held, 3),
        "off by, %": round(100 * (held / rate - 1), 1),
        "most in a second": max(sum(at <= other < at + 1 for other in times) for at in times),
        "processor time a phone, ms": round(1000 * spent / phones, 2),
    }


async def _stopped(services: Services, phones: int, heard: Heard) -> dict[str, object]:
    order = Telling(rate=50, follow=20)
    job = await services.restarts.tell_many(ADMIN, "resync", ALL, order, confirm=str(phones))
    running = asyncio.create_task(services.job_runner.run(job.id))
    before = len(heard.at)
    while len(heard.at) < before + min(50, phones // 2):  # noqa: ASYNC110 (another process hears)
        await asyncio.sleep(0.01)
    asked = time.time()
    await services.jobs.stop(ADMIN, job.id)
    ended = await running
    took = time.time() - asked
    await asyncio.sleep(1)
    return {
        "state after a stop": ended.state,
        "stopped after, s": round(took, 2),
        "last phone told after the stop, s": round(max(0.0, heard.at[-1] - asked), 2),
    }


async def _opened(folder: Path) -> Services:
    data = DataOptions(folder / "data")
    where = shipped_folder("templates"), data.own_templates, data.makers
    return await open_services(data.data, data.database_url, *where)


async def _fill(services: Services, phones: int, port: int) -> None:
    await services.sites.add(ADMIN, "madrid", "Madrid", {"sip_server": "sip.example.net"})
    await services.base_settings.add(ADMIN, "vvx", "", "vvx-411", {"check_sync_reboots": True})
    async with services.store.write() as session:
        await session.platforms.add(Platform("pbx", "", ("sip.example.net",), f"udp:127.0.0.1:{port}"))
        made = (
            Phone(f"Phone {n}", f"0004f2{n:06x}", "vvx-411", "madrid", "vvx", lines=(Line(f"u{n}", password="p"),))
            for n in range(phones)
        )
        await session.phones.add(list(made))


def answer() -> None:
    """Answer all that comes with 200, and say when it came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        print(sock.getsockname()[1], flush=True)
        while True:
            request, sender = sock.recvfrom(65_535)
            kept = b"".join(match.group(0).rstrip(b"\r") + b"\r\n" for match in _KEPT.finditer(request))
            sock.sendto(b"SIP/2.0 200 OK\r\n" + kept + b"Content-Length: 0\r\n\r\n", sender)
            print(time.time(), flush=True)


if __name__ == "__main__":
    main()
