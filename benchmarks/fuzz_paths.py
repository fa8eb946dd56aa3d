"""python -m benchmarks.fuzz_paths [--count N] [--seed S] [--json]

A server with demonstration phones is asked for N made-up targets as its listeners hand them on: pieces of traversals,
encodings and absolute forms, mixed with names that phones ask for. Prints how many got which status, which files were
opened that lie outside the server's own folders, and how long it took (a million: two to five minutes). Fails when
there is a status of 500 and above, or such a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from ztp_server.app import App
from ztp_server.config import Address, DataOptions, ServeOptions, shipped_folder
from ztp_server.domain.request import PhoneRequest, StoredFile
from ztp_server.phone_http.identity import requested_path

USER_AGENT = "FileTransport PolycomVVX-VVX_411-UA/5.9.7.4477 Type/Application"
METHODS = ("GET", "GET", "GET", "HEAD", "PUT")
HOSTILE = (
    *("..", ".", "/", "//", "\\", "%2f", "%2F", "%5c", "%00", "\x00", "%2e%2e", "%2e", "%252f", "%25", "%c0%af", "%"),
    *("\x7f", "\x1b[31m", "%0a", "%0d%0aX:1", " ", "%20", "~", "#", "?", "?x=", ":", ";", "@", "é", "\u202e", "😀"),
    *("\udcff", "\u2215", "\uff0e\uff0e\uff0f", "a" * 300, "a/" * 200, "%41", "{{7*7}}", "${x}", "../" * 40),
    *("http://x", "HTTPS://[::1]:8443", "file://", "//x", "C:", "\\\\x\\y"),
)
OURS = (
    *("0004f2aabbcc", "0004F2AABBCC", "000000000000", "0004f2999999", "00:04:f2:aa:bb:cc", "-settings.cfg", ".cfg"),
    *("-boot.log", "-directory.xml", "ca.pem", "fw", "fw/5.9.7.4477", "3111-48450-001.sip.ld", "sip.ld", "405HD.img"),
    *("files/", "poly/files/", "poly", "vendor.toml", "ztp.db", "tls/server.key", "etc/passwd", "firmware"),
    *("templates", "ring.wav"),
)  # fmt: skip
_AT_ONCE = 500


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", type=int, default=1_000_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="ztp-fuzz-") as folder:
        figures = asyncio.run(measure(Path(folder) / "data", options.count, options.seed))
    print(json.dumps(figures, indent=2) if options.json else "\n".join(f"{k:<40} {v}" for k, v in figures.items()))
    if figures["5xx"] or figures["opened outside"]:
        sys.exit(1)


async def measure(data: Path, count: int, seed: int) -> dict[str, object]:
    """All figures, by name."""
    listens, roots = Address("127.0.0.1", 0), (data, shipped_folder("templates"))
    served = data / "templates" / "poly" / "files" / "ring.wav"
    await asyncio.to_thread(_put, served)
    app = await App.start(
        ServeOptions(DataOptions(data), listens, None, None, None, demo=True, public_name="127.0.0.1")
    )
    try:
        # What is loaded once is loaded now.
        await _ask(app, "/nothing", "GET")
        opened: set[str] = set()
        watched = 0

        def heard(event: str, details: tuple[object, ...]) -> None:
            nonlocal watched
            if event == "open" and isinstance(details[0], (str, bytes)):
                watched += 1
                opened.add(os.fsdecode(details[0]))

        choose, statuses, started = random.Random(seed), Counter[int](), time.perf_counter()
        sys.addaudithook(heard)
        for begin in range(0, count, _AT_ONCE):
            asked = [_target(choose) for _ in range(min(_AT_ONCE, count - begin))]
            statuses.update(await asyncio.gather(*(_ask(app, target, choose.choice(METHODS)) for target in asked)))
        seconds = time.perf_counter() - started
        assert await _ask(app, "/ring.wav", "GET") == 200 and str(served) in opened, "no opened file is seen"
        seen = sorted(opened)
    finally:
        await app.stop()
    return {
        "targets": count,
        "seconds": round(seconds),
        "statuses": dict(sorted(statuses.items())),
        "5xx": sum(number for status, number in statuses.items() if status >= 500),
        "files opened, times": watched,
        "opened outside": [name for name in seen if not _is_inside(name, roots)],
    }


def _put(file: Path) -> None:
    """A file that is served as it is."""
    file.parent.mkdir(parents=True)
    file.parents[3].chmod(0o700)
    file.write_bytes(b"RIFF")


def _is_inside(name: str, roots: tuple[Path, ...]) -> bool:
    return any(Path(name).absolute().is_relative_to(root) for root in roots)


def _target(choose: random.Random) -> str:
    pieces = choose.choice((HOSTILE + OURS, HOSTILE + OURS, OURS))
    return "/" * choose.randrange(2) + "".join(choose.choices(pieces, k=choose.randint(1, 6)))


async def _ask(app: App, target: str, method: str) -> int:
    """As a listener does: a target that no phone would ask for does not get as far as the rules."""
    path = requested_path(target)
    if path is None:
        return 404
    outcome = await app.provisioning.answer(PhoneRequest(path, method, USER_AGENT, address="127.0.0.1"))
    if isinstance(outcome.answer, StoredFile):
        await asyncio.to_thread(outcome.answer.path.read_bytes)
    return outcome.status


if __name__ == "__main__":
    main()
