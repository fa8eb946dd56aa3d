"""One record makes the phone and the platform right: accounts exported to a real Kamailio, real softphones registered.

Needs kamailio with its TLS and SQLite modules, linphone-cli and baresip-core, which `make test` installs as root.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD, World
from ztp_server.domain.phone import Line, LineChange, Phone
from ztp_server.services.connection import Connection

MODULES = next((path for path in Path("/usr/lib").glob("*/kamailio/modules")), Path("/usr/lib/kamailio/modules"))
BARESIP = next((path for path in Path("/usr/lib").glob("**/baresip/modules")), Path("/usr/lib/baresip/modules"))
SCHEMA = Path("/usr/share/kamailio/db_sqlite/auth_db-create.sql")
MISSING = [
    *(name for name in ("kamailio", "linphone-daemon", "baresip") if shutil.which(name) is None),
    *(f"kamailio's {name}" for name in ("tls.so", "db_sqlite.so") if not (MODULES / name).exists()),
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (see APT in the Makefile)"),
]
SOFTPHONE = "020000aabbcc"
DEADLINE = 40

CONFIGURATION = """\
#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
tcp_children=1
enable_tls=yes
tcp_accept_no_cl=yes
disable_core_dump=yes
auto_aliases=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
listen=tls:127.0.0.1:{tls_port}
alias="localhost"
mpath="{modules}/"
{loaded}
modparam("jsonrpcs", "transport", 5)
modparam("jsonrpcs", "dgram_socket", "{folder}/rpc")
modparam("auth_db", "db_url", "sqlite:///{folder}/kamailio.db")
modparam("auth_db", "calculate_ha1", 0)
modparam("auth_db", "password_column", "ha1")
modparam("auth_db", "use_domain", 1)
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "timer_interval", 1)
modparam("usrloc", "handle_lost_tcp", 1)
modparam("tls", "private_key", "{tls}/server.key")
modparam("tls", "certificate", "{tls}/server.pem")
modparam("tls", "tls_method", "TLSv1.2+")
request_route {{
    if (is_method("REGISTER")) {{
        if (!auth_check("$fd", "subscriber", "0")) {{ auth_challenge("$fd", "0"); exit; }}
        save("location");
    }} else if (is_method("NOTIFY")) {{
        if (!lookup("location")) {{ sl_send_reply("404", "Not registered"); exit; }}
        t_relay();
    }} else {{
        sl_send_reply("405", "Method not allowed");
    }}
    exit;
}}
event_route[xhttp:request] {{ jsonrpc_dispatch(); }}
"""
LOADED = (
    *("db_sqlite", "jsonrpcs", "tm", "sl", "rr", "pv", "siputils", "textops", "usrloc", "registrar", "auth"),
    *("auth_db", "tls", "xhttp"),
)


@dataclass
class Kamailio:
    """A registrar on loopback, with its accounts in a table."""

    folder: Path
    port: int
    tls_port: int

    def load(self, accounts: str) -> None:
        with sqlite3.connect(self.folder / "kamailio.db") as database:
            if not database.execute("SELECT name FROM sqlite_master WHERE name = 'subscriber'").fetchone():
                database.executescript("CREATE TABLE version (table_name, table_version INT);" + SCHEMA.read_text())
        with sqlite3.connect(self.folder / "kamailio.db", isolation_level=None) as database:
            database.executescript(accounts)

    def accounts(self) -> list[str]:
        with sqlite3.connect(self.folder / "kamailio.db") as database:
            return [row[0] for row in database.execute("SELECT username FROM subscriber ORDER BY username")]

    async def registered(self) -> dict[str, list[str]]:
        """The contacts of every user who is registered."""
        found = await self._asked("ul.dump")
        records = [one for domain in found["Domains"] for one in domain["Domain"]["AoRs"]]
        return {one["Info"]["AoR"]: [each["Contact"]["Address"] for each in one["Info"]["Contacts"]] for one in records}

    async def _asked(self, method: str) -> Any:
        """By JSON-RPC over its datagram socket."""
        own = self.folder / f"asked-{os.urandom(4).hex()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
            asking.bind(str(own))
            asking.setblocking(False)
            asking.connect(str(self.folder / "rpc"))
            asking.send(json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}).encode())
            async with asyncio.timeout(5):
                answer = await asyncio.get_running_loop().sock_recv(asking, 65_536)
        own.unlink()
        return json.loads(answer).get("result", {"Domains": []})

    async def notify(self, user: str, event: str) -> str:
        """The first line of the answer to a NOTIFY for a registered user."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.bind(("127.0.0.1", 0))
            sending.setblocking(False)
            here = f"127.0.0.1:{sending.getsockname()[1]}"
            uri = f"sip:{user}@localhost"
            lines = [
                f"NOTIFY {uri} SIP/2.0",
                f"Via: SIP/2.0/UDP {here};branch=z9hG4bK1;rport",
                "Max-Forwards: 70",
                f"From: <sip:ztp@{here}>;tag=1",
                f"To: <{uri}>",
                "Call-ID: 1",
                "CSeq: 1 NOTIFY",
                f"Contact: <sip:ztp@{here}>",
                f"Event: {event}",
                "Subscription-State: active",
                "Content-Length: 0",
                "\r\n",
            ]
            await loop.sock_sendto(sending, "\r\n".join(lines).encode(), ("127.0.0.1", self.port))
            async with asyncio.timeout(10):
                answer = ""
                while not answer or answer.startswith("SIP/2.0 1"):
                    answer = (await loop.sock_recv(sending, 65_536)).decode().splitlines()[0]
        return answer


