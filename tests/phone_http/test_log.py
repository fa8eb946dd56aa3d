"""One line a request, in JSON, with what an administrator looks for and no secret; of a `ztp serve` of its own."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from tests.conftest import ADMIN, HD400, HOSTILE_PASSWORD, OTHER_VVX, VVX, VVX_UA, World, sample_phone
from tests.phone_http.conftest import IMAGE, VERSION, Start, environment
from ztp_server.domain.phone import Line

# None of these is part of anything else that is written.
SECRETS = ["zXq&<\"9'%Km1", "adm-Zq81-Word", "use-Zq82-Word", "hld-Zq83-Word", "cst-Zq84-Word"]
PHONE = "0004f2000777"
SETTINGS = f"{VVX}-settings.cfg"


@dataclass
class Served:
    """A `ztp serve` in a process of its own, and what it wrote."""

    urls: Sequence[str]
    admin: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""

    async def ask(self, path: str, method: str = "GET", **options: Any) -> tuple[int, bytes]:
        headers = {"User-Agent": VVX_UA, **options.pop("headers", {})}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.urls[0] + path, headers=headers, **options) as answer,
        ):
            return answer.status, await answer.read()

    async def say(self, head: str) -> None:
        """A request as it is, such as no client library would send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(self.urls[0]).port)
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()

    def of(self, file: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == "request" and line["file"] == file]


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[Served]:
    """Serve until the end of the block; then the lines of the log are there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ztp_server", "serve", "--log", "json", "--public-name", "127.0.0.1"),
        *(f"--phone-{kind}=127.0.0.1:0" for kind in ("http", "https", "mtls")),
        "--admin=127.0.0.1:0",
        env=environment(data),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    said = ""
    while "Ready" not in said:
        line = await process.stdout.readline()
        assert line, (await process.communicate())[1].decode()
        said += line.decode()
    served = Served(re.findall(r"https?://127\.0\.0\.1:\d+/", said)[:3], re.findall(r"http://\S+(?=/api/)", said)[0])
    try:
        yield served
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        served.text = errors.decode()
        served.lines += [json.loads(line) for line in served.text.splitlines()]


async def test_a_request_is_one_line_that_says_who_got_what(copy: Path) -> None:
    async with serving(copy) as served:
        status, body = await served.ask(SETTINGS.upper().replace("-SETTINGS.CFG", "-settings.cfg"))
    [line] = served.of(SETTINGS.upper().replace("-SETTINGS.CFG", "-settings.cfg"))

    assert status == 200
    assert line["mac"] == VVX and line["model"] == "vvx-411" and line["firmware"] == "5.9.7.4477"
    assert (line["status"], line["bytes"]) == (200, len(body))
    assert (line["listener"], line["method"], line["proof"], line["address"]) == ("http", "GET", "network", "127.0.0.1")
    assert line["ms"] >= 0 and line["timestamp"] and line["level"] == "info"


async def test_a_refusal_is_told_to_the_administrator_with_its_reason(copy: Path) -> None:
    async with serving(copy) as served:
        for path in ("0004f2999999.cfg", f"{VVX}-nothing.cfg", "nothing"):
            assert (await served.ask(path))[0] == 404
    reasons = [served.of(path)[0]["reason"] for path in ("0004f2999999.cfg", f"{VVX}-nothing.cfg", "nothing")]

    assert reasons[0] == "unknown phone" and reasons[1] == reasons[2] == "no such file"


async def test_bytes_are_those_that_were_sent(start: Start, copy: Path, tmp_path: Path) -> None:
    world = await start(copy)
    image = tmp_path / "image"
    image.write_bytes(IMAGE)
    await world.services.firmware.add(ADMIN, image, ["vvx-411"], VERSION, False)
    await world.app.stop()
    name = f"fw/{VERSION}/sip.ld"
    async with serving(copy) as served:
        _, whole = await served.ask(name)
        _, part = await served.ask(name, headers={"Range": "bytes=0-99"})
        await served.ask(name, method="HEAD")
        await served.ask(SETTINGS, method="HEAD")

    assert (whole, part) == (IMAGE, IMAGE[:100])
    assert [line["status"] for line in served.of(name)] == [200, 206, 200]
    assert [line["bytes"] for line in served.of(name)] == [len(IMAGE), 100, 0]
    assert [line["bytes"] for line in served.of(SETTINGS)] == [0]


async def test_what_strangers_send_cannot_forge_or_break_a_line(copy: Path) -> None:
    async with serving(copy) as served:
        await served.ask("x%0a%7b%22event%22%3a%22forged%22%7d")
        for version in ("\x1b[31m", "\u202eevil", '"},{"x":"', "9" * 3000):
            await served.say(f"GET /nothing HTTP/1.1\r\nHost: x\r\nUser-Agent: AUDC-IPPhone/{version} (405HD; {HD400})")

    assert "forged" not in {line["event"] for line in served.lines}
    assert "\x1b" not in served.text and "\u202e" not in served.text
    assert max(map(len, served.text.splitlines())) < 1500


async def test_no_secret_is_in_a_line_a_metric_or_the_database(start: Start, copy: Path) -> None:
    world = await start(copy)
    await _keep_secrets(world)
    given = _plain(await world.ask(f"{PHONE}-settings.cfg")) + _plain(await world.ask(f"{PHONE}-custom.cfg"))
    assert all(secret in given for secret in SECRETS)
    await world.app.stop()
    async with serving(copy) as served:
        for path in ("", "-settings", "-custom", "-nothing"):
            await served.ask(f"{PHONE}{path}.cfg")
        await served.ask(f"{PHONE}-app.log", method="PUT", data=b"log")
        async with aiohttp.ClientSession() as session:
            metrics = await (await session.get(served.admin + "/metrics")).text()
            health = await (await session.get(served.admin + "/healthz")).text()
        # While it runs, the write-ahead log is a file of its own.
        running = _database_files(copy)
    stopped = _database_files(copy)

    assert served.of(f"{PHONE}-settings.cfg") and {"ztp.db", "ztp.db-wal"} <= set(running)
    for secret in [*SECRETS, HOSTILE_PASSWORD]:
        for spelled in (secret, json.dumps(secret)[1:-1]):
            assert spelled not in served.text and spelled not in metrics and spelled not in health
            assert not [
                name for files in (running, stopped) for name, bytes_ in files.items() if spelled.encode() in bytes_
            ]


async def test_no_secret_is_in_an_event_or_the_audit(world: World) -> None:
    await _keep_secrets(world)
    async with world.services.store.read() as session:
        told = f"{await session.events.latest(1000)} {await session.audit.page(below=None, limit=1000)}"

    assert "phone.added" in told
    assert not [secret for secret in [*SECRETS, HOSTILE_PASSWORD] if secret in told]


async def test_a_quiet_server_writes_no_warning(copy: Path) -> None:
    async with serving(copy) as served:
        for name in (f"{VVX}.cfg", SETTINGS, f"{HD400}.cfg", f"{OTHER_VVX}.cfg", "000000000000.cfg", "nothing"):
            await served.ask(name)

    assert [line for line in served.lines if line["level"] != "info"] == []


def _database_files(data: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data.glob("ztp.db*")}


def _plain(answer: Any) -> str:
    text: str = answer.text
    for escaped, character in (("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(escaped, character)
    return text


async def _keep_secrets(world: World) -> None:
    password, admin, user, held, custom = SECRETS
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"admin_password": admin})
    await world.services.phones.add(
        ADMIN,
        sample_phone(
            PHONE,
            lines=(Line("1", password=password),),
            line_keys=(),
            settings={"user_password": user, "held_token": held, "custom.sec.some.password": custom},
        ),
    )


async def test_the_pattern_for_fail2ban_finds_who_fails_and_is_not_misled(copy: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "limits.md").read_text()
    [shown] = re.findall("(?m)^failregex = (.*)$", page)
    pattern = re.compile(shown.replace("<HOST>", r"(?P<host>[0-9a-fA-F.:]+)"))
    forged = '", "proof": "", "address": "192.0.2.1", "reason": "unknown phone"}'
    async with serving(copy) as served:
        await served.ask("0004f2999999-settings.cfg")
        await served.ask(SETTINGS)
        await served.ask(f"{VVX}-nothing.cfg")
        await served.say(f"GET /{SETTINGS} HTTP/1.1\r\nHost: x\r\nUser-Agent: AUDC-IPPhone/{forged} (405HD; {HD400})")
    matches = filter(None, map(pattern.search, served.text.splitlines()))
    found = [(match["host"], json.loads(match.string)["file"]) for match in matches]

    assert found == [("127.0.0.1", "0004f2999999-settings.cfg")]
