"""Phones told over SIP: what is sent, to whom a login is shown, and what is said of the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.services.phones_to_tell import make_phone, make_platform, plan_now, register
from tests.services.test_phone_interface import PASSWORD, HttpPhone
from tests.services.test_phone_interface import status as http_status
from tests.sip.conftest import LOOPBACK
from tests.sip.peer import Heard, ManualClock, UdpPeer, soon, udp_peer
from ztp_server.domain.phone import Phone
from ztp_server.domain.platform import Platform
from ztp_server.domain.registration import Contact
from ztp_server.errors import Misconfigured
from ztp_server.phone_interface import PhoneInterface
from ztp_server.services.messenger import QUIET_SECONDS, Messenger, Sent
from ztp_server.services.notify_plan import RestTry, Try
from ztp_server.services.opening import Services
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.sip.user_agent import UserAgent


class Agents(PlatformAgents):
    """On loopback, with seconds that pass when the test says so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._one = UserAgent(LOOPBACK, clock)
        self.broken = False

    def agent(self, platform: Platform) -> UserAgent:
        if self.broken:
            raise Misconfigured("the given text cannot be used as a CA")
        return self._one

    async def close(self) -> None:
        await self._one.close()


@pytest.fixture
async def peer() -> AsyncIterator[UdpPeer]:
    peer = await udp_peer()
    yield peer
    await peer.close()


@pytest.fixture
async def agents() -> AsyncIterator[Agents]:
    agents = Agents(ManualClock())
    yield agents
    await agents.close()


class Office:
    """A messenger whose platform is the peer, and as many phones as are asked for."""

    def __init__(
        self, services: Services, agents: Agents, platform: UdpPeer, interface: PhoneInterface | None = None
    ) -> None:
        self.services = services
        self.platform = platform
        self.now = 1000.0
        self.messenger = Messenger(
            *(services.templates, services.address, agents),
            interface=interface,
            clock=lambda: self.now,
        )
        self._phones = 0

    async def phone(self, settings: dict[str, str] | None = None, **more: Any) -> Phone:
        self._phones += 1
        return await make_phone(self.services, "vvx-411", settings, number=self._phones, **more)

    async def tell(self, phone: Phone | None = None, action: Any = "resync") -> asyncio.Task[Sent]:
        plan = await plan_now(self.services, self.messenger, phone or await self.phone(), action)
        return asyncio.create_task(self.messenger.send(plan))

    async def answered(self, status: str, *headers: str, **more: Any) -> Sent:
        """What is said of one answer, for a phone of its own."""
        asked = await self.tell()
        (await self.platform.next("NOTIFY")).reply(status, *headers, **more)
        return await soon(asked)


@pytest.fixture
async def office(services: Services, agents: Agents, peer: UdpPeer) -> Office:
    await make_platform(services, address=f"udp:127.0.0.1:{peer.port}", user="ztp", password="plätform", direct=False)
    return Office(services, agents, peer)


async def test_a_resync_goes_to_the_address_of_record_by_way_of_the_platform(office: Office) -> None:
    asked = await office.tell()
    heard = await office.platform.next("NOTIFY")
    assert heard.first == "NOTIFY sip:1001@sip.example.net SIP/2.0"
    assert heard["Event"] == "check-sync" and heard["Content-Length"] == "0"
    assert heard["From"].startswith("<sip:ztp@sip.example.net>;tag=")
    heard.reply("200 OK")
    sent = await soon(asked)
    assert sent == Sent(True, "check-sync by way of platform pbx", "200 OK", True, 200)


# A status, headers beside it, and what is said of them.
ANSWERS: list[tuple[str, tuple[str, ...], Sent]] = [
    ("202 Accepted", (), Sent(True, "", "202 Accepted", True, 202)),
    ("481 Gone", (), Sent(False, "", "reached, and it does not know this: 481 Gone", True, 481, True)),
    ("489 Bad Event", (), Sent(False, "", "reached, and it does not know this: 489 Bad Event", True, 489, True)),
    ("405 No", (), Sent(False, "", "reached, and it does not know this: 405 No", True, 405, True)),
    ("501 No", (), Sent(False, "", "reached, and it does not know this: 501 No", True, 501, True)),
    ("486 Busy Here", (), Sent(False, "", "486 Busy Here", True, 486)),
    ("603 Decline", (), Sent(False, "", "603 Decline", True, 603)),
    ("404 Not registered", (), Sent(False, "", "404 Not registered", False, 404)),
    ("408 Timeout", (), Sent(False, "", "408 Timeout", False, 408)),
    ("480 Away", (), Sent(False, "", "480 Away", False, 480)),
    ("403 No", (), Sent(False, "", "403 No", False, 403)),
    (
        "503 Busy",
        ("Retry-After: 17 (soon)",),
        Sent(False, "", "503 Busy; it asks to come back in 17 s", False, 503),
    ),
    (
        "401 Who",
        (),
        Sent(False, "", "the platform, or the phone behind it, does not take our login: 401 Who", False, 401),
    ),
    # Hostile: nothing of it breaks a line, and none of it is long.
    ("200 é\u202e", (), Sent(True, "", "200 é\\u202e", True, 200)),
    ("603 " + "x" * 3000, (), Sent(False, "", "603 " + "x" * 196, True, 603)),
    ("503 No", ("Retry-After: " + "9" * 400,), Sent(False, "", "503 No", False, 503)),
]


