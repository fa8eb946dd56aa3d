"""JSON-RPC of Kamailio, as version 5.6 was seen to answer: the server here is scripted, to be hostile and to go wrong.
A real one is in test_real_kamailio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth, web

from tests.sip.sources.scripted import everything, report, silent, told
from ztp_server.domain.platform import Platform
from ztp_server.pki.authority import ensure_server_files
from ztp_server.sip.sources import json_rpc, kamailio_rpc, source, usrloc
from ztp_server.sip.sources.kamailio_rpc import KamailioRpc
from ztp_server.sip.sources.source import Everything, Place, Told

SECRET = 'p:w"é'


class Registrar:
    """What it knows by address of record, and what it was asked."""

    def __init__(self) -> None:
        self.contacts: dict[str, list[dict[str, Any]]] = {}
        self.started = "now"
        self.answers: Callable[[dict[str, Any]], web.Response | None] = lambda asked: None
        self.asked: list[str] = []
        self.logins: set[str] = set()
        # Of each lookup, in seconds.
        self.takes = 0.0

    async def serve(self, request: web.Request) -> web.Response:
        self.logins.add(request.headers.get("Authorization", ""))
        asked = await request.json()
        self.asked.append(" ".join([asked["method"], *asked["params"]]))
        odd = self.answers(asked)
        if odd is not None:
            return odd
        if asked["method"] == "core.uptime":
            return result(asked, {"up_since": self.started, "uptime": 2})
        if asked["method"] == "ul.dump":
            known = [{"AoR": aor} for aor in self.contacts]
            return result(asked, {"Domains": [{"Domain": {"Domain": "location", "AoRs": known}}]})
        await asyncio.sleep(self.takes)
        found = self.contacts.get(asked["params"][1])
        if found is None:
            return web.json_response({"error": {"code": 500, "message": "AOR not found in location table"}}, status=500)
        return result(asked, {"AoR": asked["params"][1], "Contacts": [{"Contact": one} for one in found]})


def result(asked: dict[str, Any], found: Any) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "result": found, "id": asked["id"]})


def contact(uri: str, **changed: Any) -> dict[str, Any]:
    return {
        **{"Address": uri, "Expires": 600, "User-Agent": "Acme/1", "Received": "[not set]", "State": "CS_NEW"},
        **{"Socket": "tls:192.0.2.5:5061", **changed},
    }


@asynccontextmanager
async def at(registrar: Registrar, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/RPC", registrar.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}/RPC"
    finally:
        await runner.cleanup()


def rpc(url: str, **changed: str) -> KamailioRpc:
    return KamailioRpc(Platform("pbx", "PBX", ("pbx.example",), source="kamailio_rpc", source_address=url, **changed))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(source, "_MOST_PAUSE", 0.0)
    monkeypatch.setattr(kamailio_rpc, "_LEAST_BETWEEN", 0.05)


@pytest.fixture
def registrar() -> Registrar:
    return Registrar()


async def test_who_comes_and_goes_is_told(registrar: Registrar) -> None:
    registrar.contacts["Alice".lower()] = [contact("sip:alice@192.0.2.7", Received="sip:198.51.100.1:5060")]
    registrar.contacts["bob@other.example"] = [
        contact("sip:bob@192.0.2.8;transport=ws", Expires="permanent"),
        contact("sip:bob@192.0.2.9", Expires="expired"),
        contact("sip:bob@192.0.2.9", Expires=0),
    ]
    async with at(registrar) as url:
        tells = rpc(url)
        tells.want({"Alice@pbx.example", "bob@other.example"})
        async with tells:
            lines = await everything(tells)
            place = lines["Alice"].contacts[0]
            assert (place.uri, place.transport, place.user_agent) == ("sip:alice@192.0.2.7", "tls", "Acme/1")
            assert place.received == "sip:198.51.100.1:5060" and place.expires_at
            assert lines["bob"] == Told(
                "bob", "other.example", (Place("sip:bob@192.0.2.8;transport=ws", "ws", "Acme/1"),)
            )
            # Nobody of ours: that it is registered is all that is asked for.
            registrar.contacts["carol"] = [contact("sip:carol@192.0.2.7")]
            assert await told(tells) == Told("carol", "", (Place(""),))
            assert "ul.lookup location carol" not in registrar.asked
            del registrar.contacts["alice"]
            assert await told(tells) == Told("Alice", "", ())
            tells.want({"carol@pbx.example"})
            assert (await told(tells)).contacts[0].uri == "sip:carol@192.0.2.7"


async def test_what_is_over_is_looked_at_when_it_is(registrar: Registrar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kamailio_rpc, "_AFTER_EXPIRY", 0.0)
    monkeypatch.setattr(kamailio_rpc, "_UNTIL_DROPPED", 0.1)
    registrar.contacts["100"] = [contact("sip:100@192.0.2.7", Expires=1)]
    async with at(registrar) as url, rpc(url) as tells:
        assert (await everything(tells))["100"].contacts
        # It is still in the table, which is swept once a minute.
        registrar.contacts["100"] = [contact("sip:100@192.0.2.7", Expires="expired")]
        assert (await told(tells)).contacts == ()
        registrar.contacts["100"] = [contact("sip:100@192.0.2.9")]
        assert (await told(tells)).contacts[0].uri == "sip:100@192.0.2.9"


async def test_a_registrar_that_was_started_again_is_asked_for_everything(registrar: Registrar) -> None:
    registrar.contacts["100"] = [contact("sip:100@192.0.2.7")]
    async with at(registrar) as url, rpc(url) as tells:
        assert set(await everything(tells)) == {"100"}
        registrar.started = "later"
        registrar.contacts["200"] = [contact("sip:200@192.0.2.7")]
        found = await report(tells)
        while not isinstance(found, Everything):
            found = await report(tells)
        assert {one.user for one in found.told} == {"100", "200"}


async def test_it_is_asked_no_more_than_its_share(registrar: Registrar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kamailio_rpc, "_MOST_SAVED", 0.05)
    registrar.contacts = {str(number): [contact("sip:x@192.0.2.7")] for number in range(100)}
    registrar.takes = 0.005
    async with at(registrar) as url, rpc(url) as tells:
        lines = await everything(tells)
        # All are known to be registered, ten at most to be anywhere.
        assert len(lines) == 100 and registrar.asked.count("ul.dump brief") == 1
        assert sum(one.contacts != (Place(""),) for one in lines.values()) <= 10


Answers = Callable[[dict[str, Any]], web.Response]
HOSTILE: dict[str, tuple[Answers, str]] = {
    "no JSON": (lambda asked: web.Response(text="<html>"), "no JSON-RPC"),
    "deep JSON": (lambda asked: web.Response(text="[" * 100_000), "no JSON-RPC"),
    "a list": (lambda asked: web.json_response([1]), "no JSON-RPC"),
    "another answer": (lambda asked: web.json_response({"id": 0, "result": {}}), "not what was asked"),
    "too much": (lambda asked: web.Response(body=b" " * (json_rpc.LARGEST + 1)), "more than"),
    "a refusal": (lambda asked: web.json_response({"error": {"message": "Method Not Found"}}, status=500), "Not Found"),
    "a way elsewhere": (lambda asked: web.Response(status=307, headers={"Location": "/other"}), "307"),
    "a login": (lambda asked: web.Response(status=401), "401"),
    "no table": (lambda asked: result(asked, {"Domains": 7}), "without Domains"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_hostile_is_survived(registrar: Registrar, name: str) -> None:
    answers, reason = HOSTILE[name]
    registrar.answers = answers
    registrar.contacts["100"] = [contact("sip:100@192.0.2.7")]
    async with at(registrar) as url, rpc(url, source_user="ztp", source_password=SECRET) as tells:
        assert reason in (said := await silent(tells)) and SECRET not in said
        registrar.answers = lambda asked: None
        found = await report(tells)
        while not isinstance(found, Everything):
            found = await report(tells)
        assert [one.user for one in found.told] == ["100"]
    # `/other` has none to follow to: it would be 404.
    assert registrar.logins == {encode_basic_auth("ztp", SECRET, "utf-8")}


async def test_odd_records_are_passed_over(registrar: Registrar, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Any] = [
        *(None, {}, {"Contact": 7}, {"Contact": {"Expires": True, "Address": 7}}, {"Contact": {"Expires": 10**30}}),
        *({"Contact": contact("sip:" + "x" * 9999)},),
    ]

    def odd(asked: dict[str, Any]) -> web.Response | None:
        if asked["method"] == "ul.lookup":
            return result(asked, {"Contacts": records})
        if asked["method"] == "ul.dump":
            table = {"Domain": "location", "AoRs": [{"AoR": "100"}, {"AoR": 7}, 7, {}]}
            return result(asked, {"Domains": [{"Domain": table}, {"Domain": 7}, 7]})
        return None

    registrar.answers = odd
    async with at(registrar) as url:
        async with rpc(url) as tells:
            (line,) = (await everything(tells)).values()
            assert [len(place.uri) for place in line.contacts] == [0, 0, 512]
        monkeypatch.setattr(usrloc, "MOST_TOLD", 0)
        async with rpc(url) as tells:
            assert "more than 0" in await silent(tells)


async def test_who_shows_another_certificate_learns_no_password(registrar: Registrar, tmp_path: Path) -> None:
    files = ensure_server_files(tmp_path / "tls", ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    async with at(registrar, context) as url:
        async with rpc(url, source_user="ztp", source_password=SECRET) as tells:
            assert "certificate" in await silent(tells)
        assert registrar.logins == set()
        async with rpc(url, source_user="ztp", source_password=SECRET, ca=files.ca.read_text()) as tells:
            assert await report(tells) == Everything(())
        assert len(registrar.logins) == 1


async def test_nobody_there_is_silence(registrar: Registrar) -> None:
    async with at(registrar) as url:
        pass
    async with rpc(url) as tells:
        assert "refused" in await silent(tells)
    async with rpc("http://169.254.169.254/latest/meta-data") as tells:
        assert "ermission" in await silent(tells)
    assert registrar.asked == []


async def test_a_contact_that_changed_without_a_gap_is_seen_soon_however_many_others_there_are(
    registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kamailio_rpc, "_TURN_SECONDS", 0.1)
    registrar.contacts = {"100": [contact("sip:100@192.0.2.7")], **{f"s{n}": [] for n in range(4000)}}
    async with at(registrar) as url:
        tells = rpc(url)
        tells.want({"100@pbx.example"})
        async with tells:
            assert (await everything(tells))["100"].contacts[0].uri == "sip:100@192.0.2.7"
            registrar.contacts["100"] = [contact("sip:100@192.0.2.8")]
            assert (await told(tells)).contacts[0].uri == "sip:100@192.0.2.8"
