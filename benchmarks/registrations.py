"""python -m benchmarks.registrations [--lines N] [--source kamailio_rpc|reg_event] [--json]

Registers lines with a Kamailio on loopback, listens to it as the server does, kills it and starts it again. Prints how
long it took until all lines were known, and known to be gone, and what that costs at rest. Kamailio's presence server
has text files for a database here, which is not what `reg_event` should be judged by. Needs kamailio with its presence
modules.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from pathlib import Path
from typing import cast

from benchmarks.servers import free_port
from ztp_server.domain.platform import Platform, SourceKind
from ztp_server.sip.destination import Destination
from ztp_server.sip.sources.opening import open_source
from ztp_server.sip.sources.source import Everything, Place, Source, Told
from ztp_server.sip.transports import Binding
from ztp_server.sip.user_agent import UserAgent, UserAgentOptions

REST_SECONDS = 20.0
PATIENCE = 300.0
DOMAIN = "example.org"
CONFIGURATION = """
debug=1
log_stderror=yes
children=2
tcp_children=2
tcp_accept_no_cl=yes
auto_aliases=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
{modules}
modparam("jsonrpcs", "transport", 1)
modparam("usrloc", "db_mode", 0)
modparam("presence|pua", "db_url", "text://{folder}/tables")
modparam("presence", "server_address", "sip:127.0.0.1:{port}")
modparam("presence", "subs_db_mode", 0)
modparam("pua_reginfo", "default_domain", "{domain}")
modparam("pua_reginfo", "server_address", "sip:reginfo@127.0.0.1:{port}")
modparam("pua_reginfo", "outbound_proxy", "sip:127.0.0.1:{port}")
request_route {{
    if (is_method("PUBLISH")) {{ t_newtran(); handle_publish(); exit; }}
    if (is_method("SUBSCRIBE")) {{ t_newtran(); handle_subscribe(); exit; }}
    if (is_method("REGISTER")) {{ save("location"); exit; }}
    sl_send_reply("200", "OK");
}}
event_route[xhttp:request] {{ jsonrpc_dispatch(); }}
"""
MODULES = (
    *("tm", "sl", "pv", "textops", "db_text", "xhttp", "jsonrpcs", "usrloc", "registrar", "presence"),
    *("presence_reginfo", "pua", "pua_reginfo"),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lines", type=int, default=5000)
    arguments.add_argument("--source", choices=("kamailio_rpc", "reg_event"), default="kamailio_rpc")
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    if not shutil.which("kamailio"):
        sys.exit("install: kamailio kamailio-presence-modules")
    with tempfile.TemporaryDirectory(prefix="ztp-bench-") as folder:
        figures = asyncio.run(measure(Path(folder), options.lines, cast(SourceKind, options.source)))
    print(json.dumps(figures, indent=2) if options.json else "\n".join(f"{k:<48} {v}" for k, v in figures.items()))


async def measure(folder: Path, lines: int, kind: SourceKind) -> dict[str, object]:
    """All figures, by name."""
    port = free_port()
    there = Destination("127.0.0.1", port)
    modules = "\n".join(f'loadmodule "{name}.so"' for name in MODULES)
    text = CONFIGURATION.format(folder=folder, port=port, modules=modules, domain=DOMAIN)
    (folder / "kamailio.cfg").write_text(text)
    address = f"http://127.0.0.1:{port}/RPC" if kind == "kamailio_rpc" else ""
    platform = Platform("pbx", "PBX", (DOMAIN,), source=kind, source_address=address)
    users = [str(100_000 + number) for number in range(lines)]
    figures: dict[str, object] = {}
    async with UserAgent(UserAgentOptions(Binding(ipv4="127.0.0.1"))) as phones, UserAgent() as agent:
        registrar = await _started(folder, phones, there)
        try:
            await _register(phones, there, users)
            source = open_source(platform, agent, there, ())
            assert source
            source.want([f"{user}@{DOMAIN}" for user in users])
            begun = time.monotonic()
            async with source:
                known = Known(source, len(users))
                figures["all known to be registered, s"] = await known.since(begun, registered=True)
                await asyncio.sleep(REST_SECONDS)
                used = _cpu()
                await asyncio.sleep(REST_SECONDS)
                figures["at rest, % of a core"] = round(100 * (_cpu() - used) / REST_SECONDS, 2)
                await _kill(registrar)
                begun = time.monotonic()
                registrar = await _started(folder, phones, there)
                figures["all right after a restart, s"] = await known.since(begun, registered=False)
                figures["memory of this process at most, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
                known.reading.cancel()
        finally:
            await _kill(registrar)
    return figures


class Known:
    """What was told last of each user."""

    def __init__(self, source: Source, count: int) -> None:
        self.contacts: dict[str, tuple[Place, ...]] = {}
        self.reading = asyncio.create_task(self._read(source))
        self._count = count

    async def _read(self, source: Source) -> None:
        async for report in source:
            if isinstance(report, Everything):
                self.contacts = dict.fromkeys(self.contacts, ()) | {one.user: one.contacts for one in report.told}
            elif isinstance(report, Told):
                self.contacts[report.user] = report.contacts

    async def since(self, begun: float, *, registered: bool) -> float:
        """Seconds until all of them are as they are."""
        async with asyncio.timeout(PATIENCE):
            while not self._are(registered=registered):  # noqa: ASYNC110 (a look now and then costs less than an event)
                await asyncio.sleep(0.05)
        return round(time.monotonic() - begun, 1)

    def _are(self, *, registered: bool) -> bool:
        wanted = self._count if registered else 0
        return len(self.contacts) >= self._count and sum(map(bool, self.contacts.values())) == wanted


async def _started(folder: Path, agent: UserAgent, there: Destination) -> Process:
    """A Kamailio that remembers nothing and answers."""
    shutil.rmtree(folder / "tables", ignore_errors=True)
    shutil.copytree("/usr/share/kamailio/dbtext/kamailio", folder / "tables")
    command = ["kamailio", "-f", folder / "kamailio.cfg", "-DD", "-E", "-m", "256", "-M", "16", "-Y", folder]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *map(str, [*command, "-w", folder]), stdout=log, stderr=log, start_new_session=True
        )
    while not (await agent.options("sip:127.0.0.1", there)).ok:  # noqa: ASYNC110 (another program sets no events)
        await asyncio.sleep(0.05)
    return process


async def _kill(process: Process) -> None:
    """With all its workers, which would answer in its place."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _register(agent: UserAgent, there: Destination, users: list[str]) -> None:
    """All of them, fifty at a time."""
    gate = asyncio.Semaphore(50)

    async def register(user: str) -> None:
        line = f"sip:{user}@{DOMAIN}"
        async with gate:
            headers = [("Expires", "3600")]
            given = {"headers": headers, "sender": line, "recipient": line, "contact": True}
            answer = await agent.request("REGISTER", f"sip:{DOMAIN}", there, **given)  # type: ignore[arg-type]
        if not answer.ok:
            sys.exit(f"{user} is not registered: {answer}")

    await asyncio.gather(*map(register, users))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