async def test_what_is_said_of_an_answer(office: Office) -> None:
    for status, headers, expected in ANSWERS:
        sent = await office.answered(status, *headers)
        assert sent == Sent(**{**_fields(expected), "way": "check-sync by way of platform pbx"}), status


def _fields(sent: Sent) -> dict[str, Any]:
    return {name: getattr(sent, name) for name in Sent.__slots__}


async def test_the_platform_is_shown_its_own_login_and_never_a_line_of_a_phone(office: Office) -> None:
    asked = await office.tell()
    heard = await office.platform.next("NOTIFY")
    heard.reply("407 Proxy Authentication Required", 'Proxy-Authenticate: Digest realm="pbx", nonce="n1"')
    own = await office.platform.next("NOTIFY")
    assert own.first == "NOTIFY sip:sip.example.net SIP/2.0" and "proxy-authorization" not in own.headers
    own.reply("407 Proxy Authentication Required", 'Proxy-Authenticate: Digest realm="pbx", nonce="n2"')
    again = await office.platform.next("NOTIFY")
    assert again.first == heard.first and 'nonce="n2"' in again["Proxy-Authorization"]
    assert 'username="ztp"' in again["Proxy-Authorization"] and "auth" not in again["Proxy-Authorization"]
    again.reply("200 OK")
    assert (await soon(asked)).ok


async def test_a_phone_behind_the_platform_is_not_shown_the_platforms_login(office: Office) -> None:
    # As a hostile phone would ask, in the platform's own words; the platform itself asks for nothing, or otherwise.
    asks = {"401 Who": 'WWW-Authenticate: Digest realm="pbx", nonce="chosen"',
            "407 Who": 'Proxy-Authenticate: Digest realm="pbx", nonce="chosen"'}  # fmt: skip
    for status, header in asks.items():
        for own, said in (
            ("484 Address Incomplete", ""),
            ("200 OK", ""),
            *((o, h) for o, h in asks.items() if o != status),
        ):
            asked = await office.tell()
            (await office.platform.next("NOTIFY")).reply(status, header)
            question = await office.platform.next("NOTIFY")
            assert question.first == "NOTIFY sip:sip.example.net SIP/2.0"
            question.reply(own, *([said] if said else []))
            sent = await soon(asked)
            assert (sent.ok, sent.code) == (False, int(status[:3])) and office.platform.heard.empty(), (status, own)

    # One that asks again, once the platform has what it asked for.
    asked = await office.tell()
    for _ in range(2):
        (await office.platform.next("NOTIFY")).reply("407 Who", 'Proxy-Authenticate: Digest realm="pbx", nonce="own"')
    again = await office.platform.next("NOTIFY")
    assert 'nonce="own"' in again["Proxy-Authorization"]
    again.reply("401 Who", 'WWW-Authenticate: Digest realm="pbx", nonce="chosen", stale=true')
    assert (await soon(asked)).code == 401 and office.platform.heard.empty()


async def test_a_phone_that_asks_is_shown_the_account_of_its_line_at_its_registered_contact_alone(
    services: Services, agents: Agents, peer: UdpPeer
) -> None:
    await make_platform(services, address="", direct=True)
    office = Office(services, agents, peer)
    await register(services, "1001", Contact(f"sip:1001@127.0.0.1:{peer.port}"))
    asked = await office.tell()
    heard = await peer.next("NOTIFY")
    assert heard.first == f"NOTIFY sip:1001@127.0.0.1:{peer.port} SIP/2.0"
    heard.reply("401 Unauthorized", 'WWW-Authenticate: Digest realm="PolycomSPIP", nonce="n", algorithm=MD5')
    again = await peer.next("NOTIFY")
    assert 'username="auth 1001"' in again["Authorization"] and 'realm="PolycomSPIP"' in again["Authorization"]
    again.reply("401 Unauthorized", 'WWW-Authenticate: Digest realm="PolycomSPIP", nonce="m", algorithm=MD5')
    sent = await soon(asked)
    assert not sent.ok and sent.reached and sent.detail == "it does not take our login: 401 Unauthorized"