@asynccontextmanager
async def kamailio(folder: Path, tls: Path) -> AsyncIterator[Kamailio]:
    registrar = _configured(folder, tls)
    command = [
        "kamailio",
        "-f",
        folder / "kamailio.cfg",
        "-DD",
        "-E",
        "-m",
        "32",
        "-M",
        "4",
        "-Y",
        folder,
        "-w",
        folder,
    ]
    async with running(folder / "kamailio.log", command):
        await until(lambda: _is_up(registrar), folder / "kamailio.log")
        yield registrar


def _configured(folder: Path, tls: Path) -> Kamailio:
    folder.mkdir()
    port, tls_port = _free_ports(2)
    loaded = "\n".join(f'loadmodule "{name}.so"' for name in LOADED)
    text = CONFIGURATION.format(port=port, tls_port=tls_port, modules=MODULES, folder=folder, tls=tls, loaded=loaded)
    (folder / "kamailio.cfg").write_text(text)
    registrar = Kamailio(folder, port, tls_port)
    registrar.load("")
    return registrar


async def _is_up(registrar: Kamailio) -> bool:
    try:
        await registrar.registered()
    except OSError:
        return False
    return True


@asynccontextmanager
async def running(log: Path, command: list[Any], **environment: str) -> AsyncIterator[Process]:
    """A program until the end of the block, and then its whole process group no more."""
    with log.open("wb") as file:
        started = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdin=asyncio.subprocess.PIPE,
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        try:
            yield started
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, 15)
            try:
                async with asyncio.timeout(10):
                    await started.wait()
            except TimeoutError:
                os.killpg(started.pid, 9)
                await started.wait()


