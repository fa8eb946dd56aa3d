"""Against a real proxy and registrar: Kamailio asks for a login with 401 and 407, over UDP, TCP and TLS, and tells of
registrations."""

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
from ztp_server.sip.reginfo import Registrations, read_reginfo
from ztp_server.sip.subscribe_call import Notified
from ztp_server.sip.subscription import Subscription
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
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "auth.so"
loadmodule "tls.so"
loadmodule "db_text.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "presence.so"
loadmodule "presence_reginfo.so"
loadmodule "pua.so"
loadmodule "pua_reginfo.so"
modparam("presence|pua", "db_url", "text://{folder}/tables")
modparam("presence", "server_address", "sip:127.0.0.1:{port}")
modparam("usrloc", "db_mode", 0)
modparam("pua_reginfo", "default_domain", "127.0.0.1")
modparam("pua_reginfo", "server_address", "sip:reginfo@127.0.0.1:{port}")
modparam("pua_reginfo", "outbound_proxy", "sip:127.0.0.1:{port}")
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("tls", "tls_method", "TLSv1.2+")
request_route {{
    if (is_method("PUBLISH")) {{
        t_newtran();
        handle_publish();
        exit;
    }}
    if (is_method("SUBSCRIBE")) {{
        t_newtran();
        handle_subscribe();
        exit;
    }}
    if (is_method("REGISTER")) {{
        save("location");
        exit;
    }}
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
    shutil.copytree("/usr/share/kamailio/dbtext/kamailio", tmp_path / "tables")
    configuration = tmp_path / "kamailio.cfg"
    configuration.write_text(
        CONFIGURATION.format(
            folder=tmp_path,
            port=found.port,
            tls_port=found.tls_port,
            algorithm=request.param,
            certificate=files.certificate,
            key=files.key,
        )
    )
    folder = str(tmp_path)
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("kamailio", "-f", str(configuration), "-DD", "-E", "-m", "16", "-M", "4", "-w", folder, "-Y", folder),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
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
                assert process.returncode is None, log
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


async def told(subscription: Subscription, registrations: Registrations, phone: str, *, is_there: bool) -> None:
    """Until the documents say so: the first, of an address without registrations, may come after REGISTER's answer."""
    async for item in subscription:
        assert isinstance(item, Notified), item
        if not item.body:
            continue
        assert item.content_type == "application/reginfo+xml" and registrations.take(read_reginfo(item.body))
        contacts = [one for each in registrations.known.values() for one in each.contacts.values()]
        if any(one.user_agent == phone for one in contacts) == is_there:
            return
    raise AssertionError("the subscription ended")


async def test_registrations_are_told_as_they_come_and_go(kamailio: Kamailio) -> None:
    line = f"sip:100@127.0.0.1:{kamailio.port}"
    options = UserAgentOptions(Binding(ipv4="127.0.0.1", tls=TlsFiles(kamailio.ca)), product="Phone/1")
    async with asyncio.timeout(60), UserAgent(options) as agent:
        for transport in ("udp", "tcp", "tls"):
            there, registrations = kamailio.at(transport), Registrations()
            async with agent.subscribe(line, there, "reg", expires=600) as subscription:
                for expires in (300, 0):
                    answer = await agent.request(
                        *("REGISTER", f"sip:127.0.0.1:{kamailio.port}", there),
                        headers=[("Expires", str(expires))],
                        sender=line,
                        recipient=line,
                        contact=True,
                    )
                    assert answer.ok, answer
                    await told(subscription, registrations, "Phone/1", is_there=bool(expires))
                assert subscription.is_active
