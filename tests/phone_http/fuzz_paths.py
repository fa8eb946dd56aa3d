"""Asks a server for made-up names, and prints as JSON which files that opened outside its data folder.

    python fuzz_paths.py DATA COUNT

A process of its own, because an audit hook cannot be taken off again.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import ADMIN, HD400, VVX, World, fill, options
from ztp_server.app import App

PIECES = [
    *("..", ".", "/", "//", "\\", "%2f", "%2F", "%5c", "%00", "%2e%2e", "%252f", "%c0%af", "\x7f", "%0a", " ", "%20"),
    *("~", "etc/passwd", "ztp.db", "tls/server.key", "templates", "poly", "vendor.toml", "firmware", "fw/5.9.7/sip.ld"),
    *("fw", "none", "sip.ld", "3111-48450-001", ".sip.ld", "405HD.img", "ring.wav", "files/ring.wav", "poly/files/"),
    *(VVX, VVX.upper(), HD400, "000000000000", "0004f2999999", "-settings.cfg", ".cfg", "-directory.xml", "-boot.log"),
    *("ca.pem", "bootstrap.cfg", "?x=", "#", ":", ";", "@", "http://x", "file://", "C:", "é", "\udcff", "a" * 300),
]  # fmt: skip
CONNECTIONS = 20


async def main(data: Path, count: int) -> None:
    app = await App.start(options(data))
    world = World(app, data, restart=app.stop)
    await fill(world.services)
    static = data / "templates" / "poly" / "files" / "ring.wav"
    static.parent.mkdir(parents=True)
    static.write_bytes(b"RIFF")
    await asyncio.to_thread(world.services.templates.refresh)
    assert "ring.wav" in world.services.templates.catalog.static
    image = data.parent / "image"
    image.write_bytes(b"firmware")
    await world.services.firmware.add(ADMIN, image, ["vvx-411"], "5.9.7", True)
    # Everything that is loaded once is loaded now.
    for path in (f"{VVX}-settings.cfg", "ring.wav", "fw/5.9.7/3111-48450-001.sip.ld", "nothing"):
        await world.ask(path)
    opened: list[str] = []
    sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)
    choose, statuses = random.Random(20), Counter()
    for begin in range(0, count, CONNECTIONS):
        targets = [_target(choose) for _ in range(begin, min(begin + CONNECTIONS, count))]
        statuses.update(await asyncio.gather(*(_status(world, target) for target in targets)))
    await world.ask("ring.wav")
    seen = list(opened)
    await app.stop()
    report = {
        "asked": sum(statuses.values()),
        "statuses": statuses,
        "watched": len(seen),
        "opened": sorted({path for path in seen if not _is_inside(path, data)}),
    }
    print(json.dumps(report))


def _target(choose: random.Random) -> bytes:
    text = "/" + "".join(choose.choices(PIECES, k=choose.randint(1, 6)))
    return text.encode("utf-8", "surrogateescape")


async def _status(world: World, target: bytes) -> str:
    method = b"HEAD" if target.endswith(b"d") else b"GET"
    answer = await world.raw(method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return answer.split(b" ")[1].decode() if answer else "none"


def _is_inside(path: str, data: Path) -> bool:
    return path.isdigit() or Path(path).absolute().is_relative_to(data)


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
