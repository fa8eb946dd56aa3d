"""python -m benchmarks.random_macs [--macs N] [--addresses N] [--json]

What a million made-up MACs leave behind. A server is started in a folder of its own, and asked in the name of N random
MACs out of the address blocks of its makers, from many addresses, as its listeners hand requests on, while it writes
down every second what knocked. Prints how many a second were answered, rows and size of the database before and after,
and the growth of resident memory. Ends by itself (about five minutes for a million).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ztp_server.app import App
from ztp_server.config import Address, DataOptions, ServeOptions
from ztp_server.domain.request import PhoneRequest

USER_AGENT = "FileTransport PolycomVVX-VVX_411-UA/5.9.7.4477 Type/Application"
_AT_ONCE = 100


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--macs", type=int, default=1_000_000)
    arguments.add_argument("--addresses", type=int, default=10_000)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="ztp-bench-") as folder:
        figures = asyncio.run(measure(Path(folder) / "data", options.macs, options.addresses))
    print(json.dumps(figures, indent=2) if options.json else "\n".join(f"{k:<40} {v}" for k, v in figures.items()))


async def measure(data: Path, macs: int, addresses: int) -> dict[str, Any]:
    """All figures, by name."""
    phones = Address("127.0.0.1", 0)
    app = await App.start(ServeOptions(DataOptions(data), phones, None, None, None, public_name="127.0.0.1"))
    try:
        await _ask(app, 20_000, addresses)  # what remembers names and addresses is warm then
        await app.check_ins.flush()
        before, memory = _size(data), _resident()
        started = time.perf_counter()
        most = await _ask(app, macs, addresses)
        seconds = time.perf_counter() - started
        await app.check_ins.flush()
        return {
            "MACs": macs,
            "answered a second": round(macs / seconds),
            "rows of unknown phones": await _rows(app),
            "requests left out": app.check_ins.knocks.left_out,
            "most MACs waiting to be written": most,
            "database with its log before, MiB": round(before / 2**20, 1),
            "database with its log after, MiB": round(_size(data) / 2**20, 1),
            "growth of resident memory, MiB": round((_resident() - memory) / 2**20, 1),
        }
    finally:
        await app.stop()


async def _ask(app: App, macs: int, addresses: int) -> int:
    """Returns how many MACs waited at most."""
    source = random.Random(1)
    ouis = sorted({oui for vendor in app.services.templates.catalog.vendors.values() for oui in vendor.ouis})
    most = 0
    for _ in range(0, macs, _AT_ONCE):
        names = [f"{source.choice(ouis)}{source.getrandbits(24):06x}" for _ in range(_AT_ONCE)]
        wanted = [(f"{mac}.cfg", source.randrange(addresses)) for mac in names]
        asked = [PhoneRequest(f, user_agent=USER_AGENT, address=f"10.9.{n >> 8}.{n & 255}") for f, n in wanted]
        await asyncio.gather(*map(app.provisioning.answer, asked))
        most = max(most, len(app.check_ins.knocks))
        await asyncio.sleep(0)
    return most


async def _rows(app: App) -> int:
    async with app.services.store.database.reading() as connection:
        found: int = (await connection.execute(sa.text("SELECT count(*) FROM unknown_phones"))).scalar_one()
    return found


def _size(data: Path) -> int:
    return sum(file.stat().st_size for file in data.glob("ztp.db*"))


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    main()