async def until(happened: Callable[[], Awaitable[bool]], log: Path) -> None:
    """Look ten times a second; fails with the end of a log."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not await happened():  # noqa: ASYNC110 (other programs set no events)
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"not within {DEADLINE} s:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _softphone(folder: Path, world: World) -> dict[str, Any]:
    """A new installation of linphone: the two entries it starts with, and the folder without which it does nothing."""
    (folder / ".local/share/linphone").mkdir(parents=True, exist_ok=True)
    url = world.url("https").replace("127.0.0.1", "localhost")
    text = f"[misc]\nconfig-uri={url}{SOFTPHONE}.xml\n[sip]\nroot_ca={world.ca}\n"
    (folder / "linphonerc").write_text(text)
    command = ["linphone-daemon", "--log", folder / "linphone.log", "--config", folder / "linphonerc"]
    return {"log": folder / "output", "command": command, "HOME": str(folder)}


async def _desk(folder: Path, world: World, phone: Phone) -> dict[str, Any]:
    """baresip, set up by hand with what the connection of a phone says."""
    connection = await world.services.connections.get(ADMIN, phone.id, reveal=True, reason="set up by hand")
    _write_down(folder, world.ca, connection)
    return {"log": folder / "output", "command": ["baresip", "-4", "-f", folder, "-s"]}


def _write_down(folder: Path, ca: Path, connection: Connection) -> None:
    (account,) = connection.accounts
    folder.mkdir()
    (folder / "config").write_text(
        f"module_path {BARESIP}\n"
        "module g711.so\nmodule_app account.so\nmodule_app menu.so\n"
        f"sip_listen 127.0.0.1:0\nsip_cafile {ca}\n"
    )
    # It asks DNS for names and never /etc/hosts, so the address stands for the server's name.
    assert connection.server == "localhost"
    server = f"sip:127.0.0.1:{connection.port};transport={connection.transport}"
    (folder / "accounts").write_text(
        f"<{account.address}>;auth_user={account.auth_user};auth_pass={account.password}"
        f';regint={connection.register_expires};outbound="{server}"\n'
    )


async def test_softphones_register_with_what_was_exported_and_with_what_their_records_say(
    start: Callable[..., Awaitable[World]], tmp_path: Path
) -> None:
    world = await start(public_name="localhost")
    async with AsyncExitStack() as stack:
        registrar = await stack.enter_async_context(kamailio(tmp_path / "kamailio", world.data / "tls"))
        desks = await _record(world, registrar)
        await _feed(world, registrar)
        assert await registrar.registered() == {}

        softphone = _softphone(tmp_path / "linphone", world)
        first = await stack.enter_async_context(running(**softphone))
        for name, desk in desks.items():
            await stack.enter_async_context(running(**await _desk(tmp_path / name, world, desk)))

        async def all_registered() -> bool:
            return set(await registrar.registered()) == {"1001", "2001", "2002"}

        await until(all_registered, tmp_path / "linphone/linphone.log")
        contacts = {user: each[0] for user, each in (await registrar.registered()).items()}
        assert "transport=tls" in contacts["1001"].lower()
        assert "transport=tls" in contacts["2002"].lower()
        assert "transport=tls" not in contacts["2001"].lower()

        await world.app.check_ins.flush()
        fetched = len(await world.services.phones.check_ins(ADMIN, SOFTPHONE))
        answer = await registrar.notify("1001", "check-sync")
        assert answer.startswith("SIP/2.0 200") and fetched
        await world.app.check_ins.flush()
        assert len(await world.services.phones.check_ins(ADMIN, SOFTPHONE)) == fetched

        # It is started again, as the firmware of a desk phone would, and registers with its new password at once.
        await first.communicate(b"quit\n")
        changed = LineChange("1001", "auth 1001", HOSTILE_PASSWORD[::-1], HOSTILE_NAME)
        await world.services.phones.edit(ADMIN, SOFTPHONE, {}, {}, lines=[changed])
        await _feed(world, registrar)
        await until(lambda: _has_gone(registrar, "1001"), tmp_path / "linphone/linphone.log")
        await stack.enter_async_context(running(**softphone))
        await until(all_registered, tmp_path / "linphone/linphone.log")

        await world.services.phone_proofs.block(ADMIN, SOFTPHONE)
        await _feed(world, registrar)
        assert registrar.accounts() == ["2001", "auth2002"]


async def _has_gone(registrar: Kamailio, user: str) -> bool:
    return user not in await registrar.registered()


async def _feed(world: World, registrar: Kamailio) -> None:
    found = await world.services.registrar_export.export(ADMIN, "kamailio", {}, reason="new platform")
    registrar.load(b"".join([piece async for piece in found.pieces]).decode())


async def _record(world: World, registrar: Kamailio) -> dict[str, Phone]:
    """A site at the registrar, a softphone that is configured here, and two devices that are not."""
    services = world.services
    site = {"networks": "127.0.0.0/8", "sip_server": "localhost", "sip_port": str(registrar.tls_port)}
    await services.sites.add(ADMIN, "lab", "Lab", site)
    await services.base_settings.add(ADMIN, "softphones", "", "linphone-cli", {})
    line = Line("1001", "auth 1001", password=HOSTILE_PASSWORD, display_name=HOSTILE_NAME)
    await services.phones.add(ADMIN, Phone(HOSTILE_NAME, SOFTPHONE, "linphone-cli", "lab", "softphones", lines=(line,)))
    over_udp = {"sip_transport": "udp", "sip_port": str(registrar.port)}
    desks = {
        "udp": Phone("UDP", "", "", "lab", "", "unmanaged", lines=(Line("2001"),), settings=over_udp),
        "tls": Phone("TLS", "", "", "lab", "", "unmanaged", lines=(Line("2002", "auth2002"),)),
    }
    return {name: (await services.phones.add(ADMIN, phone)).phone for name, phone in desks.items()}
