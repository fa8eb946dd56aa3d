"""Against a real proxy: Kamailio asks for a login with 401 and 407, over UDP, TCP and TLS."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ztp_server.pki.authority import ensure_server_files
from ztp_server.sip.destination import Destination, TransportName
from ztp_server.sip.digest import Credentials
from ztp_server.sip.tls import TlsFiles
from ztp_server.sip.transports import Binding
from ztp_server.sip.user_agent import UserAgent, UserAgentOptions

pytestmark = pytest.mark.skipif(not shutil.which("kamailio"), reason="kamailio is not installed")

CONFIGURATION = """
debug=1
log_stderror=yes
children=1
tcp_children=1
tcp_connection_lifetime=60
auto_aliases=no
enable_tls=yes
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
listen=tls:127.0.0.1:{tls_port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/aarch64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "auth.so"
loadmodule "tls.so"
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("tls", "tls_method", "TLSv1.2+")
request_route {{
    if (is_method("OPTIONS")) {{
        if (!pv_www_authenticate("example.org", "s3cret\\"", "0")) {{
            www_challenge("example.org", "1");
            exit;
        }}
        sl_send_reply("200", "$au");
        exit;
    }}
    if (!pv_proxy_authenticate("proxy.example.org", "s3cret\\"", "0")) {{
        proxy_challenge("proxy.example.org", "1");
        exit;
    }}
    sl_send_reply("202", "$hdr(Event)");
}}
"""
LOGIN = Credentials("alice", 's3cret"', frozenset({"example.org", "proxy.example.org"}))


@dataclass
class Kamailio:
    port: int
    tls_port: int
    ca: Path

    def at(self, transport: TransportName) -> Destination:
        return Destination("127.0.0.1", self.tls_port if transport == "tls" else self.port, transport)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=["MD5", "SHA-256"])
async def kamailio(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kamailio]:
    files = ensure_server_files(tmp_path / "tls", ["127.0.0.1"])
    found = Kamailio(free_port(), free_port(), files.ca)
    configuration = tmp_path / "kamailio.cfg"
    configuration.write_text(
        CONFIGURATION.format(
            port=found.port,
            tls_port=found.tls_port,
            algorithm=request.param,
            certificate=files.certificate,
            key=files.key,
        )
    )
    process = await asyncio.create_subprocess_exec(
        *(
            "kamailio",
            "-f",
            str(configuration),
            "-DD",
            "-E",
            "-m",
            "16",
            "-M",
            "4",
            "-w",
            str(tmp_path),
            "-Y",
            str(tmp_path),
        ),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=(tmp_path / "log").open("wb"),
    )
    try:
        await listening(found.tls_port, process, tmp_path / "log")
        yield found
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def listening(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    """Until somebody accepts connections there."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return


async def test_options_and_notify_are_accepted_with_a_login_and_not_without(kamailio: Kamailio) -> None:
    options = UserAgentOptions(Binding(ipv4="127.0.0.1", tls=TlsFiles(kamailio.ca)))
    async with UserAgent(options) as agent:
        for transport in ("udp", "tcp", "tls"):
            there = kamailio.at(transport)
            answer = await agent.options("sip:example.org", there, credentials=[LOGIN])
            assert (answer.code, answer.reason) == (200, "alice"), answer
            event = "check-sync;reboot=true"
            answer = await agent.notify("sip:100@example.org", there, event, credentials=[LOGIN])
            assert (answer.code, answer.reason) == (202, event), answer
            wrong = Credentials("alice", "wrong")
            assert (await agent.options("sip:example.org", there, credentials=[wrong])).code == 401
            assert (await agent.notify("sip:100@example.org", there, event, credentials=[wrong])).code == 407
            assert (await agent.options("sip:example.org", there)).code == 401
        assert agent.dropped == 0
