"""Phones register with a real Kamailio, and whoever follows their status sees it within two seconds.

Needs kamailio, which `make test` installs as root.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api.test_phone_status_stream import Stream
from tests.conftest import ADMIN, OTHER_VVX, VVX, World
from tests.services.registering import registered
from tests.test_real_registrar import MODULES, _free_ports, running, until
from ztp_server.domain.account import RoleGrant
from ztp_server.domain.platform import Platform, SourceKind
from ztp_server.sip.destination import Destination
from ztp_server.sip.transports import Binding
from ztp_server.sip.user_agent import UserAgent, UserAgentOptions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("kamailio"), reason="kamailio is not installed (see APT in the Makefile)"),
]
TABLES = Path("/usr/share/kamailio/dbtext/kamailio")
LOADED = (
    *("tm", "sl", "pv", "textops", "xhttp", "jsonrpcs", "db_text", "usrloc", "registrar"),
    *("presence", "presence_reginfo", "pua", "pua_reginfo"),
)
CONFIGURATION = """\
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
tcp_accept_no_cl=yes
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
alias="sip.example.net"
mpath="{modules}/"
{loaded}
modparam("jsonrpcs", "transport", 1)
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "use_domain", 1)
modparam("usrloc", "timer_interval", 1)
modparam("presence|pua", "db_url", "text://{folder}/tables")
modparam("presence", "server_address", "sip:127.0.0.1:{port}")
modparam("pua_reginfo", "default_domain", "sip.example.net")
modparam("pua_reginfo", "server_address", "sip:reginfo@127.0.0.1:{port}")
modparam("pua_reginfo", "outbound_proxy", "sip:127.0.0.1:{port}")
request_route {{
    if (is_method("PUBLISH")) {{ t_newtran(); handle_publish(); exit; }}
    if (is_method("SUBSCRIBE")) {{ t_newtran(); handle_subscribe(); exit; }}
    if (is_method("REGISTER")) {{ save("location"); exit; }}
    sl_send_reply("405", "Method not allowed");
}}
event_route[xhttp:request] {{ jsonrpc_dispatch(); }}
"""


@asynccontextmanager
async def kamailio(folder: Path, port: int) -> AsyncIterator[None]:
    _configure(folder, port)
    where = ("-f", folder / "kamailio.cfg", "-Y", folder, "-w", folder)
    async with running(folder / "log", ["kamailio", "-DD", "-E", "-m", "32", "-M", "4", *where]):
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                break
        yield


def _configure(folder: Path, port: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copytree(TABLES, folder / "tables")
    loaded = "\n".join(f'loadmodule "{name}.so"' for name in LOADED)
    text = CONFIGURATION.format(port=port, modules=MODULES, loaded=loaded, folder=folder)
    (folder / "kamailio.cfg").write_text(text)


async def _register(agent: UserAgent, port: int, user: str, expires: int = 300) -> None:
    answer = await agent.request(
        *("REGISTER", "sip:sip.example.net", Destination("127.0.0.1", port)),
        headers=[("Expires", str(expires))],
        sender=f"sip:{user}@sip.example.net",
        recipient=f"sip:{user}@sip.example.net",
        contact=True,
    )
    assert answer.ok, answer


async def _add(world: World, port: int, source: SourceKind) -> None:
    address = f"udp:127.0.0.1:{port}" if source == "reg_event" else ""
    where = f"http://127.0.0.1:{port}/RPC" if source == "kamailio_rpc" else ""
    platform = Platform("pbx", "PBX", ("sip.example.net",), address, source=source, source_address=where)
    async with world.services.store.write() as session:
        await session.platforms.add(platform)


@asynccontextmanager
async def _stream(world: World) -> AsyncIterator[Stream]:
    token, _ = await world.services.tokens.create(ADMIN, "follower", [RoleGrant("viewer")])
    headers = {"Authorization": f"Bearer {token}"}
    url = f"http://127.0.0.1:{world.app.admin_address.port}/api/v1/phones/status/stream"  # type: ignore[union-attr]
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as response:
        assert response.status == 200
        yield Stream(response)


async def _pushed(stream: Stream, state: str) -> float:
    """When the stream said that a phone is in a state, by the loop's clock."""
    while True:
        status = (await stream.phones(OTHER_VVX))["status"]
        if status["registration"] == state:
            return asyncio.get_running_loop().time()


@pytest.mark.parametrize("source", ["kamailio_rpc", "reg_event"])
async def test_who_registers_is_online_everywhere_and_unknown_when_the_registrar_is_gone(
    start: Callable[..., Awaitable[World]], world: World, tmp_path: Path, source: SourceKind
) -> None:
    (port,) = _free_ports(1)
    options = UserAgentOptions(Binding(ipv4="127.0.0.1"), product="Phone/1")
    # A line of this phone has one server; the site has two, of which the platform has one.
    await world.services.sites.edit(ADMIN, "madrid", None, {"sip_server_secondary": ""})
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(UserAgent(options))
        first = await stack.enter_async_context(AsyncExitStack())
        await first.enter_async_context(kamailio(tmp_path / "kamailio", port))
        await _add(world, port, source)
        await registered(world.services, VVX, "never_registered")
        stream = await stack.enter_async_context(_stream(world))
        times = []
        for _ in range(int(os.environ.get("ZTP_ROUNDS", "2"))):
            for expires, state in ((300, "online"), (0, "offline")):
                began = asyncio.get_running_loop().time()
                await _register(agent, port, "1005", expires)
                times.append(await _pushed(stream, state) - began)
        print(f"{source}: p50 {statistics.median(times):.2f} s, most {max(times):.2f} s of {len(times)}")
        await _register(agent, port, "1005")
        await _pushed(stream, "online")

        async def is_told_where() -> bool:  # Kamailio is asked for contacts after it was asked who is there
            phone = await world.services.phones.get(ADMIN, OTHER_VVX)
            status = (await world.services.phones.view(phone))["status"]
            assert status["reason"] == "registered with sip.example.net"
            (told,) = status["lines"]
            line.update(told)
            return bool(told["user_agent"] == "Phone/1")

        line: dict[str, Any] = {}
        await until(is_told_where, tmp_path / "kamailio/log")
        assert (line["user"], line["state"]) == ("1005", "registered")
        assert line["contact"].startswith("sip:ztp@127.0.0.1") and line["expires_at"] is not None

        await first.aclose()
        status = await registered(world.services, OTHER_VVX, "unknown")
        assert "platform pbx tells nothing" in status["registration_reason"]
        await stack.enter_async_context(kamailio(tmp_path / "kamailio", port))
        # It has forgotten who was registered.
        await registered(world.services, OTHER_VVX, "offline")
        await _register(agent, port, "1005")
        await registered(world.services, OTHER_VVX, "online")
