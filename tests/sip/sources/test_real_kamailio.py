"""Against a real registrar: Kamailio tells by JSON-RPC and by subscription who is registered, and is killed and started
again in between."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.sip.sources.scripted import report
from tests.sip.test_kamailio import free_port, listening
from tests.test_real_registrar import running
from ztp_server.domain.platform import Platform
from ztp_server.sip.destination import Destination, TransportName
from ztp_server.sip.sources import kamailio_rpc
from ztp_server.sip.sources.opening import open_source
from ztp_server.sip.sources.source import Everything, Place, Silent, Source, Told
from ztp_server.sip.transports import Binding
from ztp_server.sip.user_agent import UserAgent, UserAgentOptions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("kamailio"), reason="kamailio is not installed (see APT in the Makefile)"),
]

CONFIGURATION = """
debug=1
log_stderror=yes
children=1
tcp_children=2
tcp_accept_no_cl=yes
auto_aliases=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "db_text.so"
loadmodule "xhttp.so"
loadmodule "jsonrpcs.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "presence.so"
loadmodule "presence_reginfo.so"
loadmodule "pua.so"
loadmodule "pua_reginfo.so"
modparam("jsonrpcs", "transport", 1)
modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", 1)
modparam("presence|pua", "db_url", "text://{folder}/tables")
modparam("presence", "server_address", "sip:127.0.0.1:{port}")
modparam("presence", "subs_db_mode", 0)
modparam("pua_reginfo", "default_domain", "example.org")
modparam("pua_reginfo", "server_address", "sip:reginfo@127.0.0.1:{port}")
modparam("pua_reginfo", "outbound_proxy", "sip:127.0.0.1:{port}")
request_route {{
    if (is_method("PUBLISH")) {{ t_newtran(); handle_publish(); exit; }}
    if (is_method("SUBSCRIBE")) {{ t_newtran(); handle_subscribe(); exit; }}
    if (is_method("REGISTER")) {{ save("location"); exit; }}
    sl_send_reply("200", "OK");
}}
event_route[xhttp:request] {{
    if ($hu =~ "^/RPC") {{ jsonrpc_dispatch(); }} else {{ xhttp_reply("404", "Not found", "text/plain", "no"); }}
}}
"""
LINES = {"100@example.org", "Ann&200@example.org"}


class Registrar:
    """A Kamailio, and phones that register with it."""

    def __init__(self, folder: Path, agent: UserAgent) -> None:
        self.folder = folder
        self.agent = agent
        self.port = free_port()
        (folder / "kamailio.cfg").write_text(CONFIGURATION.format(folder=folder, port=self.port))

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """It runs until the end of the block, and remembers nothing."""
        shutil.rmtree(self.folder / "tables", ignore_errors=True)
        shutil.copytree("/usr/share/kamailio/dbtext/kamailio", self.folder / "tables")
        log = self.folder / "log"
        command = ["kamailio", "-f", self.folder / "kamailio.cfg", "-DD", "-E", "-m", "32", "-M", "8"]
        async with running(log, [*command, "-w", self.folder, "-Y", self.folder]) as process:
            await listening(self.port, process, log)
            yield

    def at(self, transport: TransportName) -> Destination:
        return Destination("127.0.0.1", self.port, transport)

    async def register(self, user: str, expires: int) -> None:
        """With the same contact each time."""
        line = f"sip:{user}@example.org"
        answer = await self.agent.request(
            *("REGISTER", "sip:example.org", self.at("udp")),
            headers=[("Expires", str(expires))],
            sender=line,
            recipient=line,
            contact=True,
        )
        assert answer.ok, answer

    def source(self, kind: str, transport: TransportName = "udp") -> Source:
        address = f"http://127.0.0.1:{self.port}/RPC" if kind == "kamailio_rpc" else ""
        platform = Platform("pbx", "PBX", ("example.org",), source=kind, source_address=address)  # type: ignore[arg-type]
        source = open_source(platform, self.agent, self.at(transport), ())
        assert source
        return source


@pytest.fixture
async def registrar(tmp_path: Path) -> AsyncIterator[Registrar]:
    options = UserAgentOptions(Binding(ipv4="127.0.0.1"), product="Acme/1")
    async with asyncio.timeout(90), UserAgent(options) as agent:
        yield Registrar(tmp_path, agent)


class Known:
    """What a source told, taken together."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.contacts: dict[str, tuple[Place, ...]] = {}
        self.is_silent = False

    async def next(self) -> None:
        found = await report(self.source)
        self.is_silent = isinstance(found, Silent)
        if isinstance(found, Everything):
            self.contacts = {one.user: one.contacts for one in found.told}
        elif isinstance(found, Told):
            self.contacts[found.user] = found.contacts

    async def until(self, user: str, *, registered: bool) -> None:
        """Until that is told, and where the line is."""
        while bool(self.contacts.get(user)) != registered or (registered and not self.contacts[user][0].uri):
            await self.next()

    async def until_silent(self) -> None:
        while not self.is_silent:
            await self.next()


async def test_json_rpc_tells_of_registrations_as_they_come_and_go(
    registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kamailio_rpc, "_TURN_SECONDS", 2.0)
    source = registrar.source("kamailio_rpc")
    source.want(LINES)
    known = Known(source)
    async with source:
        async with registrar.up():
            await registrar.register("100", 600)
            await known.until("100", registered=True)
            (place,) = known.contacts["100"]
            assert place.uri.startswith("sip:ztp@127.0.0.1") and (place.transport, place.user_agent) == (
                "udp",
                "Acme/1",
            )
            first = place.expires_at
            await registrar.register("100", 1200)
            while known.contacts["100"][0].expires_at == first:
                await known.next()
            # The name is told as ours is written, though Kamailio keeps it in lower case.
            await registrar.register("Ann&200", 3)
            begun = time.monotonic()
            await known.until("Ann&200", registered=True)
            # It ends by itself, and is told of long before Kamailio sweeps its table, which it does once a minute.
            await known.until("Ann&200", registered=False)
            assert time.monotonic() - begun < 30
            await registrar.register("100", 0)
            await known.until("100", registered=False)
            await registrar.register("100", 600)
            await known.until("100", registered=True)
        await known.until_silent()
        async with registrar.up():
            await known.until("100", registered=False)
            await registrar.register("100", 600)
            await known.until("100", registered=True)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_subscriptions_tell_of_registrations_and_survive_the_registrar(
    registrar: Registrar, transport: TransportName
) -> None:
    source = registrar.source("reg_event", transport)
    source.want(LINES)
    known = Known(source)
    async with source:
        async with registrar.up():
            await registrar.register("100", 600)
            await known.until("100", registered=True)
            (place,) = known.contacts["100"]
            assert (place.transport, place.user_agent) == ("udp", "Acme/1") and place.expires_at
            await registrar.register("100", 0)
            await known.until("100", registered=False)
            await registrar.register("100", 600)
            await known.until("100", registered=True)
        await known.until_silent()
        async with registrar.up():
            await known.until("100", registered=False)
            await registrar.register("100", 600)
            await known.until("100", registered=True)


async def test_a_registrar_that_is_away_for_a_moment_only_is_noticed(registrar: Registrar) -> None:
    """Over UDP nothing is heard of it: the next question is answered, and the subscription forgotten."""
    source = registrar.source("reg_event")
    source.want(LINES)
    known = Known(source)
    async with source:
        async with registrar.up():
            await registrar.register("100", 600)
            await known.until("100", registered=True)
        async with registrar.up():
            await known.until("100", registered=False)