async def test_who_is_where_a_phone_was_last_seen_is_shown_no_login(
    services: Services, agents: Agents, peer: UdpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ztp_server.sip.destination.Destination.__post_init__", _at_the_peer(peer))
    await make_platform(services, address="", direct=True)
    office = Office(services, agents, peer)
    asked = await office.tell(await office.phone(firmware="5.9", address="127.0.0.1"))
    heard = await peer.next("NOTIFY")
    heard.reply("401 Unauthorized", 'WWW-Authenticate: Digest realm="PolycomSPIP", nonce="n", algorithm=MD5')
    sent = await soon(asked)
    assert sent.reached and sent.way == "check-sync straight to where it was last seen"
    assert peer.heard.empty()


def _at_the_peer(peer: UdpPeer) -> Any:
    def ported(self: Any) -> None:
        object.__setattr__(self, "port", peer.port)

    return ported


async def test_lost_datagrams_are_sent_again_and_silence_has_an_end(office: Office, agents: Agents) -> None:
    clock = agents._one._clock
    assert isinstance(clock, ManualClock)
    asked = await office.tell()
    for wait in (0.5, 1.0):
        await office.platform.next("NOTIFY")
        clock.advance(wait)
    heard = await office.platform.next("NOTIFY")
    heard.reply("200 OK")
    heard.reply("200 OK")
    assert (await soon(asked)).ok

    silent = await office.tell()
    await office.platform.next("NOTIFY")
    clock.advance(33)
    sent = await soon(silent)
    assert (sent.ok, sent.reached) == (False, False)
    assert re.fullmatch(
        r"platform pbx, udp:127\.0\.0\.1:\d+: no answer: no final answer within 32 s: see ztp platform check pbx",
        sent.detail,
    )


async def test_garbage_is_no_answer_and_breaks_nothing(office: Office, agents: Agents) -> None:
    clock = agents._one._clock
    assert isinstance(clock, ManualClock)
    asked = await office.tell()
    heard = await office.platform.next("NOTIFY")
    for raw in (b"\xff" * 900, b"SIP/2.0 200", heard.answer("200 OK", cseq="9 BYE"), heard.answer("999 ?")):
        heard.back(raw)
    heard.back(b"SIP/2.0 200 OK\r\nVia: " + heard["Via"].encode() + b"\r\nContent-Length: -5\r\n\r\n")
    clock.advance(33)
    sent = await soon(asked)
    assert not sent.ok and not sent.reached


async def test_a_phone_is_not_told_the_same_twice_within_a_minute(office: Office) -> None:
    phone = await office.phone({"check_sync_reboots": "on"})
    asked = await office.tell(phone)
    heard = await office.platform.next("NOTIFY")
    # While the first is under way, too.
    again = await soon(await office.tell(phone))
    assert not again.ok and not again.reached and "not told again within 60 s" in again.detail
    heard.reply("200 OK")
    assert (await soon(asked)).ok
    office.now += QUIET_SECONDS - 1
    assert "59 s ago" in (await soon(await office.tell(phone))).detail
    # Another thing it is told at once, and so is another phone.
    restart = await office.tell(phone, "restart")
    (await office.platform.next("NOTIFY")).reply("200 OK")
    assert (await soon(restart)).ok and (await office.answered("200 OK")).ok
    office.now += 1
    late = await office.tell(phone)
    (await office.platform.next("NOTIFY")).reply("200 OK")
    assert (await soon(late)).ok
    # One that was not reached may be told again at once.
    other = await office.phone()
    for _ in range(2):
        lost = await office.tell(other)
        (await office.platform.next("NOTIFY")).reply("404 Not registered")
        assert "404" in (await soon(lost)).detail
    assert office.platform.heard.empty()


async def test_a_phone_is_told_news_within_the_minute_and_the_minute_begins_anew(office: Office) -> None:
    first, second = await office.phone(), await office.phone()

    async def told(phone: Phone, *, is_news: bool = False) -> Sent:
        plan = await plan_now(office.services, office.messenger, phone, "resync")
        asked = asyncio.create_task(office.messenger.send(plan, is_news=is_news))
        (await office.platform.next("NOTIFY")).reply("200 OK")
        return await soon(asked)

    for phone in (first, second):
        assert (await told(phone)).ok
    office.now += QUIET_SECONDS - 1
    assert (await told(first, is_news=True)).ok
    office.now += 2
    assert "2 s ago" in (await soon(await office.tell(first))).detail
    assert (await told(second)).ok


async def test_what_a_phone_does_not_know_is_followed_by_the_next_way(office: Office) -> None:
    given = {
        "rest_api_enabled": "on",
        "admin_password": "Ad&min1",
        "custom.apps.restapi.sipNotify.enabled": "1",
        "check_sync_reboots": "on",
    }
    phone = await office.phone(given, firmware="6.4.3.1")
    asked = await office.tell(phone, "restart")
    heard = await office.platform.next("NOTIFY")
    assert (heard["Event"], heard["Content-Type"]) == ("ACTION-URI", "application/JSON")
    assert heard.body == b'{"command-URI":"/api/v1/mgmt/safeRestart"}'
    heard.reply("489 Bad Event")
    second = await office.platform.next("NOTIFY")
    assert second["Event"] == "check-sync"
    second.reply("200 OK")
    sent = await soon(asked)
    assert sent.ok and sent.way == "the re-sync by way of platform pbx"
    assert "in vain ACTION-URI" in sent.detail and "489" in sent.detail


@pytest.fixture
async def http() -> AsyncIterator[HttpPhone]:
    phone = HttpPhone()
    yield phone
    await phone.close()


async def test_the_phone_interface_comes_first_and_nothing_follows_what_may_have_worked(
    services: Services, agents: Agents, peer: UdpPeer, http: HttpPhone
) -> None:
    await make_platform(services, address=f"udp:127.0.0.1:{peer.port}")
    office = Office(services, agents, peer, PhoneInterface(9, await http.listen(None)))
    given = {"rest_api_enabled": "on", "admin_password": "Ad&min1", "custom.apps.restapi.sipNotify.enabled": "1"}
    phones = [await office.phone(given, firmware="6.4.3.1", address=f"127.0.0.{n}") for n in (1, 2, 3)]
    # All at the one address that listens, as far as sockets go.
    plans = [await plan_now(services, office.messenger, phone, "restart") for phone in phones]
    plans = [replace(plan, tries=(_here(plan.tries[0]), *plan.tries[1:])) for plan in plans]

    sent = await soon(office.messenger.send(plans[0]))
    assert sent == Sent(True, "/api/v1/mgmt/safeRestart at 127.0.0.1", "it answered that it will", True)
    http.answer = lambda _: b""
    sent = await soon(office.messenger.send(plans[1]))
    assert (sent.ok, sent.reached) == (False, True) and "hung up before it answered" in sent.detail
    assert peer.heard.empty()
    http.answer = lambda _: http_status("404 Not Found")
    asked = asyncio.create_task(office.messenger.send(plans[2]))
    heard = await peer.next("NOTIFY")
    assert heard["Event"] == "ACTION-URI"
    heard.reply("202 Accepted")
    sent = await soon(asked)
    assert sent.ok and "in vain /api/v1/mgmt/safeRestart at 127.0.0.1: it answered 404" in sent.detail
    assert PASSWORD not in repr(plans) + repr(sent)


def _here(attempt: Try) -> Try:
    assert isinstance(attempt, RestTry)
    return replace(attempt, address="127.0.0.1", password=PASSWORD)


async def test_a_phone_that_is_busy_or_away_is_not_tried_in_other_words(office: Office) -> None:
    given = {"rest_api_enabled": "on", "custom.apps.restapi.sipNotify.enabled": "1", "check_sync_reboots": "on"}
    for status in ("486 Busy Here", "404 Not registered"):
        asked = await office.tell(await office.phone(given, firmware="6.4.3.1"), "restart")
        (await office.platform.next("NOTIFY")).reply(status)
        assert status in (await soon(asked)).detail
        assert office.platform.heard.empty()


async def test_where_the_platform_does_not_reach_a_phone_it_is_told_straight(
    services: Services, agents: Agents, peer: UdpPeer
) -> None:
    phone_itself = await udp_peer()
    await make_platform(services, address=f"udp:127.0.0.1:{peer.port}", direct=True)
    office = Office(services, agents, peer)
    await register(services, "1001", Contact("sip:1001@10.9.9.9", received=f"sip:127.0.0.1:{phone_itself.port}"))
    asked = await office.tell()
    (await peer.next("NOTIFY")).reply("480 Temporarily Unavailable")
    heard: Heard = await phone_itself.next("NOTIFY")
    assert heard.first == "NOTIFY sip:1001@10.9.9.9 SIP/2.0"
    heard.reply("200 OK")
    sent = await soon(asked)
    assert sent.ok and sent.way == "check-sync straight to its contact" and "480" in sent.detail
    await phone_itself.close()


async def test_a_platform_that_cannot_be_used_is_told_and_raises_nothing(office: Office, agents: Agents) -> None:
    agents.broken = True
    sent = await soon(await office.tell())
    assert sent == Sent(False, "check-sync by way of platform pbx", "the given text cannot be used as a CA", False)
