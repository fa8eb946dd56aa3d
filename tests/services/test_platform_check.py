"""What a check says of each thing that may come of asking a platform: scripted peers on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN
from tests.sip.peer import Heard, StreamPeer, UdpPeer, udp_peer
from ztp_server.domain.diagnosis import Finding
from ztp_server.domain.platform import Platform
from ztp_server.errors import TooMany
from ztp_server.pki.authority import ensure_server_files
from ztp_server.services import platform_check
from ztp_server.services.doctor_platforms import platforms
from ztp_server.services.opening import Services
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.services.platform_check import check_address
from ztp_server.sip.destination import Destination
from ztp_server.sip.user_agent import UserAgent

PBX = Platform("pbx", "pbx", ("sip.example.net",), user="ztp", password="s3cret")
CHALLENGE = 'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5'


@pytest.fixture
async def agents() -> Any:
    agents = PlatformAgents()
    yield agents
    await agents.close()


async def asked(agents: PlatformAgents, platform: Platform, answer: Callable[[Heard], None]) -> Finding:
    """What is found when each request is answered so."""
    peer = await udp_peer()

    async def serve() -> None:
        while True:
            answer(await peer.heard.get())

    serving = asyncio.create_task(serve())
    try:
        return await check_address(agents, replace(platform, address=f"udp:127.0.0.1:{peer.port}"), 15)
    finally:
        serving.cancel()
        await peer.close()


async def test_each_answer_is_told_in_plain_words_and_with_what_to_do(agents: PlatformAgents) -> None:
    for status, user, level, words in (
        (("200 OK", "Server: Kamailio (5.6)\u202e"), "ztp", "ok", "(Kamailio (5.6)"),
        (("401 Unauthorized", CHALLENGE), "ztp", "failure", "does not take our login"),
        (("401 Unauthorized", CHALLENGE), "", "warning", "asks for a login"),
        (("403 Forbidden",), "ztp", "failure", "refuses us"),
        (("404 Not here",), "ztp", "ok", "it is there"),
        (("501 Not Implemented",), "ztp", "ok", "it is there"),
        (("503 " + "x" * 3000,), "ztp", "warning", "cannot work"),
    ):
        platform = replace(PBX, user=user, password="s3cret" if user else "")
        found = await asked(agents, platform, lambda heard, status=status: heard.reply(*status))  # type: ignore[misc]
        assert (found.level, words in found.what, bool(found.advice)) == (level, True, level != "ok"), found
        assert found.what.isprintable() and len(found.what) < 250 and "s3cret" not in found.what


async def test_a_login_is_shown_when_it_is_asked_for(agents: PlatformAgents) -> None:
    def answer(heard: Heard) -> None:
        heard.reply("200 OK") if "authorization" in heard.headers else heard.reply("401 Unauthorized", CHALLENGE)

    assert (await asked(agents, PBX, answer)).level == "ok"


async def test_nobody_there_and_something_else_there_are_told_apart(agents: PlatformAgents, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        nobody = replace(PBX, address=f"udp:127.0.0.1:{silent.getsockname()[1]}")
        found = await check_address(agents, nobody, 0.2)
    assert found.level == "failure" and "no answer: nothing within" in found.what and "firewall" in found.advice

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = replace(PBX, address=f"tcp:127.0.0.1:{closed.getsockname()[1]}")
        found = await check_address(agents, refused)
    assert found.level == "failure" and "cannot be reached" in found.what

    ensure_server_files(tmp_path, ["localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    peer = await StreamPeer().start(context)
    found = await check_address(agents, replace(PBX, address=f"tls:localhost:{peer.port}"))
    assert found.level == "failure" and "TLS fails" in found.what and "--ca @FILE" in found.advice
    ca = (tmp_path / "ca.pem").read_text()
    asking = asyncio.create_task(check_address(agents, replace(PBX, address=f"tls:localhost:{peer.port}", ca=ca)))
    (await peer.next("OPTIONS")).reply("200 OK")
    assert (await asking).level == "ok"
    await agents.close()
    await peer.stop()


async def test_nothing_is_sent_to_where_clouds_keep_their_secrets_whatever_name_leads_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(*asked: Any, **more: Any) -> Any:
        async def addresses() -> Any:
            return [
                (socket.AF_INET, more["type"], 0, "", (address, 5060)) for address in ("169.254.169.254", "224.0.0.1")
            ]

        return addresses()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    async with UserAgent() as agent:
        for transport in ("udp", "tcp", "tls"):
            response = await agent.options("sip:x", Destination("pbx.example.net", 5060, transport))
            assert response.kind == "refused" and "reserved" in response.reason


async def test_one_is_checked_at_a_time_and_a_silent_one_holds_nobody_up_for_long(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_check, "SECONDS", 15.0)
    peer = await udp_peer()
    fields = {"domains": "sip.example.net", "address": f"udp:127.0.0.1:{peer.port}"}
    await services.platforms.add(ADMIN, "pbx", "", fields)
    first = asyncio.create_task(services.platform_check.check(ADMIN, "pbx"))
    heard = await peer.next("OPTIONS")
    with pytest.raises(TooMany):
        await services.platform_check.check(ADMIN, "pbx")
    heard.reply("200 OK")
    said = await first
    assert said["level"] == "advice" and [row["level"] for row in said["findings"]] == ["ok", "advice"]
    await peer.close()


async def test_the_doctor_names_those_that_do_not_answer(services: Services) -> None:
    class Patient:
        store = services.store

    patient: Any = Patient()
    assert [found.what for found in await platforms(patient)] == ["0 answer"]
    peer: UdpPeer = await udp_peer()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = {"domains": "b.example.net", "address": f"tcp:127.0.0.1:{closed.getsockname()[1]}"}
        await services.platforms.add(ADMIN, "gone", "", gone)
        fields = {"domains": "a.example.net", "address": f"udp:127.0.0.1:{peer.port}"}
        await services.platforms.add(ADMIN, "there", "", fields)
        examined = asyncio.ensure_future(platforms(patient))
        (await peer.next("OPTIONS")).reply("200 OK")
        (found,) = await examined
    assert found.level == "warning" and "platform gone" in found.what and "ztp platform check gone" in found.advice
    await peer.close()


async def test_the_doctor_names_a_platform_whose_source_tells_nothing_with_or_without_an_address(
    services: Services,
) -> None:
    class Patient:
        store = services.store

    patient: Any = Patient()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        fields = {
            "domains": "a.example.net",
            "source": "kamailio_rpc",
            "source_address": f"http://127.0.0.1:{closed.getsockname()[1]}/RPC",
        }
        await services.platforms.add(ADMIN, "mute", "", fields)
        (found,) = await platforms(patient)
    assert (found.level, found.what) == ("warning", "platform mute: kamailio_rpc: Connection refused")
    assert "ztp platform check mute" in found.advice
