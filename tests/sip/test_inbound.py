"""Requests that come to us: answered once and for all their repetitions, to where they came from."""

from __future__ import annotations

import asyncio

from tests.sip.peer import ManualClock, UdpPeer, soon, udp_peer, until
from ztp_server.sip import server_transactions
from ztp_server.sip.destination import Destination
from ztp_server.sip.server_transactions import AnsweredRequests
from ztp_server.sip.user_agent import UserAgent


def request(method: str, *, via: str = "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1;rport", tag: str = "") -> bytes:
    lines = [
        f"{method} sip:ztp@127.0.0.1 SIP/2.0",
        f"v: {via}",
        'f: "A, <b>" <sip:a@pbx1>;tag=x',
        f"t: <sip:ztp@127.0.0.1>{tag}",
        "i: call",
        f"CSeq: 7\r\n {method}",
        "Content-Length : 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def known(agent: UserAgent, peer: UdpPeer, there: Destination) -> None:
    """Let the peer learn where the agent is."""
    asked = asyncio.create_task(agent.options("sip:a@127.0.0.1", there))
    (await peer.next()).reply("200 OK")
    await soon(asked)


async def test_each_method_has_its_answer(agent: UserAgent, peer: UdpPeer, there: Destination) -> None:
    await known(agent, peer, there)
    for number, (method, tag, code) in enumerate(
        [
            *(("OPTIONS", "", "200"), ("NOTIFY", "", "481"), ("NOTIFY", ";tag=y", "481"), ("MESSAGE", "", "405")),
            *(("INVITE", "", "405"), ("BYE", ";tag=y", "481"), ("OPTIONS", ";tag=y", "481"), ("CANCEL", "", "481")),
        ]
    ):
        via = f"SIP/2.0/UDP pbx1:9;branch=z9hG4bK{number};rport , SIP/2.0/TCP [2001:db8::1];branch=z9hG4bKb"
        peer.send(request("ACK", via=via))
        peer.send(request(method, via=via, tag=tag))
        answer = await peer.next(code)
        assert answer.headers["via"] == [
            f"SIP/2.0/UDP pbx1:9;branch=z9hG4bK{number};rport={peer.port};received=127.0.0.1",
            "SIP/2.0/TCP [2001:db8::1];branch=z9hG4bKb",
        ]
        assert (answer["From"], answer["Call-ID"]) == ('"A, <b>" <sip:a@pbx1>;tag=x', "call")
        assert answer["CSeq"] == f"7 {method}" and ";tag=" in answer["To"]
        assert (code in ("200", "405")) == ("allow" in answer.headers)


async def test_a_repeated_request_gets_the_same_answer_for_a_while(
    agent: UserAgent, peer: UdpPeer, there: Destination, clock: ManualClock
) -> None:
    await known(agent, peer, there)
    for via in ("SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1;rport", "SIP/2.0/UDP 127.0.0.1:9;rport"):
        peer.send(request("OPTIONS", via=via))
        peer.send(request("OPTIONS", via=via))
        first, second = await peer.next("200"), await peer.next("200")
        assert first["To"] == second["To"]
        clock.advance(33)
        peer.send(request("OPTIONS", via=via))
        assert (await peer.next("200"))["To"] != first["To"]


async def test_without_rport_the_answer_goes_to_the_port_that_is_written_at_the_address_it_came_from(
    agent: UserAgent, peer: UdpPeer, there: Destination
) -> None:
    await known(agent, peer, there)
    other = await udp_peer()
    peer.send(request("OPTIONS", via=f"SIP/2.0/UDP 192.0.2.1:{other.port};branch=z9hG4bK9"))
    answer = await other.next("200")
    assert answer["Via"].endswith(";received=127.0.0.1")
    await other.close()


async def test_requests_that_are_none_are_dropped(agent: UserAgent, peer: UdpPeer, there: Destination) -> None:
    await known(agent, peer, there)
    good = request("OPTIONS")
    wrong = [
        good.replace(b"z9hG4bK1;rport", b"\x7f"),
        good.replace(b"v: ", b"v: SIP/3.0/"),
        good.replace(b"127.0.0.1:9", b"127.0.0.1:99999"),
        good.replace(b"7\r\n OPTIONS", b"7 NOTIFY"),
        good.replace(b"t: <", b"t: <<"),
        good.replace(b"t: ", b"X: "),
        good.replace(b"CSeq: 7", b"CSeq: 99999999999"),
        good.replace(b"f: ", b"f\xe2\x80\xa8: "),
        good.replace(b"t: <sip:ztp@127.0.0.1>", b"t: <sip:ztp@127.0.0.1>;x=\xc2\x85y"),
        good.replace(b"i: call", b"i: " + b"c" * 600),
        good.replace(b"i: call", b"i: call\r\n" + b"x: y\r\n" * 200),
        good.replace(b"i: call", b"i: call\r\nx: " + b"y" * 9000),
        good.replace(b"i: call", b"no colon"),
        good[:-2],
    ]
    for raw in wrong:
        peer.send(raw)
    await until(lambda: agent.dropped == len(wrong))
    peer.send(good)
    await peer.next("200")
    assert peer.heard.empty()


def test_what_was_answered_is_forgotten_before_it_fills_the_memory(clock: ManualClock) -> None:
    answers = AnsweredRequests(clock, 32)
    for number in range(server_transactions.MOST + 10):
        answers.remember((str(number),), b"x")
    assert answers.again(("9",)) is None and answers.again(("10",)) == b"x"
    for number in range(100):
        answers.remember((f"large {number}",), b"x" * 65_000)
    kept = [number for number in range(100) if answers.again((f"large {number}",))]
    assert 10 < len(kept) < 70 and kept[-1] == 99
    clock.advance(33)
    assert answers.again(("large 99",)) is None
