"""TCP and TLS: one connection used again, kept, closed when idle; certificates checked; streams that misbehave."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.sip.peer import ManualClock, StreamPeer, soon, until
from ztp_server.errors import Misconfigured
from ztp_server.pki.authority import ensure_server_files, make_device_authority, make_device_certificate
from ztp_server.sip.destination import Destination
from ztp_server.sip.framing import Framer
from ztp_server.sip.message import Malformed
from ztp_server.sip.tls import TlsFiles
from ztp_server.sip.transports import Binding
from ztp_server.sip.user_agent import UserAgent, UserAgentOptions

PHONE = "sip:100@127.0.0.1"


@pytest.fixture
def there(stream: StreamPeer) -> Destination:
    return Destination("127.0.0.1", stream.port, "tcp")


async def test_requests_share_a_connection_and_nothing_is_sent_twice(
    agent: UserAgent, stream: StreamPeer, there: Destination, clock: ManualClock
) -> None:
    asked = [asyncio.create_task(agent.options(f"sip:{n}@127.0.0.1", there)) for n in range(20)]
    heard = [await stream.next("OPTIONS") for _ in range(20)]
    assert heard[0]["Via"].startswith("SIP/2.0/TCP 127.0.0.1:") and ";transport=tcp>" in heard[0]["Contact"]
    clock.advance(20)
    # All answers in one piece, the last byte later.
    whole = b"".join(one.answer("200 OK", body=b"b" * number) for number, one in enumerate(reversed(heard)))
    stream.connections[0].write(whole[:-1])
    await until(lambda: sum(task.done() for task in asked) == 19)
    stream.connections[0].write(whole[-1:])
    assert sorted([len((await soon(task)).body) for task in asked]) == list(range(20))
    assert len(stream.connections) == 1 and stream.heard.empty()


async def test_an_idle_connection_is_closed_and_the_next_request_opens_another(
    agent: UserAgent, stream: StreamPeer, there: Destination, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    (await stream.next()).reply("200 OK")
    assert (await soon(asked)).ok
    clock.advance(59)
    await until(lambda: stream.pings == 1)
    clock.advance(31)
    assert await soon(stream.closed.get()) == 1
    asked = asyncio.create_task(agent.options(PHONE, there))
    (await stream.next()).reply("200 OK")
    assert (await soon(asked)).ok and len(stream.connections) == 2


async def test_our_side_answers_a_ping(agent: UserAgent, stream: StreamPeer, there: Destination) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await stream.next()
    stream.connections[0].write(b"\r\n\r\n\r\n\r\n" + heard.answer("200 OK"))
    assert (await soon(asked)).ok
    # The pong stands before the next request.
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await stream.next()
    assert heard.first == ""
    stream.connections[0].transport.abort()
    assert (await soon(asked)).kind == "no_answer"


async def test_a_peer_that_says_nothing_loses_its_connection(
    agent: UserAgent, stream: StreamPeer, there: Destination, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    await stream.next()
    clock.advance(32)
    assert (await soon(asked)).kind == "no_answer"
    assert await soon(stream.closed.get()) == 1


async def test_nobody_there_is_refused(agent: UserAgent, stream: StreamPeer, there: Destination) -> None:
    await stream.stop()
    assert (await soon(agent.options(PHONE, there))).kind == "refused"


STREAMS = {
    "huge length": b"SIP/2.0 200 OK\r\nContent-Length: 99999999\r\n\r\n",
    "beyond our bounds": b"SIP/2.0 200 OK\r\nContent-Length: 65536\r\n\r\n",
    "no number": b"SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"SIP/2.0 200 OK\r\nContent-Length: 1\r\nl: 2\r\n\r\n",
    "no length": b"SIP/2.0 200 OK\r\nX: y\r\n\r\n",
    "no end": b"x" * 20_000,
}


@pytest.mark.parametrize("raw", STREAMS.values(), ids=STREAMS)
async def test_a_stream_beyond_understanding_is_closed(
    agent: UserAgent, stream: StreamPeer, there: Destination, raw: bytes
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    await stream.next()
    stream.connections[0].write(raw)
    assert (await soon(asked)).kind == "malformed"
    assert await soon(stream.closed.get()) == 1


async def test_a_message_that_trickles_in_must_end(
    agent: UserAgent, stream: StreamPeer, there: Destination, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await stream.next()
    pending = len(clock.pending())
    for byte in heard.answer("200 OK")[:60]:
        stream.connections[0].write(bytes([byte]))
        await stream.connections[0].drain()
    await until(lambda: len(clock.pending()) > pending)
    clock.advance(30)
    assert (await soon(asked)).kind == "malformed"


async def test_a_connection_closed_amid_a_message_is_told(
    agent: UserAgent, stream: StreamPeer, there: Destination
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await stream.next()
    stream.connections[0].write(heard.answer("200 OK", body=b"1234")[:-2])
    stream.connections[0].close()
    await soon(asked)
    assert (asked.result().kind, asked.result().reason) == ("malformed", "closed amid a message")


async def test_whole_garbage_between_lengths_changes_nothing(
    agent: UserAgent, stream: StreamPeer, there: Destination
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, there))
    heard = await stream.next()
    stream.connections[0].write(b"nothing known\r\nContent-Length: 3\r\n\r\nabc" + heard.answer("200 OK"))
    assert (await soon(asked)).ok and agent.dropped == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_messages_are_found_however_the_stream_is_cut(size: int) -> None:
    first, second = b"A\r\nl: 3\r\n\r\nxyz", b"B\r\nContent-Length:0\r\n\r\n"
    stream = b"\r\n\r\n\r\n" + first + b"\r\n" + second + b"\r\n\r\n" + first[:-1]
    framer = Framer()
    found = [one for at in range(0, len(stream), size) for one in framer.feed(stream[at : at + size])]
    assert found == [first, second] and framer.is_amid and framer.pings == 2
    assert framer.feed(b"z") == [first] and not framer.is_amid
    with pytest.raises(Malformed):
        framer.feed(b"x" * 20_000)


@pytest.fixture
def pki(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server context for 127.0.0.1, and the CA that counts."""
    files = ensure_server_files(tmp_path / "server", ["127.0.0.1", "pbx.example"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context, files.ca


def trusting(ca: Path | None, certificate: Path | None = None, key: Path | None = None) -> UserAgentOptions:
    return UserAgentOptions(Binding(ipv4="127.0.0.1", ipv6="::1", tls=TlsFiles(ca, certificate, key)))


async def test_tls_is_spoken_with_who_has_the_right_certificate_for_the_right_name(
    pki: tuple[ssl.SSLContext, Path], tmp_path: Path, clock: ManualClock
) -> None:
    context, ca = pki
    peer = await StreamPeer().start(context)
    async with UserAgent(trusting(ca), clock) as agent:
        for name in ("", "pbx.example"):
            asked = asyncio.create_task(agent.options(PHONE, Destination("127.0.0.1", peer.port, "tls", name)))
            heard = await peer.next()
            assert heard["Via"].startswith("SIP/2.0/TLS ") and ";transport=tls>" in heard["Contact"]
            heard.reply("200 OK")
            assert (await soon(asked)).ok
        wrong = await soon(agent.options(PHONE, Destination("127.0.0.1", peer.port, "tls", "other.example")))
        assert wrong.kind == "tls_failed" and "mismatch" in wrong.reason.lower()
    other_ca = ensure_server_files(tmp_path / "other", ["127.0.0.1"]).ca
    for untrusting in (other_ca, None):
        async with UserAgent(trusting(untrusting), clock) as agent:
            wrong = await soon(agent.options(PHONE, Destination("127.0.0.1", peer.port, "tls")))
            assert wrong.kind == "tls_failed" and "certificate" in wrong.reason
    await peer.stop()


async def test_a_client_certificate_is_shown_to_who_asks_for_one(
    pki: tuple[ssl.SSLContext, Path], tmp_path: Path, clock: ManualClock
) -> None:
    context, ca = pki
    authority = make_device_authority(tmp_path, "Client CA")
    certificate, key = make_device_certificate(*authority, tmp_path, "client", {"CN": "ztp"})
    context.load_verify_locations(authority[0])
    context.verify_mode = ssl.CERT_REQUIRED
    peer = await StreamPeer().start(context)
    place = Destination("127.0.0.1", peer.port, "tls")
    async with UserAgent(trusting(ca, certificate, key), clock) as agent:
        asked = asyncio.create_task(agent.options(PHONE, place))
        (await peer.next()).reply("200 OK")
        assert (await soon(asked)).ok
    async with UserAgent(trusting(ca), clock) as agent:
        assert (await soon(agent.options(PHONE, place))).kind in ("tls_failed", "no_answer")
    await peer.stop()


async def test_who_speaks_no_tls_is_told_apart(agent: UserAgent, stream: StreamPeer) -> None:
    asked = asyncio.create_task(agent.options(PHONE, Destination("127.0.0.1", stream.port, "tls")))
    await until(lambda: stream.connections)
    stream.connections[0].write(b"SIP/2.0 400 Bad Request\r\n\r\n")
    assert (await soon(asked)).kind == "tls_failed"


async def test_a_handshake_that_does_not_end_is_given_up(
    agent: UserAgent, stream: StreamPeer, clock: ManualClock
) -> None:
    asked = asyncio.create_task(agent.options(PHONE, Destination("127.0.0.1", stream.port, "tls")))
    await until(lambda: stream.connections)
    clock.advance(10)
    assert (await soon(asked)).kind == "no_answer"


async def test_wrong_files_are_a_mistake_of_the_configuration(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "bad.pem").write_text("none")
    for files in (
        TlsFiles(ca=tmp_path / "bad.pem"),
        TlsFiles(ca=tmp_path / "gone.pem"),
        TlsFiles(None, tmp_path / "bad.pem"),
    ):
        with pytest.raises(Misconfigured, match=r"(bad|gone)\.pem"):
            UserAgent(UserAgentOptions(Binding(tls=files)), clock)
