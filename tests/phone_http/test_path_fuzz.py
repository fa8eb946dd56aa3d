"""Whatever is asked for: no 5xx, and no file is opened outside the folders that are ours."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import HD400, VVX, VVX_UA, World, examples
from tests.phone_http.conftest import AddFirmware
from ztp_server.config import shipped_folder
from ztp_server.domain.request import PhoneRequest, StoredFile
from ztp_server.phone_http.identity import requested_path

ESCAPED = [
    *("..", ".", "/", "//", "\\", "%2f", "%2F", "%5c", "%00", "\x00", "%2e%2e", "%2e", "%252f", "%25", "%c0%af", "%"),
    *("\x7f", "\x1b[31m", "%0a", "%0d%0aX:1", " ", "%20", "~", "#", "?", "?x=", ":", ";", "@", "é", "\u202e", "😀"),
    *("\udcff", "\u2215", "\uff0e\uff0e\uff0f", "a" * 300, "a/" * 200, "%41", "{mac}", "{{7*7}}", "${x}"),
    *("http://x", "HTTPS://[::1]:8443", "file://", "//x", "C:", "\\\\x\\y"),
]
OURS = [
    *(VVX, VVX.upper(), HD400, "000000000000", "0004f2999999", "00:04:f2:aa:bb:cc", "-settings", ".cfg", "-boot.log"),
    *("-directory.xml", "-settings.cfg", "ca.pem", "fw", "fw/5.9.7.4477", "3111-48450-001.sip.ld", ".sip.ld", "sip.ld"),
    *("405HD.img", "ring.wav", "files/ring.wav", "poly/files/", "poly", "vendor.toml", "ztp.db", "tls/server.key"),
    *("etc/passwd", "firmware", "templates", "t/", "t/" + "A" * 43 + "/"),
]
CORPUS = [
    "/..%2f..%2f..%2fetc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/%252e%252e%252fetc%252fpasswd",
    "http://x/../../etc/passwd",
    f"http://x/{VVX}-settings.cfg",
    f"/{VVX}-settings.cfg\x00.png",
    f"/fw/..%2f..%2f{VVX}",
    "/fw/5.9.7.4477/../../ztp.db",
    "/" + "%" * 8000,
    "/" + "../" * 2000 + "etc/passwd",
    "*",
    "",
]
targets = st.one_of(
    st.lists(st.sampled_from(ESCAPED + OURS), max_size=7).map(lambda pieces: "/" + "".join(pieces)),
    st.lists(st.sampled_from(OURS), min_size=1, max_size=3).map(lambda pieces: "/" + "".join(pieces)),
    st.text(max_size=60),
    st.sampled_from(CORPUS),
)


class Opened:
    """Names of files that were opened while it was watching. An audit hook cannot be taken off: there is one."""

    def __init__(self) -> None:
        self.names: list[str] | None = None
        sys.addaudithook(self._heard)

    def _heard(self, event: str, details: tuple[object, ...]) -> None:
        if event == "open" and self.names is not None and isinstance(details[0], (str, bytes)):
            self.names.append(os.fsdecode(details[0]))


@pytest.fixture(scope="module")
def opened() -> Opened:
    return Opened()


async def test_no_target_opens_a_file_elsewhere_or_fails(
    world: World, add_firmware: AddFirmware, opened: Opened
) -> None:
    await add_firmware()
    static = world.data / "templates" / "poly" / "files" / "ring.wav"
    static.parent.mkdir(parents=True)
    static.write_bytes(b"RIFF")
    await asyncio.to_thread(world.services.templates.refresh)
    roots = (world.data, shipped_folder("templates"))
    statuses: Counter[int] = Counter()

    async def ask(target: str, method: str) -> None:
        path = requested_path(target)
        if path is None:
            statuses[404] += 1
            return
        outcome = await world.app.provisioning.answer(PhoneRequest(path, method, VVX_UA, address="127.0.0.1"))
        statuses[outcome.status] += 1
        if isinstance(outcome.answer, StoredFile):
            await asyncio.to_thread(outcome.answer.path.read_bytes)

    async def all_of(cases: list[tuple[str, str]]) -> None:
        await asyncio.gather(*(ask(target, method) for target, method in cases))

    # Everything that is loaded once is loaded now.
    await all_of([(f"/{path}", "GET") for path in (f"{VVX}-settings.cfg", f"{HD400}.cfg", "ring.wav", "nothing")])
    cases: list[tuple[str, str]] = [(target, "GET") for target in CORPUS]

    @settings(max_examples=examples(1500, 50_000), deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(targets, st.sampled_from(["GET", "GET", "HEAD", "PUT"]))
    def made_up(target: str, method: str) -> None:
        cases.append((target, method))

    made_up()
    statuses.clear()
    opened.names = []
    try:
        for start in range(0, len(cases), 200):
            await all_of(cases[start : start + 200])
        await ask("/ring.wav", "GET")
        names = opened.names
    finally:
        opened.names = None

    assert any(name.endswith("ring.wav") for name in names), "the audit hook saw nothing at all"
    assert [name for name in names if not _is_inside(name, roots)] == []
    assert set(statuses) <= {200, 204, 201, 302, 404, 413} and statuses[200] and statuses[404] > statuses[200]


def test_of_a_million_made_up_names_none_opens_a_file_elsewhere_or_fails(tmp_path: Path) -> None:
    """Through all that a listener hands on to, in a process of its own; 20,000 in `make test`."""
    count = examples(20_000, 1_000_000)
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz_paths", "--count", str(count), "--json"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    figures = json.loads(ended.stdout)
    assert figures["targets"] == sum(figures["statuses"].values()) == count
    assert figures["5xx"] == 0 and figures["opened outside"] == []
    assert figures["files opened, times"] > 1, "no file of ours was served"
    assert {"200", "302", "404"} <= set(figures["statuses"])


def _is_inside(name: str, roots: tuple[Path, ...]) -> bool:
    return any(Path(name).absolute().is_relative_to(root) for root in roots)
