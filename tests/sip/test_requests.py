"""A request over UDP: sent again, answered, given up; whatever the network loses, doubles, or makes up."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.sip.conftest import LOOPBACK
from tests.sip.peer import ManualClock, UdpPeer, rounds, soon, udp_peer, until
from ztp_server.errors import BadValue
from ztp_server.sip.destination import Destination
from ztp_server.sip.outcome import Response
from ztp_server.sip.user_agent import UserAgent

PHONE = "sip:100@127.0.0.1"


async def test_a_notify_says_what_phones_know_as_check_sync(
    agent: UserAgent, peer: UdpPeer, there: Destination
) -> None:
    asked = asyncio.create_task(agent.notify(PHONE, there, "check-sync;reboot=true", sender="sip:pbx@example.org"))
    heard = await peer.next("NOTIFY")
    assert heard.first == f"NOTIFY {PHONE} SIP/2.0"
    assert (heard["Event"], heard["Subscription-State"]) == ("check-sync;reboot=true", "terminated")
    assert heard["From"].startswith("<sip:pbx@example.org>;tag=") and heard["To"] == f"<{PHONE}>"
    assert heard["Contact"] == f"<sip:ztp@127.0.0.1:{peer.source[1]}>" and heard["Max-Forwards"] == "70"
    assert ";rport;branch=z9hG4bK" in heard["Via"] and heard["Content-Length"] == "0"
    heard.reply("200 OK", "X-Note: é")
    response = await soon(asked)
    assert response.ok and (response.code, response.reason) == (200, "OK")
    assert response.header("x-note") == "é" and response.body == b""


async def test_a_lost_request_is_sent_again_as_the_rfc_says(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    first = await peer.next("OPTIONS")
    # Timer E: T1, doubled up to T2.
    for wait in (0.5, 1, 2, 4, 4):
        clock.advance(wait - 0.01)
        await rounds()
        assert peer.heard.empty() and not asked.done()
        clock.advance(0.01)
        again = await peer.next("OPTIONS")
        assert again.headers == first.headers
    again.reply("486 Busy Here")
    again.reply("486 Busy Here")
    assert (await soon(asked)).code == 486
    await until(lambda: agent.dropped == 1)
    clock.advance(100)
    await rounds()
    assert peer.heard.empty()


async def test_a_provisional_answer_slows_the_repetitions_down_and_saves_nobody_from_the_end(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await peer.next()
    for _ in range(300):
        heard.reply("100 Trying")
    other = asyncio.create_task(agent.options("sip:other@127.0.0.1", there))
    marker = await peer.next()
    marker.reply("200 OK")
    await soon(other)
    clock.advance(0.5)
    await peer.next()
    clock.advance(3.9)
    await rounds()
    assert peer.heard.empty()
    clock.advance(28)
    assert await soon(asked) == Response("no_answer", reason="no final answer within 32 s")


async def test_silence_ends_after_64_times_t1(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.notify(PHONE, there, "check-sync"))
    await peer.next()
    clock.advance(31.9)
    # E at 0.5, 1.5, 3.5, then every 4 s up to 31.5.
    assert [(await peer.next()).method for _ in range(10)] == ["NOTIFY"] * 10
    assert not asked.done()
    clock.advance(0.1)
    assert (await soon(asked)).kind == "no_answer"
    assert not clock.pending()


async def test_answers_that_are_none_of_ours_change_nothing(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await peer.next()
    via = heard["Via"]
    wrong = [
        heard.answer("200 OK", cseq="1 OPTIONS"),
        heard.answer("200 OK", cseq=heard["CSeq"].replace("OPTIONS", "NOTIFY")),
        heard.answer("200 OK", call_id="somebody-elses"),
        heard.answer("200 OK", via=via[:-1] + ("0" if via[-1] != "0" else "1")),
        heard.answer("200 OK", via=f"{via}, {via}"),
        heard.answer("200 OK", via="SIP/2.0/UDP"),
        heard.answer("999 OK"),
        heard.answer("200 OK").replace(b"Content-Length: 0", b"Content-Length: 99"),
        heard.answer("200 OK").replace(b"Call-ID", b"Call-\x00ID"),
        heard.answer("200 OK", "Call-ID: twice"),
        heard.answer("200 OK", "Via : ;self=1", "To: <sip:a>;self=1"),
        b"\xff\xfe" * 20_000,
        b"SIP/2.0 200 OK\r\n\r\n",
        b"x",
    ]
    for raw in wrong:
        peer.send(raw)
    await until(lambda: agent.dropped == len(wrong))
    assert not asked.done()
    heard.reply("200 OK")
    assert (await soon(asked)).ok


async def test_an_answer_that_cannot_be_understood_is_told_when_no_better_one_came(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await peer.next()
    heard.back(heard.answer("200 OK").replace(b"CSeq", b"CSick"))
    await until(lambda: agent.dropped == 1)
    clock.advance(33)
    assert (await soon(asked)).kind == "malformed"


async def test_an_answer_may_come_from_another_address(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    other = await udp_peer()
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await peer.next()
    other.source = peer.source
    other.send(heard.answer("200 OK"))
    assert (await soon(asked)).ok
    await other.close()


async def test_many_requests_through_a_network_that_loses_doubles_and_reorders(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    count = 60
    asked = [asyncio.create_task(agent.notify(f"sip:{n}@127.0.0.1", there, "check-sync")) for n in range(count)]
    tries: Counter[int] = Counter()
    answered: set[int] = set()
    while len(answered) < count:
        await rounds()
        batch = [peer.heard.get_nowait() for _ in range(peer.heard.qsize())]
        for heard in reversed(batch):
            number = int(heard.first.split(":")[1].split("@")[0])
            tries[number] += 1
            if tries[number] > number % 4:
                answered.add(number)
                heard.reply(f"{200 + number} OK")
                heard.reply(f"{200 + number} OK")
        await until(lambda: sum(task.done() for task in asked) == len(answered))
        clock.advance(0.5)
    assert [(await task).code for task in asked] == [200 + n for n in range(count)]
    assert max(tries.values()) <= 11


async def test_ipv6_is_spoken_like_ipv4(agent: UserAgent) -> None:
    peer = await udp_peer("::1")
    asked = asyncio.create_task(agent.options("sip:100@[::1]", Destination("::1", peer.port)))
    heard = await peer.next()
    assert heard["Via"].startswith("SIP/2.0/UDP [::1]:") and "@[::1]:" in heard["Contact"]
    heard.reply("200 OK")
    assert (await soon(asked)).ok
    await peer.close()


async def test_where_there_is_no_way_is_refused_at_once(agent: UserAgent, clock: ManualClock) -> None:
    assert (await soon(agent.options(PHONE, Destination("nobody.invalid")))).kind == "refused"
    # A socket bound to loopback has no way to the world.
    assert (await soon(agent.options(PHONE, Destination("192.0.2.1")))).kind == "refused"
    await agent.close()
    assert (await soon(agent.options(PHONE, Destination("127.0.0.1")))).kind == "refused"


async def test_closing_ends_what_is_under_way(peer: UdpPeer, there: Destination, clock: ManualClock) -> None:
    async with UserAgent(LOOPBACK, clock) as agent:
        asked = asyncio.create_task(agent.options(PHONE, there))
        await peer.next()
    assert await soon(asked) == Response("no_answer", reason="closed")


HOSTILE = ["a\r\nX: 1", "a\nX", "a\rX", "a\0", "\u2028", "\x7f", "\ud800"]


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_nothing_slips_a_header_in(agent: UserAgent, peer: UdpPeer, there: Destination, hostile: str) -> None:
    for call in (
        lambda: agent.request("MESSAGE", PHONE, there, headers=[("X-Note", hostile)]),
        lambda: agent.request("MESSAGE", PHONE, there, headers=[(hostile, "x")]),
        lambda: agent.request("MESSAGE", PHONE, there, body=b"x", content_type=hostile),
        lambda: agent.request(hostile, PHONE, there),
        lambda: agent.options(f"sip:{hostile}@example.org", there),
        lambda: agent.options(f"sip:x@example.org;x={hostile}", there),
        lambda: agent.options(PHONE, there, sender=f"sip:{hostile}@x"),
        lambda: agent.notify(PHONE, there, f"check-sync;{hostile}"),
        lambda: agent.notify(PHONE, there, "check-sync", state=hostile),
        lambda: agent.notify(PHONE, there, "check-sync", recipient=hostile),
    ):
        with pytest.raises(BadValue):
            await call()
    with pytest.raises(BadValue):
        agent.subscribe(PHONE, there, hostile)
    with pytest.raises(BadValue):
        agent.subscribe(PHONE, there, "reg", accept=hostile)
    with pytest.raises(BadValue):
        Destination(f"x{hostile}")
    assert peer.heard.empty()


async def test_what_the_agent_writes_itself_is_not_for_callers(agent: UserAgent, there: Destination) -> None:
    for name in ("Via", "v", "Call-ID", "i", "Authorization", "Content-Length", "From", "contact"):
        with pytest.raises(BadValue, match=name):
            await agent.request("MESSAGE", PHONE, there, headers=[(name, "x")])
    for method in ("INVITE", "ACK", "CANCEL", "notify"):
        with pytest.raises(BadValue):
            await agent.request(method, PHONE, there)
    with pytest.raises(BadValue):
        await agent.request("MESSAGE", PHONE, there, body=b"x")
    with pytest.raises(BadValue):
        await agent.request("MESSAGE", PHONE, there, body=b"x" * 65_500, content_type="text/plain")


async def test_what_was_reached_but_knows_nothing_of_it_is_told_apart(
    agent: UserAgent, peer: UdpPeer, there: Destination
) -> None:
    for status, unsupported in (("481 x", True), ("489 x", True), ("405 x", True), ("501 x", True), ("486 x", False)):
        asked = asyncio.create_task(agent.notify(PHONE, there, "check-sync"))
        (await peer.next()).reply(status)
        assert (await soon(asked)).is_reached_but_unsupported == unsupported
    assert not Response("no_answer").is_reached_but_unsupported
    with pytest.raises(BadValue):
        Destination("pbx", 70_000)
    assert (Destination("pbx", transport="tls").port, Destination("pbx").port) == (5061, 5060)
