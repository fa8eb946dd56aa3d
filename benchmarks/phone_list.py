"""python -m benchmarks.phone_list FOLDER [--rounds N] [--json]

Times pages of a list of phones in a folder that benchmarks.fleet filled: the first page, one far behind, every kind of
filter and order. Prints milliseconds at the median and the 99th percentile, the processor's at the median, and what a
count takes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.fleet import MODELS, PLATFORM, current_inputs, open_store
from ztp_server.domain.phone_filter import STATES, PhoneFilter
from ztp_server.domain.phone_order import SORTS, Place, Sort
from ztp_server.store import Store
from ztp_server.store.phone_conditions import Facts

CASES: tuple[tuple[dict[str, str], str], ...] = (
    *(({}, sort) for sort in SORTS),
    ({}, "-name"),
    ({}, "-last_seen"),
    ({"site": "site-3"}, "name"),
    ({"site": "site-3,site-4,site-19"}, "name"),
    ({"site": "!site-0"}, "name"),
    ({"site": "site-3"}, "-last_seen"),
    ({"base_settings": "base-29"}, "name"),
    ({"model": "edge-*"}, "name"),
    ({"family": "vvx"}, "name"),
    ({"category": "remote"}, "name"),
    *(({"status": state}, "name") for state in STATES),
    ({"status": "!provisioned"}, "name"),
    ({"status": "!online"}, "name"),
    ({"status": "outdated", "site": "site-3"}, "-last_seen"),
    ({"never_seen": "on"}, "name"),
    ({"firmware": "5.9*"}, "name"),
    ({"name": "*zz*"}, "name"),
    ({"name": "ana 1*"}, "name"),
    ({"hardware_id": "00:04:f2:01*"}, "name"),
    ({"hardware_id": "*fff"}, "name"),
    ({"user": "user-77"}, "name"),
    ({"line": "1000077"}, "name"),
    ({"line": "*7777777"}, "name"),
    ({"overrides": "syslog_server"}, "name"),
    ({"overrides": "any"}, "name"),
    ({"overrides": "none"}, "name"),
    ({"q": "nobody"}, "name"),
    ({"q": "ana"}, "name"),
    ({"q": "00:04:f2:00:ff"}, "name"),
    ({"q": "1000077"}, "name"),
    ({"q": "8"}, "name"),
    ({"q": "nobody"}, "-last_seen"),
)


async def measure(folder: Path, rounds: int) -> list[dict[str, object]]:
    store = await open_store(folder)
    facts = Facts(
        datetime.now(UTC),
        frozenset(current_inputs().values()),
        {model: ("acme", family) for model, family in MODELS.items()},
        frozenset({PLATFORM}),
    )
    # As the server does once it is up.
    gc.collect()
    gc.freeze()
    figures = []
    for filters, sort in CASES:
        wanted, order = PhoneFilter.parse(filters), Sort.parse(sort)
        began = time.perf_counter()
        async with store.read() as session:
            count = await session.phone_list.count(wanted, None, facts)
        counted = time.perf_counter() - began
        name = " ".join(f"{key}={value}" for key, value in filters.items()) or "all"
        figures.append(
            {"list": f"{name} by {sort}", "phones": count, "count ms": round(1000 * counted, 1)}
            | await _pages(store, wanted, facts, order, None, rounds)
        )
    for sort in ("name", "-last_seen", "site"):
        order = Sort.parse(sort)
        place = await _far(store, facts, order)
        figures.append(
            {"list": f"all by {sort}, behind 50 pages", "phones": 0, "count ms": 0.0}
            | await _pages(store, PhoneFilter(), facts, order, place, rounds)
        )
    await store.close()
    return figures


async def _pages(
    store: Store, wanted: PhoneFilter, facts: Facts, order: Sort, after: Place | None, rounds: int
) -> dict[str, object]:
    walls, used = [], []
    for _ in range(rounds):
        began, spent = time.perf_counter(), time.process_time()
        async with store.read() as session:
            await session.phone_list.page(wanted, None, facts, order, after, 100)
        walls.append(1000 * (time.perf_counter() - began))
        used.append(1000 * (time.process_time() - spent))
    p99 = sorted(walls)[min(len(walls) - 1, int(len(walls) * 0.99))]
    return {
        "p50 ms": round(statistics.median(walls), 1),
        "p99 ms": round(p99, 1),
        "cpu ms": round(statistics.median(used), 1),
    }


async def _far(store: Store, facts: Facts, order: Sort) -> Place | None:
    place: Place | None = None
    for _ in range(50):
        async with store.read() as session:
            _, place = await session.phone_list.page(PhoneFilter(), None, facts, order, place, 1000)
    return place


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--rounds", type=int, default=100)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    figures = asyncio.run(measure(options.folder, options.rounds))
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for row in figures:
        print(f"{row['list']:<44}" + "".join(f"  {key} {row[key]:>7}" for key in row if key != "list"))


if __name__ == "__main__":
    main()
