"""python -m benchmarks.oracle [--pairs N] [--json]

Whether an answer tells if a phone is known. A server is asked, over HTTP on loopback, for files of N pairs of phones
in turn: one that it knows and that shows no proof, one that it does not know, in an order drawn for each pair. From an
address outside all networks of sites, where nothing is looked up; and from inside the network of another site, where
phones are looked up, each for the first time. Status, header fields and length must be the same; of the times Welch's t
is printed, which of two alike stays within ±4.5 but once in a hundred thousand trials. Takes about five minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.servers import Ztp

HEADER = "hardware_id,name,model,site,base_settings,line1_user,line1_password\n"
# Outside of every site, and inside one that is not the phones'.
OUTSIDE, INSIDE = "127.0.0.1", "127.77.0.1"
LIMIT = 4.5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pairs", type=int, default=10_000)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="ztp-oracle-") as folder:
        figures = measure(Path(folder), options.pairs)
    print(json.dumps(figures, indent=2) if options.json else "\n".join(f"{k:<56} {v}" for k, v in figures.items()))
    if not all(figures[f"{where}: the same to look at"] for where in ("outside", "inside")):
        sys.exit(1)


def measure(folder: Path, pairs: int) -> dict[str, object]:
    """All figures, by name."""
    ztp = Ztp(folder / "data")
    ztp.start()
    ztp.stop()
    ztp.ztp("site", "edit", "demo", "--set", "networks=10.0.0.0/8")
    ztp.ztp("site", "add", "other", "--name", "Other", "--set", "networks=127.77.0.0/16")
    rows = "".join(f"{_known(n)},Phone {n},vvx-411,demo,demo-vvx,{n},secret\n" for n in range(2 * pairs))
    (folder / "phones.csv").write_text(HEADER + rows)
    ztp.ztp("phone", "import", str(folder / "phones.csv"))
    ztp.start()
    try:
        figures: dict[str, object] = {"pairs": pairs}
        for where, address, first in (("outside", OUTSIDE, 0), ("inside", INSIDE, pairs)):
            known, unknown, alike = asyncio.run(_compare(ztp.http_port, address, first, pairs))
            figures |= {
                f"{where}: the same to look at": alike,
                f"{where}: ms, known": round(statistics.median(known) * 1000, 3),
                f"{where}: ms, unknown": round(statistics.median(unknown) * 1000, 3),
                f"{where}: Welch's t": round(welch(known, unknown), 2),
                f"{where}: |t| < {LIMIT}": abs(welch(known, unknown)) < LIMIT,
            }
        return figures
    finally:
        ztp.stop()


async def _compare(port: int, address: str, first: int, pairs: int) -> tuple[list[float], list[float], bool]:
    """Seconds of the known and the unknown, and whether all looked the same."""
    draw, seconds, seen = random.Random(first), {True: [], False: []}, set()  # type: ignore[var-annotated]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    for number in range(-100, pairs):  # the first hundred warm up
        for is_known in draw.sample((True, False), 2):
            mac = _known(first + number) if is_known and number >= 0 else f"0004f3{first + number + 1000:06x}"
            started = time.perf_counter()
            writer.write(f"GET /{mac}-settings.cfg HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            took = time.perf_counter() - started
            if number >= 0:
                seconds[is_known].append(took)
                seen.add(tuple(line for line in head.splitlines() if not line.startswith(b"Date:")))
    writer.close()
    return seconds[True], seconds[False], len(seen) == 1


def welch(ours: list[float], theirs: list[float]) -> float:
    """Welch's t of two samples (B. L. Welch, Biometrika 34, 1947), the one per cent that took longest left out of both:
    what else the machine does falls on either."""
    a, b = (sorted(sample)[: len(sample) * 99 // 100] for sample in (ours, theirs))
    error: float = (statistics.variance(a) / len(a) + statistics.variance(b) / len(b)) ** 0.5
    return (statistics.fmean(a) - statistics.fmean(b)) / error


def _known(number: int) -> str:
    return f"0004f2{number:06x}"


if __name__ == "__main__":
    main()
