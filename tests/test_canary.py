"""Secrets are planted wherever one can stand; after a day's work none of them is found where it does not belong.

Looked through: every file of the data folder (the database with its WAL among them), what was printed and logged, the
metrics, every answer of REST that is not meant to show a secret, what phones without a proof are given, and backups.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, VVX_UA, World
from tests.services.sealed import flip
from ztp_server.api.application import NOUNS
from ztp_server.api.openapi import document
from ztp_server.domain.account import RoleGrant
from ztp_server.domain.proof import token_path
from ztp_server.services.restore import restore
from ztp_server.services.sealed_stream import Passphrase

OWN = f"{VVX}-settings.cfg"
NEW = "0004f2777777"


def canary(place: str) -> str:
    """A secret like no other text, in characters that are written alike in every file."""
    return f"Canary{place}Zq7xW9"


LINE, ADMIN_PASSWORD, CUSTOM = canary("Line"), canary("AdminPassword"), canary("Custom")
HELD, USER_LINE, DIGEST, ACCOUNT = canary("Held"), canary("UserLine"), canary("Digest"), canary("Account")
IMPORTED, BULK, SITE_ADMIN, REFUSED = canary("Imported"), canary("Bulk"), canary("SiteAdmin"), canary("Refused")
PASSPHRASE, CHANGED, REMOVED, GUESSED = canary("Passphrase"), canary("Changed"), canary("Removed"), canary("Guessed")
PLATFORM, SOURCE = canary("Platform"), canary("Source")
PLANTED = (LINE, ADMIN_PASSWORD, CUSTOM, HELD, USER_LINE, DIGEST, ACCOUNT, IMPORTED, BULK, SITE_ADMIN, REFUSED,
           PASSPHRASE, CHANGED, REMOVED, GUESSED, PLATFORM, SOURCE)  # fmt: skip


def shapes(secret: str) -> list[bytes]:
    """A secret as it might be written: as it is, backwards, in hex, and in base64 wherever it stands in it."""
    raw = secret.encode()
    found = [raw, raw[::-1], raw.hex().encode()]
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw)
        found.append(encoded[4 if lead else 0 : -4])
    return found


@dataclass
class Seen:
    """What anybody was shown, and where."""

    texts: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, where: str, content: bytes | str) -> None:
        self.texts.append((where, content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content))

    def found(self, secrets: Iterable[str]) -> list[str]:
        wanted = [(secret, shape.lower()) for secret in secrets for shape in shapes(secret)]
        lowered = [(where, content.lower()) for where, content in self.texts]
        return sorted({f"{secret} in {where}" for secret, shape in wanted for where, text in lowered if shape in text})


@dataclass
class Rest:
    """Speaks to the admin listener. What it answers is looked through, unless it is meant to show a secret."""

    world: World
    token: str
    seen: Seen

    async def ask(
        self, method: str, path: str, body: Any = None, *, shows: bool = False, expect: int = 0, **more: Any
    ) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        below = "" if path == "/metrics" else "/api/v1"
        url = f"http://{self.world.app.admin_address}{below}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body, headers=headers, **more) as answer,
        ):
            content = await answer.read()
            if not shows:
                self.seen.add(f"{method} {path}", content)
                self.seen.add(f"headers of {method} {path}", repr(list(answer.headers.items())))
            assert not expect or answer.status == expect, f"{method} {path}: {answer.status} {content[:500]!r}"
            assert answer.status < 500 or answer.status == 503, f"{method} {path}: {answer.status} {content[:500]!r}"
            return json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content


async def plant(world: World, rest: Rest) -> dict[str, str]:
    """Every place that holds a secret holds one of ours. Returns secrets that the server made itself, by what they
    are."""
    services = world.services
    await rest.ask(
        "PATCH", "/sites/madrid", {"settings": {"held_token": HELD, "admin_password": SITE_ADMIN}}, expect=200
    )
    await rest.ask("PATCH", "/base-settings/vvx-standard", {"settings": {"admin_password": ADMIN_PASSWORD}}, expect=200)
    line = {"user": "1001", "password": LINE, "label": "1001"}
    settings = {"custom.reg.1.auth.loginPin.secret": CUSTOM}
    await rest.ask("PATCH", f"/phones/{VVX}", {"lines": [line], "line_keys": [], "settings": settings}, expect=200)
    await rest.ask("POST", "/users", {"id": "eva", "lines": [{"user": "7", "password": USER_LINE}]}, expect=201)
    await rest.ask("POST", "/accounts", {"id": "ana", "name": "Ana", "password": ACCOUNT}, expect=201)
    door = {"source": "asterisk_ami", "source_address": "tcp:127.0.0.1:1", "source_user": "ztp"}
    platform = {"id": "pbx", "domains": ["sip.example.net"], "address": "tcp:127.0.0.1:1", "user": "ztp", **door}
    await rest.ask("POST", "/platforms", {**platform, "password": PLATFORM, "source_password": SOURCE}, expect=201)
    made: dict[str, str] = {}
    login = await rest.ask("POST", "/login", {"account": "ana", "password": ACCOUNT}, shows=True, expect=200)
    made["session token"] = login["token"]
    key = {"headers": {"Idempotency-Key": "one"}}
    grants = [{"role": "viewer"}]
    token = await rest.ask("POST", "/tokens", {"name": "ci", "roles": grants}, shows=True, expect=201, **key)
    made["API token"] = next(value for value in token.values() if isinstance(value, str) and value.startswith("ztp_"))
    digest = {"user": "vvx", "password": DIGEST}
    await rest.ask("PUT", f"/phones/{VVX}/digest", digest, shows=True)
    for kind in ("bootstrap", "steady"):
        token = await rest.ask("POST", f"/phones/{OTHER_VVX}/tokens", {"kind": kind}, shows=True)
        made[f"{kind} token"] = token["token"]
    password = await rest.ask("POST", f"/phones/{OTHER_VVX}/new-password", {}, shows=True, expect=200)
    made["new password"] = password["new_passwords"][0]["password"] if "new_passwords" in password else ""
    made["secret.key"] = (world.data / "secret.key").read_text().strip()
    async with services.store.read() as session:
        raw = services.store.keys.file.unwrap(await session.data_keys.wrapped())
    made["data key"] = base64.b64encode(raw[1]).decode()
    return {name: text for name, text in made.items() if text}


async def work(world: World, rest: Rest, made: Mapping[str, str]) -> None:
    """A day of phones and administrators, with everything that goes wrong on it."""
    device = world.device("poly", VVX)
    for listener, more in (("http", {}), ("https", {}), ("mtls", {"device": device})):
        answer = await world.ask(OWN, listener=listener, **more)
        assert answer.status == 200 and LINE in answer.text
    await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)
    # Wrong in every way: what phones send is no secret of ours, but the answers must not be either.
    for path in (
        OWN,
        f"{NEW}-settings.cfg",
        f"{OTHER_VVX}-settings.cfg",
        "000000000000.cfg",
        "nothing",
        "%00",
        "..%2f",
    ):
        for headers in ({}, {"X-Forwarded-For": "192.0.2.1"}, {"Authorization": "Basic eDp5"}):
            answer = await world.ask(path, listener="https", method="GET", user_agent="curl/8", headers=headers)
            if path != OWN and path != f"{OTHER_VVX}-settings.cfg":
                rest.seen.add(f"phone file {path}", answer.body)
    for kind in ("bootstrap token", "steady token"):
        for file in (f"{OTHER_VVX}-settings.cfg", f"{VVX}-settings.cfg", "nothing", "a/b.cfg", "%00", ""):
            await world.ask(f"{token_path(made[kind])}{file}")
        await world.ask(token_path(made[kind]).rstrip("/"))
    await world.ask(f"{VVX}-phone.cfg", method="PUT", body=b"<PHONE_CONFIG><ALL divert.1.contact='1'/></PHONE_CONFIG>")
    await world.ask(f"{VVX}-phone.cfg", method="PUT", body=f"<broken {LINE}".encode())

    await rest.ask("POST", "/login", {"account": "ana", "password": GUESSED}, expect=401)
    await rest.ask("POST", "/login", {"account": GUESSED, "password": ACCOUNT}, expect=401)
    await rest.ask("GET", "/me", headers={"Authorization": f"Bearer ztp_{GUESSED}"}, expect=401)
    for body in ({"user": "1", "password": REFUSED + "\n"}, {"user": "1", "password": REFUSED * 50}, {"pass": REFUSED}):
        await rest.ask("PATCH", f"/phones/{VVX}", {"lines": [body]})
    for setting in ("admin_password", "held_token", "custom.reg.1.auth.loginPin.secret"):
        await rest.ask("PATCH", f"/phones/{VVX}", {"settings": {setting: REFUSED + "\x07"}}, expect=422)
        await rest.ask("PUT", f"/phones/{VVX}/settings/{setting}", {"value": [REFUSED]})
    await rest.ask("POST", "/accounts", {"id": "bad id", "password": REFUSED}, expect=422)
    await rest.ask("PATCH", "/platforms/pbx", {"password": REFUSED + "\x07"}, expect=422)
    await rest.ask("PATCH", "/platforms/pbx", {"address": f"udp:ztp:{REFUSED}@127.0.0.1"}, expect=422)
    await rest.ask("PATCH", "/platforms/pbx", {"name": "New", "direct": True}, expect=200)
    await rest.ask("POST", "/platforms/pbx/check", expect=200)
    await rest.ask("POST", "/tokens", {"name": "ci", "roles": [{"role": "none"}]})

    header = "hardware_id,name,model,site,base_settings,line1_user,line1_password,settings.admin_password\n"
    good = f"{header}{NEW},New,vvx-411,madrid,vvx-standard,9,{IMPORTED},{IMPORTED}\n"
    bad = f'{header}nonsense,New,vvx-411,madrid,vvx-standard,9,{REFUSED},"{REFUSED}\n"\n'
    for text in (bad, good):
        job = await rest.ask(
            "POST",
            "/phones/import",
            data=text.encode(),
            headers={"Content-Type": "text/csv"},
            params={"mode": "upsert"},
        )
        await finished(world, rest, job)
    change = {"change": {"settings": {"admin_password": BULK}}}
    for path in ("/phones/edit/preview", "/phones/edit"):
        job = await rest.ask("POST", path, {"filter": {"site": ["madrid"]}, **change})
        if path == "/phones/edit":
            await finished(world, rest, job)
            await finished(world, rest, await rest.ask("POST", f"/jobs/{job['id']}/undo"))
    await rest.ask("PATCH", f"/phones/{VVX}", {"lines": [{"user": "1001", "password": CHANGED}]}, expect=200)
    await rest.ask("PATCH", f"/phones/{NEW}", {"lines": [{"user": "9", "password": REMOVED}]}, expect=200)
    await rest.ask("DELETE", f"/phones/{NEW}")
    # What shows secrets to who may see them, and says why.
    for path in (f"/phones/{VVX}/files/{OWN}", f"/phones/{VVX}/connection", "/phones/export"):
        await rest.ask("GET", path, shows=True, params={"reveal": "true", "reason": "moving"})
    await rest.ask("POST", "/sites/madrid/reveal", {"reason": "moving"}, shows=True, expect=200)
    await rest.ask("POST", f"/phones/{VVX}/why", {"file": OWN, "from": "127.0.0.1"}, expect=200)
    await world.ask(OWN)
    await world.services.keys.rotate(ADMIN)
    await world.services.keys.rotate_wrapping(ADMIN)


async def finished(world: World, rest: Rest, job: Any) -> None:
    assert "id" in job, job
    await world.services.job_runner.run(job["id"])
    for path in (f"/jobs/{job['id']}", f"/jobs/{job['id']}/items", f"/jobs/{job['id']}/report"):
        await rest.ask("GET", path)


async def look_at_everything(rest: Rest) -> None:
    """Every GET of the interface, for every phone, site, job, … there is."""
    ids = {
        "sites": ["madrid"], "base-settings": ["vvx-standard", "400hd"], "phones": [VVX, OTHER_VVX, HD400],
        "users": ["eva"], "accounts": ["ana"], "models": ["vvx-411"], "roles": ["admin"], "platforms": ["pbx"],
    }  # fmt: skip
    for path, operations in document(NOUNS)["paths"].items():
        path = path.removeprefix("/api/v1")
        noun = path.split("/")[1]
        if "get" not in operations or noun == "firmware" or "session" in path:
            continue
        if "text/event-stream" in operations["get"]["responses"]["200"].get("content", {}):
            continue  # which has no end, and holds nothing that the lists do not
        for one in ids.get(noun, ["none"]) if "{id}" in path else [""]:
            filled = path.replace("{id}", one).replace("{name}", f"{one}-settings.cfg").replace("{number}", "1")
            await rest.ask("GET", re.sub(r"\{[a-z_]+\}", "none", filled))
    for path in ("/audit", "/events", "/jobs"):
        await rest.ask("GET", path, params={"limit": "1000"})
    await rest.ask("GET", "/phones", params={"q": "1001"})
    await rest.ask("GET", f"/phones/{VVX}/settings")
    await rest.ask("GET", "/metrics")


def look_through(seen: Seen, folder: Path, leave_out: Iterable[str] = ()) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in leave_out:
            seen.add(str(path.relative_to(folder)), path.read_bytes())


async def test_no_secret_is_found_where_it_does_not_belong(
    world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = Seen()
    text, _ = await world.services.tokens.create(ADMIN, "day", [RoleGrant("admin")])
    rest = Rest(world, text, seen)
    made = {"API token of the day": text, **await plant(world, rest)}
    await work(world, rest, made)
    await look_at_everything(rest)
    await world.services.backups.make(ADMIN, tmp_path / "file", Passphrase(PASSPHRASE))
    await world.app.check_ins.flush()
    # While it runs, so that the WAL is there; and what the day left behind.
    assert (world.data / "ztp.db-wal").stat().st_size
    look_through(seen, world.data, ["secret.key"])
    seen.add("backup", (tmp_path / "file").read_bytes())
    flip(world.data, "lines", "password", "user = '2001'")
    await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)
    await world.app.check_ins.flush()
    await world.restart()
    rest.world = world
    await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)
    await look_at_everything(rest)
    await world.app.stop()
    look_through(seen, world.data, ["secret.key"])
    restore(tmp_path / "file", tmp_path / "again", Passphrase(PASSPHRASE))
    look_through(seen, tmp_path / "again", ["secret.key"])
    printed = capfd.readouterr()
    assert "request" in printed.err
    seen.add("stdout", printed.out)
    seen.add("stderr", printed.err)

    assert seen.found(PLANTED) == []
    # What the server made: whole, and without what only says whose it is.
    for name, secret in made.items():
        assert not seen.found([secret.rpartition("_")[2]]), name


def test_what_is_looked_for_would_be_found(tmp_path: Path) -> None:
    seen = Seen()
    for number, shape in enumerate(shapes(LINE)):
        seen.add(str(number), b"x" + shape + b"x")
    encoded = [base64.b64encode(b"x" * lead + LINE.encode() + b"y" * 5) for lead in range(3)]
    for lead, text in enumerate(encoded):
        seen.add(f"base64 {lead}", text)
    with closing(sqlite3.connect(tmp_path / "ztp.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (c)")
        database.execute("INSERT INTO t VALUES (?)", (LINE,))
        database.commit()
        look_through(seen, tmp_path)
    found = {line.partition(" in ")[2] for line in seen.found([LINE])}
    assert {where for where, _ in seen.texts} - found <= {"ztp.db", "ztp.db-shm"}
    assert seen.found([ADMIN_PASSWORD]) == [] and VVX_UA
