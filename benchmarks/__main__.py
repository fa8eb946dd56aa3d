"""python -m benchmarks [--phones N] [--seconds S] [--json]

Starts this server and nginx on one core, loads them from another with wrk, in turn (A B A B …), and prints medians and
ratios. Everything runs on loopback in a folder of its own and ends by itself. Needs nginx and wrk.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.servers import Nginx, Ztp, free_port, wrk

ROUNDS = 3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--phones", type=int, default=10_000)
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    missing = [tool for tool in ("nginx", "wrk") if not shutil.which(tool)]
    if missing:
        sys.exit(f"install: {' '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="ztp-bench-") as folder:
        figures = measure(Path(folder), options.phones, options.seconds)
    print(json.dumps(figures, indent=2) if options.json else "\n".join(f"{k:<58} {v}" for k, v in figures.items()))


def measure(folder: Path, phones: int, seconds: int) -> dict[str, object]:
    """All figures, by name."""
    ztp = Ztp(folder / "data")
    figures: dict[str, object] = {"first start, s": ztp.start()}
    ztp.stop()
    ztp.ztp("site", "edit", "demo", "--set", "networks=127.0.0.0/8")
    figures[f"import of {phones} phones, s"] = _import(ztp, folder / "phones.csv", phones)
    figures[f"start with {phones} phones, s"] = ztp.start()
    figures["memory after start, MB"] = ztp.memory()
    nginx = Nginx(folder / "nginx", ztp.get(f"{_mac(0)}-settings.cfg"), ztp.tls, free_port(), free_port())
    try:
        nginx.start()
        figures |= _ratios(ztp, nginx, seconds)
        figures |= _cold(ztp, nginx, phones, seconds)
        figures["memory after load, MB"] = ztp.memory()
    finally:
        nginx.stop()
        ztp.stop()
    return figures


def _import(ztp: Ztp, file: Path, phones: int) -> float:
    with open(file, "w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["hardware_id", "name", "model", "site", "base_settings", "line1_user", "line1_password"])
        for number in range(phones):
            rows.writerow([_mac(number), f"Phone {number}", "vvx-411", "demo", "demo-vvx", f"{number:05}", "secret"])
    started = time.perf_counter()
    ztp.ztp("phone", "import", str(file))
    return round(time.perf_counter() - started, 2)


def _ratios(ztp: Ztp, nginx: Nginx, seconds: int) -> dict[str, object]:
    """The same file, always cached: keep-alive and a new connection for each request, with and without TLS."""
    path = f"{_mac(0)}-settings.cfg"
    figures: dict[str, object] = {}
    for name, secure, new_connections in (
        ("cached file, HTTP keep-alive", False, False),
        ("cached file, HTTP new connection", False, True),
        ("cached file, HTTPS keep-alive", True, False),
        ("cached file, HTTPS new connection", True, True),
    ):
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(wrk(ztp.url(secure) + path, seconds, new_connections))
            theirs.append(wrk(nginx.url(secure) + path, seconds, new_connections))
        figures |= _row(name, ours, theirs)
    return figures


def _cold(ztp: Ztp, nginx: Nginx, phones: int, seconds: int) -> dict[str, object]:
    """Another phone at each request, so that every file is looked up and rendered."""
    names = [f"{_mac(number)}-settings.cfg" for number in range(phones)]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(wrk(ztp.url(False), seconds, False, names))
        theirs.append(wrk(nginx.url(False) + names[0], seconds, False))
        # What was rendered is forgotten, so that the next round is as cold as the first.
        ztp.ztp("site", "edit", "demo", "--name", f"Demonstration {time.monotonic()}")
    return _row("uncached file, HTTP keep-alive", ours, theirs)


def _row(name: str, ours: list[float], theirs: list[float]) -> dict[str, object]:
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return {f"{name}: requests/s": round(mine), f"{name}: nginx": round(other), f"{name}: ratio": round(ratio, 3)}


def _mac(number: int) -> str:
    return f"0004f2{number:06x}"


if __name__ == "__main__":
    main()
