"""Subscriptions (RFC 6665): told, refreshed, lost and got back, given back at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.sip.peer import Heard, ManualClock, StreamPeer, UdpPeer, rounds, soon, until
from ztp_server.sip.destination import Destination
from ztp_server.sip.digest import Credentials
from ztp_server.sip.subscribe_call import Notified
from ztp_server.sip.subscription import MOST_WAITING, Interrupted, Subscription
from ztp_server.sip.user_agent import UserAgent

LINE = "sip:100@example.org"


def notify(subscribe: Heard, cseq: int, state: str = "active;expires=3600", *, body: str = "", **changed: str) -> bytes:
    """A NOTIFY in the dialog that this SUBSCRIBE makes; `changed` replaces parts of it."""
    our_tag = changed.get("to_tag", subscribe["From"].partition(";tag=")[2])
    contact = subscribe["Contact"].strip("<>")
    branch = "z9hG4bKn" + changed.get("branch", f"{subscribe['Call-ID']}{cseq}")
    lines = [
        f"NOTIFY {contact} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:5060;branch={branch};rport",
        f"From: <{LINE}>;tag={changed.get('from_tag', 'peer')}",
        f"To: {subscribe['From'].partition(';tag=')[0]};tag={our_tag}",
        f"Call-ID: {changed.get('call_id', subscribe['Call-ID'])}",
        f"CSeq: {cseq} NOTIFY",
        f"Contact: <{changed.get('contact', 'sip:registrar@pbx1:5060')}>",
        f"Event: {changed.get('event', 'reg')}",
        f"Subscription-State: {state}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", body]).encode()


@asynccontextmanager
async def subscribed(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock, expires: str = "3600"
) -> AsyncIterator[tuple[Subscription, Heard]]:
    """A subscription that was accepted and told something once."""
    subscription = agent.subscribe(LINE, there, "reg")
    async with subscription:
        heard = await peer.next("SUBSCRIBE")
        heard.reply("200 OK", f"Expires: {expires}", "Contact: <sip:registrar@pbx1:5060>")
        peer.send(notify(heard, 1, body="first"))
        await peer.next("200")
        assert await soon(anext(subscription)) == Notified(b"first", "text/plain", "active")
        await clock.waits(int(expires) * 0.75, int(expires) * 0.9)
        yield subscription, heard
        closing = asyncio.create_task(subscription.close())
        last = await peer.next("SUBSCRIBE")
        assert last["Expires"] == "0" and last["Call-ID"]
        last.reply("200 OK", "Expires: 0")
        await soon(closing)


async def test_what_is_told_arrives_and_the_subscription_is_refreshed_and_given_back(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with subscribed(agent, peer, there, clock) as (subscription, first):
        assert (first["Event"], first["Expires"], first["Accept"]) == ("reg", "3600", "application/reginfo+xml")
        assert first.first == f"SUBSCRIBE {LINE} SIP/2.0" and subscription.is_active
        clock.advance(3600 * 0.9)
        again = await peer.next("SUBSCRIBE")
        # In the dialog: its address, its tag, the next number; still sent to where the caller said.
        assert again.first == "SUBSCRIBE sip:registrar@pbx1:5060 SIP/2.0" and again["To"] == f"<{LINE}>;tag=peer"
        assert again["Call-ID"] == first["Call-ID"] and again["From"] == first["From"]
        assert int(again["CSeq"].split()[0]) == int(first["CSeq"].split()[0]) + 1
        # The server grants less this time.
        again.reply("200 OK", "Expires: 100")
        await clock.waits(75, 90)
        clock.advance(90)
        (await peer.next("SUBSCRIBE")).reply("200 OK", "Expires: 3600")
        await clock.waits(2700, 3240)
        # And less yet by NOTIFY.
        peer.send(notify(first, 2, "active;expires=50"))
        await peer.next("200")
        await clock.waits(37, 45)
        assert (await soon(anext(subscription))).body == b""
    assert await soon(anext(subscription, None)) is None and not subscription.is_active


async def test_a_notify_may_come_before_the_answer_and_with_a_route(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with agent.subscribe(LINE, there, "reg;id=7") as subscription:
        heard = await peer.next("SUBSCRIBE")
        raw = notify(heard, 1, event="reg; id=7", body="early")
        peer.send(
            raw.replace(b"Event:", b"Record-Route: <sip:a;lr>, <sip:b,x;lr>\r\nRecord-Route: <sip:c;lr>\r\nEvent:")
        )
        await peer.next("200")
        assert (await soon(anext(subscription))).body == b"early"
        # Of a fork: another tag in the answer changes nothing.
        heard.reply("200 OK", "Expires: 60", to_tag="other", body=b"")
        await clock.waits(45, 54)
        clock.advance(54)
        again = await peer.next("SUBSCRIBE")
        assert again.headers["route"] == ["<sip:a;lr>", "<sip:b,x;lr>", "<sip:c;lr>"]
        assert again["To"].endswith(";tag=peer")
        again.reply("481 Gone")
        assert isinstance(await soon(anext(subscription)), Interrupted)
        fresh = await peer.next("SUBSCRIBE")
        assert fresh["Call-ID"] != heard["Call-ID"] and fresh.first == f"SUBSCRIBE {LINE} SIP/2.0"
        fresh.reply("403 Forbidden")
        assert await soon(anext(subscription)) == Interrupted("403 Forbidden", is_over=True)
        assert await soon(anext(subscription, None)) is None


async def test_what_is_of_no_dialog_of_ours_is_refused(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with subscribed(agent, peer, there, clock) as (subscription, first):
        for code, raw in (
            ("481", notify(first, 2, from_tag="fork", branch="a")),
            ("481", notify(first, 2, to_tag="wrong", branch="b")),
            ("481", notify(first, 2, call_id="wrong", branch="c")),
            ("489", notify(first, 2, event="presence", branch="d")),
            ("489", notify(first, 2, event="reg;id=1", branch="e")),
            ("400", notify(first, 2, state="", branch="f")),
            ("500", notify(first, 0, branch="g")),
            ("200", notify(first, 1, branch="h")),
            # The same request once more, and the answer with it.
            ("500", notify(first, 0, branch="g", body="other")),
        ):
            peer.send(raw)
            await peer.next(code)
        peer.send(notify(first, 2, contact="http://evil.example/").replace(b"Content-Type", b"X"))
        peer.send(notify(first, 3, body="good"))
        await peer.next("200")
        assert (await soon(anext(subscription))).body == b"good" and agent.dropped == 1


async def test_an_end_says_when_to_ask_again(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with agent.subscribe(LINE, there, "reg", credentials=[Credentials("a", "b")]) as subscription:
        for state, wait in (
            ("terminated;reason=deactivated", 0.0),
            ("terminated;reason=timeout", 0.0),
            ("terminated;reason=probation;retry-after=120", 120.0),
            ("terminated;reason=giveup;retry-after=99999999", 3600.0),
        ):
            heard = await peer.next("SUBSCRIBE")
            heard.reply("202 Accepted", "Expires: 3600")
            peer.send(notify(heard, 1, state, body="last"))
            await peer.next("200")
            assert await soon(anext(subscription)) == Notified(b"last", "text/plain", "terminated")
            assert isinstance(await soon(anext(subscription)), Interrupted) and not subscription.is_active
            if wait:
                await clock.waits(wait, wait)
                await rounds()
                assert peer.heard.empty()
                clock.advance(wait)
        heard = await peer.next("SUBSCRIBE")
        heard.reply("200 OK")
        peer.send(notify(heard, 1, "terminated;reason=rejected"))
        await peer.next("200")
        await soon(anext(subscription))
        assert await soon(anext(subscription)) == Interrupted("rejected", is_over=True)
        assert await soon(anext(subscription, None)) is None


async def test_failures_are_tried_again_at_growing_intervals(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with agent.subscribe(LINE, there, "reg", expires=60) as subscription:
        (await peer.next("SUBSCRIBE")).reply("423 Interval Too Brief", "Min-Expires: 1800")
        await soon(anext(subscription))
        heard = await peer.next("SUBSCRIBE")
        assert heard["Expires"] == "1800"
        heard.reply("503 Overloaded", "Retry-After: 7 (busy)")
        assert await soon(anext(subscription)) == Interrupted("503 Overloaded")
        await clock.waits(7, 7)
        clock.advance(7)
        for most in (4, 8, 16, 30, 30):
            (await peer.next("SUBSCRIBE")).reply("500 Oops")
            await soon(anext(subscription))
            await clock.waits(most * 0.75, most)
            clock.advance(most)
        # Accepted, but nothing is ever told.
        (await peer.next("SUBSCRIBE")).reply("200 OK", "Expires: 3600")
        await clock.settles()
        await clock.waits(32, 32)
        clock.advance(32)
        assert "nothing was told" in (await soon(anext(subscription))).reason
        await clock.waits(22.5, 30)
        clock.advance(30)
        (await peer.next("SUBSCRIBE")).reply("200 OK", "Expires: 0")
        assert "no time" in (await soon(anext(subscription))).reason


async def test_an_interval_of_nothing_makes_nobody_ask_without_end(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with subscribed(agent, peer, there, clock) as (subscription, first):
        for cseq in range(2, 12):
            peer.send(notify(first, cseq, "active;expires=0"))
            await peer.next("200")
            await soon(anext(subscription))
        await rounds()
        assert peer.heard.empty()
        await clock.waits(0.5, 1)


async def test_who_reads_too_slowly_is_told_so_and_asks_anew(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with subscribed(agent, peer, there, clock) as (subscription, first):
        for cseq in range(2, MOST_WAITING + 3):
            peer.send(notify(first, cseq, body=str(cseq)))
            await peer.next("200")
        (await peer.next("SUBSCRIBE")).reply("200 OK", "Expires: 3600")
        assert "not read in time" in (await soon(anext(subscription))).reason
        peer.send(notify(first, 100, body="everything"))
        await peer.next("200")
        assert (await soon(anext(subscription))).body == b"everything"
        await clock.waits(2700, 3240)
        subscription.refresh()
        (await peer.next("SUBSCRIBE")).reply("200 OK", "Expires: 3600")
        await clock.waits(2700, 3240)


async def test_a_wait_ends_when_it_is_asked_anew_and_a_dialog_when_it_is_to_start_over(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with agent.subscribe(LINE, there, "reg") as subscription:
        first = await peer.next("SUBSCRIBE")
        first.reply("503 Overloaded", "Retry-After: 3000")
        await soon(anext(subscription))
        await clock.waits(3000, 3000)
        subscription.refresh()
        second = await peer.next("SUBSCRIBE")
        assert second["Call-ID"] != first["Call-ID"]
        second.reply("200 OK", "Expires: 3600")
        peer.send(notify(second, 1, body="known"))
        await peer.next("200")
        assert (await soon(anext(subscription))).body == b"known"
        await clock.waits(2700, 3240)
        subscription.start_over()
        assert await soon(anext(subscription)) == Interrupted("asked for anew")
        third = await peer.next("SUBSCRIBE")
        assert third["Call-ID"] != second["Call-ID"] and "tag=" not in third["To"]
        # The old dialog is no more.
        peer.send(notify(second, 2, body="old"))
        await peer.next("481")
        third.reply("404 Nobody")
        assert (await soon(anext(subscription))).is_over


async def test_those_who_share_a_gate_ask_one_after_the_other(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    gate = asyncio.Semaphore(1)
    subscriptions = [agent.subscribe(f"sip:{number}@example.org", there, "reg", gate=gate) for number in range(3)]
    async with subscriptions[0], subscriptions[1], subscriptions[2]:
        for _ in subscriptions:
            heard = await peer.next("SUBSCRIBE")
            await rounds()
            assert peer.heard.empty()
            heard.reply("404 Nobody")


async def test_a_lost_connection_is_asked_for_again_at_once(
    agent: UserAgent, stream: StreamPeer, clock: ManualClock
) -> None:
    there = Destination("127.0.0.1", stream.port, "tcp")
    subscription = agent.subscribe(LINE, there, "reg")
    async with subscription:
        heard = await stream.next("SUBSCRIBE")
        stream.connections[0].write(heard.answer("200 OK", "Expires: 3600") + notify(heard, 1, body="one"))
        assert (await stream.next("200"))["CSeq"] == "1 NOTIFY"
        assert (await soon(anext(subscription))).body == b"one"
        await clock.waits(2700, 3240)
        # Kept open, though it is idle.
        for _ in range(10):
            clock.advance(30)
        await until(lambda: stream.pings == 10)
        assert len(stream.connections) == 1 and stream.closed.empty()
        stream.connections[0].transport.abort()
        assert isinstance(await soon(anext(subscription)), Interrupted) and not subscription.is_active
        heard = await stream.next("SUBSCRIBE")
        assert len(stream.connections) == 2
        stream.connections[1].write(notify(heard, 1, body="two") + heard.answer("200 OK", "Expires: 3600"))
        assert (await soon(anext(subscription))).body == b"two"
        await clock.waits(2700, 3240)
        await stream.next("200")
        closing = asyncio.create_task(subscription.close())
        # Nobody answers: we leave all the same.
        await stream.next("SUBSCRIBE")
        clock.advance(4)
        await soon(closing)


async def test_logins_last_for_a_subscription(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    async with agent.subscribe(LINE, there, "reg", credentials=[Credentials("alice", "secret")]) as subscription:
        (await peer.next("SUBSCRIBE")).reply("401 No", 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"')
        heard = await peer.next("SUBSCRIBE")
        assert "nc=00000001" in heard["Authorization"]
        heard.reply("200 OK", "Expires: 100")
        peer.send(notify(heard, 1))
        await peer.next("200")
        await clock.waits(75, 90)
        clock.advance(90)
        heard = await peer.next("SUBSCRIBE")
        assert "nc=00000002" in heard["Authorization"]
        heard.reply("401 No", 'WWW-Authenticate: Digest realm="r", nonce="m", qop="auth", stale=true')
        heard = await peer.next("SUBSCRIBE")
        assert "nc=00000001" in heard["Authorization"] and 'nonce="m"' in heard["Authorization"]
        heard.reply("404 Nobody")
        await soon(anext(subscription))
        assert await soon(anext(subscription)) == Interrupted("404 Nobody", is_over=True)
