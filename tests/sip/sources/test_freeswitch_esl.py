"""The Event Socket, as its documentation shows it: the server here is scripted, not FreeSWITCH."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.sip.sources.scripted import Peer, door, everything, report, silent, told
from ztp_server.domain.platform import Platform
from ztp_server.sip.sources import freeswitch_esl, source
from ztp_server.sip.sources.freeswitch_esl import FreeswitchEsl
from ztp_server.sip.sources.source import Everything, Place, Told

SECRET = 'Clue Con"'
ENDS = 4_102_444_800


def esl(port: int, user: str = "", password: str = SECRET) -> FreeswitchEsl:
    address = f"tcp:127.0.0.1:{port}"
    return FreeswitchEsl(
        Platform(
            "pbx", "PBX", ("pbx.example",), source="freeswitch_esl", source_address=address, source_user=user,
            source_password=password,
        )
    )  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(source, "_MOST_PAUSE", 0.0)


async def logged_in(peer: Peer, question: str = f"auth {SECRET}") -> None:
    peer.say("Content-Type: auth/request\n\n")
    assert await peer.lines() == [question]
    peer.say("Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
    assert await peer.lines() == ["event plain CUSTOM sofia::register sofia::unregister sofia::expire"]
    peer.say("Content-Type: command/reply\nReply-Text: +OK event listener enabled plain\n\n")


def answer(body: str, kind: str = "api/response") -> str:
    return f"Content-Type: {kind}\nContent-Length: {len(body.encode())}\n\n{body}"


def row(user: str, token: str, **changed: Any) -> dict[str, Any]:
    return {
        **{"reg_user": user, "realm": "pbx.example", "token": token, "expires": str(ENDS), "hostname": "fs"},
        **{"url": f"sofia/internal/sip:{user}@192.0.2.7:5060;fs_nat=yes", "network_ip": "192.0.2.7"},
        **{"network_port": "5060", "network_proto": "udp", "metadata": "", **changed},
    }


async def listed(peer: Peer, *rows: dict[str, Any]) -> None:
    assert await peer.lines() == ["api show registrations as json"]
    peer.say(answer(json.dumps({"row_count": len(rows), **({"rows": rows} if rows else {})})))


def event(kind: str, **headers: str) -> str:
    lines = {"Event-Name": "CUSTOM", "Event-Subclass": f"sofia::{kind}", **headers}
    return answer(
        "".join(f"{name.replace('_', '-')}: {quote(value)}\n" for name, value in lines.items()) + "\n",
        "text/event-plain",
    )


def registered(user: str, call: str, expires: str = "60") -> str:
    return event(
        "register",
        profile_name="internal",
        from_user=user,
        from_host="pbx.example",
        contact=f'"Jo: 😀" <sip:{user}@192.0.2.8:5062;transport=tls>',
        call_id=call,
        expires=expires,
        network_ip="192.0.2.8",
        network_port="5062",
        user_agent="Acme/2: 100%",
    )


async def test_all_registrations_are_told_and_then_what_changes() -> None:
    happened = asyncio.Event()

    async def script(peer: Peer) -> None:
        await logged_in(peer)
        await listed(peer, row("100", "a"), row("100", "b", realm="other"), row("200", "c", network_ip="", url="?"))
        peer.say(registered("300", "d"))
        await happened.wait()
        peer.say(event("unregister", from_user="300", from_host="pbx.example", call_id="d", expires="0"))
        peer.say(event("expire", user="100", host="pbx.example", call_id="a", expires=str(ENDS)))
        peer.say(event("gateway_state", from_user="x"))
        await peer.stay()

    async with door(script) as port, esl(port) as tells:
        found = await report(tells)
        assert isinstance(found, Everything)
        ends = datetime.fromtimestamp(ENDS, UTC)
        place = Place("sip:100@192.0.2.7:5060;fs_nat=yes", "udp", "", ends, "192.0.2.7:5060")
        first, second, third = found.told
        assert (first, second) == (Told("100", "pbx.example", (place,)), Told("100", "other", (place,)))
        assert third == Told("200", "pbx.example", (Place("?", "udp", "", ends),))
        (one,) = (await told(tells)).contacts
        assert (one.uri, one.transport) == ("sip:300@192.0.2.8:5062;transport=tls", "tls")
        assert (one.user_agent, one.received) == ("Acme/2: 100%", "192.0.2.8:5062")
        assert one.expires_at and timedelta(0) < one.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
        happened.set()
        assert await told(tells) == Told("300", "pbx.example", ())
        assert await told(tells) == Told("100", "pbx.example", ())


async def test_what_an_event_leaves_open_is_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeswitch_esl, "_LEAST_BETWEEN", 0.0)

    async def script(peer: Peer) -> None:
        await logged_in(peer)
        await listed(peer, row("100", "a"))
        # The same user by another call: it may have taken the place of the first, or not.
        peer.say(registered("100", "b"))
        await listed(peer, row("100", "b"))
        peer.say(event("unregister", from_user="100", from_host="pbx.example", call_id="never heard of"))
        await listed(peer)
        await peer.stay()

    async with door(script) as port, esl(port) as tells:
        assert len((await everything(tells))["100"].contacts) == 1
        found = await report(tells)
        while not isinstance(found, Everything):
            found = await report(tells)
        (line,) = found.told
        # The list says nothing of the phone: it is remembered from when it registered.
        assert [one.user_agent for one in line.contacts] == ["Acme/2: 100%"]
        while found != Everything(()):
            found = await report(tells)


async def test_a_user_of_the_directory_logs_in_with_a_name() -> None:
    async def script(peer: Peer) -> None:
        await logged_in(peer, f"userauth ztp@pbx.example:{SECRET}")
        await listed(peer)
        await peer.stay()

    async with door(script) as port, esl(port, "ztp@pbx.example") as tells:
        assert await report(tells) == Everything(())


async def test_who_is_not_let_in_is_told_so() -> None:
    async def refuse(peer: Peer) -> None:
        peer.say("Content-Type: auth/request\n\n")
        await peer.lines()
        peer.say("Content-Type: command/reply\nReply-Text: -ERR invalid\n\n")
        peer.say("Content-Type: text/disconnect-notice\nContent-Length: 0\n\n")

    async def reject(peer: Peer) -> None:
        peer.say(answer("Access Denied, go away.\n", "text/rude-rejection"))

    async def other(peer: Peer) -> None:
        peer.say("HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.stay()

    async with door(refuse, reject, other) as port, esl(port) as tells:
        for reason in ("login was refused", "access list", "no event socket"):
            assert reason in (said := await silent(tells)) and SECRET not in said
    async with door(refuse) as port, esl(port, password="a\n\nbgapi shutdown") as tells:
        assert "control characters" in await silent(tells)


Script = Callable[[Peer], None]
HOSTILE: dict[str, tuple[Script, str]] = {
    "a line without end": (lambda peer: peer.say(b"x" * 100_000), "a line of more than"),
    "an endless head": (lambda peer: peer.say("a: b\n" * 1000), "a message of more than"),
    "a body beyond all bounds": (lambda peer: peer.say("Content-Length: 99999999\n\n"), "more than"),
    "a length that is none": (lambda peer: peer.say("Content-Length: -1\n\n"), "more than"),
    "half a body": (lambda peer: peer.say("Content-Length: 100\n\nxx"), "closed"),
    "garbage": (lambda peer: peer.say(bytes(range(256)) + b"\n\n"), "closed"),
    "no JSON": (lambda peer: peer.say(answer("-ERR no reply\n")), "does not list"),
    "deep JSON": (lambda peer: peer.say(answer("[" * 100_000)), "does not list"),
    "other JSON": (lambda peer: peer.say(answer('{"row_count": 1, "rows": {}}')), "does not list"),
    "its end": (lambda peer: peer.say(answer("bye", "text/disconnect-notice")), "ends the connection"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_hostile_is_survived_and_the_next_connection_tells(name: str) -> None:
    say, reason = HOSTILE[name]

    async def hostile(peer: Peer) -> None:
        await logged_in(peer)
        await peer.lines()
        say(peer)

    async def good(peer: Peer) -> None:
        await logged_in(peer)
        odd = [row("", "x"), row("1" * 10_000, "y", expires="x" * 99), {"reg_user": {"a": 1}}, {"reg_user": 7}]
        await listed(peer, row("100", "a"), *odd)
        peer.say(event("register", from_user="", from_host="") + event("expire", x="y") + answer("junk", "text/x"))
        await peer.stay()

    async with door(hostile, good) as port, esl(port) as tells:
        assert reason in (said := await silent(tells)) and SECRET not in said
        found = await everything(tells)
        assert set(found) == {"100", "1" * 512, "7"} and found["7"].contacts[0].expires_at is None


async def test_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeswitch_esl, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(freeswitch_esl, "_ANSWER_SECONDS", 0.2)

    async def script(peer: Peer) -> None:
        await logged_in(peer)
        await listed(peer, row("100", "a"))
        assert await peer.lines() == ["api uptime s"]
        peer.say(answer("4711\n"))
        assert await peer.lines() == ["api uptime s"]
        await peer.stay()

    async with door(script) as port, esl(port) as tells:
        assert set(await everything(tells)) == {"100"}
        assert "no answer in time" in await silent(tells)
