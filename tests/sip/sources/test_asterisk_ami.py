"""The Asterisk Manager Interface, as its documentation shows it: the server here is scripted, not Asterisk."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.sip.sources.scripted import Peer, door, everything, report, silent, told
from ztp_server.domain.platform import Platform
from ztp_server.pki.authority import ensure_server_files
from ztp_server.sip.sources import asterisk_ami, source
from ztp_server.sip.sources.asterisk_ami import AsteriskAmi
from ztp_server.sip.sources.source import Everything, Place, Told

SECRET = "s3cret"


def ami(port: int, transport: str = "tcp", ca: str = "") -> AsteriskAmi:
    address = f"{transport}:127.0.0.1:{port}"
    return AsteriskAmi(
        Platform(
            "pbx", "PBX", ("pbx.example",), ca=ca, source="asterisk_ami", source_address=address, source_user="ztp",
            source_password=SECRET,
        )
    )  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(source, "_MOST_PAUSE", 0.0)


def block(*lines: str) -> str:
    return "\r\n".join([*lines, "", ""])


async def logged_in(peer: Peer) -> None:
    peer.say("Asterisk Call Manager/7.0.3\r\n")
    asked = await peer.heard("Action: Challenge", "AuthType: MD5")
    peer.say(block("Response: Success", f"ActionID: {asked['ActionID']}", "Challenge: 840415273"))
    asked = await peer.heard("Action: Login", "Username: ztp", "AuthType: MD5", "Events: system")
    assert asked["Key"] == hashlib.md5(f"840415273{SECRET}".encode()).hexdigest() and SECRET not in str(asked)
    peer.say(block("Event: FullyBooted", "Privilege: system,all", "Status: Fully Booted"))
    peer.say(block("Response: Success", f"ActionID: {asked['ActionID']}", "Message: Authentication accepted"))


def contact(action: str, aor: str, *, mark: str = ";@", status: str = "NonQualified") -> str:
    return block(
        *("Event: ContactList", f"ActionID: {action}", "ObjectType: contact", f"ObjectName: {aor}{mark}1a2b"),
        *("ViaAddr: 192.0.2.7", "ViaPort: 5060", "QualifyTimeout: 3.000000", "CallId: x@192.0.2.7", "Path: "),
        *(f"Endpoint: {aor}", f"Uri: sip:{aor}@192.0.2.7:5060;transport=TLS", "UserAgent: Acme/1.2: desk"),
        *("ExpirationTime: 1795485455", f"Status: {status}", "RoundtripUsec: N/A"),
    )


async def listed(peer: Peer, *aors: str, **more: str) -> None:
    asked = await peer.heard("Action: PJSIPShowContacts")
    action = asked["ActionID"]
    peer.say(block("Response: Success", f"ActionID: {action}", "EventList: start", "Message: follow"))
    peer.say("".join(contact(action, aor, **more) for aor in aors))
    peer.say(block("Event: ContactListComplete", f"ActionID: {action}", "EventList: Complete", "ListItems: 2"))


def changed(aor: str, status: str) -> str:
    return block(
        *("Event: ContactStatus", "Privilege: system,all", f"URI: sip:{aor}@192.0.2.7:5060", f"AOR: {aor}"),
        *(f"ContactStatus: {status}", f"EndpointName: {aor}", "RoundtripUsec: N/A"),
    )


async def detailed(peer: Peer, aor: str, *statuses: str) -> None:
    asked = await peer.heard("Action: PJSIPShowEndpoint", f"Endpoint: {aor}")
    action = asked["ActionID"]
    peer.say(block("Response: Success", f"ActionID: {action}", "EventList: start"))
    peer.say(block("Event: EndpointDetail", f"ActionID: {action}", f"ObjectName: {aor}"))
    peer.say(block("Event: AorDetail", f"ActionID: {action}", "ObjectType: aor", f"ObjectName: {aor}"))
    for number, status in enumerate(statuses):
        peer.say(
            block(
                *("Event: ContactStatusDetail", f"ActionID: {action}", f"AOR: {aor}", f"Status: {status}"),
                *(f"URI: sip:{aor}@192.0.2.{number}:5060", "UserAgent: Acme/2", "RegExpire: 1795485455"),
                *("ViaAddress: 192.0.2.9:5060", f"ID: {aor};@9f"),
            )
        )
    peer.say(block("Event: EndpointDetailComplete", f"ActionID: {action}", "EventList: Complete"))


async def test_all_contacts_are_told_and_then_what_changes() -> None:
    happened = asyncio.Event()

    async def script(peer: Peer) -> None:
        await logged_in(peer)
        asked = await peer.heard("Action: PJSIPShowContacts")
        action = asked["ActionID"]
        peer.say(contact(action, "100") + contact(action, "100", status="Reachable"))
        peer.say(contact(action, "200@pbx.example", status="Unreachable") + contact(action, "300", mark="@@"))
        peer.say(contact("another", "400"))
        # Somebody registers in the meantime: looked at when the list is done.
        peer.say(changed("500", "NonQualified"))
        peer.say(block("Event: ContactListComplete", f"ActionID: {action}"))
        await detailed(peer, "500", "NonQualified", "Unreachable", "Reachable")
        await happened.wait()
        peer.say(changed("100", "Removed"))
        await detailed(peer, "100")
        await peer.stay()

    async with door(script) as port, ami(port) as tells:
        lines = await everything(tells)
        ends = datetime.fromtimestamp(1795485455, UTC)
        place = Place("sip:100@192.0.2.7:5060;transport=TLS", "tls", "Acme/1.2: desk", ends, "192.0.2.7:5060")
        assert lines == {"100": Told("100", "", (place, place)), "200": Told("200", "pbx.example", ())}
        found = await told(tells)
        assert found.user == "500" and [one.uri for one in found.contacts][1:] == ["sip:500@192.0.2.2:5060"]
        assert found.contacts[0] == Place("sip:500@192.0.2.0:5060", "udp", "Acme/2", ends, "192.0.2.9:5060")
        happened.set()
        assert await told(tells) == Told("100", "", ())


async def test_a_registrar_without_contacts_tells_that_nobody_is_registered() -> None:
    async def script(peer: Peer) -> None:
        await logged_in(peer)
        asked = await peer.heard("Action: PJSIPShowContacts")
        peer.say(block("Response: Error", f"ActionID: {asked['ActionID']}", "Message: No Contacts found"))
        await peer.stay()

    async with door(script) as port, ami(port) as tells:
        assert await report(tells) == Everything(())


async def test_an_endpoint_that_is_gone_has_everything_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asterisk_ami, "QUIET_SECONDS", 0.1)

    async def script(peer: Peer) -> None:
        await logged_in(peer)
        await listed(peer, "100", "200")
        peer.say(changed("100", "Removed"))
        asked = await peer.heard("Action: PJSIPShowEndpoint", "Endpoint: 100")
        peer.say(block("Response: Error", f"ActionID: {asked['ActionID']}", "Message: Unable to retrieve endpoint 100"))
        await peer.heard("Action: Ping")
        peer.say(block("Response: Success", "Ping: Pong"))
        await listed(peer, "200")
        await peer.stay()

    async with door(script) as port, ami(port) as tells:
        assert set(await everything(tells)) == {"100", "200"}
        assert set(await everything(tells)) == {"200"}


Script = Callable[[Peer], None]
HOSTILE: dict[str, tuple[Script, str]] = {
    "a line without end": (lambda peer: peer.say(b"x" * 100_000), "a line of more than"),
    "a message without end": (lambda peer: peer.say("a: b\r\n" * 1000), "a message of more than"),
    "garbage": (lambda peer: peer.say(bytes(range(256)) + b"\r\n\r\n"), "closed"),
    "another list than was asked for": (lambda peer: peer.say(contact("x", "100")), "closed"),
    "a refusal": (
        lambda peer: peer.say(block("Response: Error", "ActionID: 1", "Message: Permission denied")),
        "denied",
    ),
    "nothing": (lambda peer: None, "closed"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_hostile_is_survived_and_the_next_connection_tells(name: str) -> None:
    say, reason = HOSTILE[name]

    async def hostile(peer: Peer) -> None:
        await logged_in(peer)
        await peer.heard("Action: PJSIPShowContacts")
        say(peer)

    async def good(peer: Peer) -> None:
        await logged_in(peer)
        await listed(peer, "100")
        await peer.stay()

    async with door(hostile, good) as port, ami(port) as tells:
        assert reason in (said := await silent(tells)) and SECRET not in said
        assert set(await everything(tells)) == {"100"}


async def test_more_contacts_than_there_can_be_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asterisk_ami, "MOST_TOLD", 2)

    async def script(peer: Peer) -> None:
        await logged_in(peer)
        await listed(peer, "100", "200", "300")

    async with door(script) as port, ami(port) as tells:
        assert "more than 2" in await silent(tells)


async def test_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asterisk_ami, "QUIET_SECONDS", 0.05)

    async def script(peer: Peer) -> None:
        await logged_in(peer)
        await listed(peer, "100")
        await peer.heard("Action: Ping")
        await peer.stay()

    async with door(script) as port, ami(port) as tells:
        assert set(await everything(tells)) == {"100"}
        assert "nothing for" in await silent(tells)


async def test_the_password_is_shown_to_nobody_who_does_not_prove_to_be_asked_over_tls(tmp_path: Path) -> None:
    said: list[str] = []

    async def no_challenge(peer: Peer) -> None:
        peer.say("Asterisk Call Manager/7.0.3\r\n")
        await peer.heard("Action: Challenge")
        peer.say(block("Response: Error", "ActionID: challenge", "Message: Must specify AuthType"))
        said.extend(await peer.lines())
        peer.say(block("Response: Error", "ActionID: login", "Message: Authentication failed"))
        await peer.stay()

    async def other(peer: Peer) -> None:
        peer.say("220 mail.example ESMTP\r\n")
        await peer.stay()

    async with door(no_challenge, other) as port, ami(port) as tells:
        assert "TLS alone" in await silent(tells)
        assert "no Asterisk Manager" in await silent(tells)
    assert said == []
    files = ensure_server_files(tmp_path / "tls", ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    async with door(no_challenge, context=context) as port:
        async with ami(port, "tls") as tells:
            assert "certificate" in await silent(tells)
        assert said == []
        async with ami(port, "tls", files.ca.read_text()) as tells:
            assert "refused" in await silent(tells)
    assert f"Secret: {SECRET}" in said


async def test_nothing_is_sent_to_an_address_that_is_nobodys() -> None:
    platform = Platform("pbx", "PBX", (), source="asterisk_ami", source_address="tcp:metadata.example:5038")
    tells = AsteriskAmi(platform)
    loop = asyncio.get_running_loop()

    async def metadata(*_asked: object, **_more: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("169.254.169.254", 5038))]

    loop.getaddrinfo = metadata  # type: ignore[method-assign, assignment]
    async with tells:
        assert "reserved address" in await silent(tells)
