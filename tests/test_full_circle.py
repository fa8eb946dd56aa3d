"""A new phone from the CSV file to the desk and back, by the command line, beside a running server.

A real linphone is the phone, a real Kamailio the platform. One part is simulated: linphone acknowledges check-sync and
goes on, so the test starts it again when it has said 200, as the firmware of a desk phone would.

Needs what tests/test_real_registrar.py needs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import test_real_registrar as real
from tests.conftest import HOSTILE_NAME, HOSTILE_PASSWORD, World
from tests.test_real_registrar import SOFTPHONE, Kamailio

pytestmark = real.pytestmark


@dataclass
class Desk:
    """An administrator's terminal, and the phone on the desk."""

    world: World
    folder: Path
    registrar: Kamailio

    async def begin(self, *command: str) -> Process:
        where = ("--data", str(self.world.data))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ztp_server", *command, *where), stdout=PIPE, stderr=PIPE, stdin=PIPE
        )

    async def ztp(self, *command: str) -> str:
        """What a command printed; it must succeed."""
        running = await self.begin(*command)
        out, complaint = await running.communicate()
        assert running.returncode == 0, complaint.decode()
        return out.decode()

    async def status(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(await self.ztp("phone", "show", SOFTPHONE))
        return shown

    async def shows(self, registration: str) -> dict[str, Any]:
        """The phone as the command line shows it, once its lines are in that state."""
        shown: dict[str, Any] = {}

        async def so() -> bool:
            shown.update(await self.status())
            return shown["status"]["registration"] == registration

        await real.until(so, self.folder / "linphone/linphone.log")
        return shown

    async def has_its_files(self) -> None:
        """Wait until the phone has its files as they are now."""

        async def so() -> bool:
            return bool((await self.status())["status"]["provisioning"] == "provisioned")

        await real.until(so, self.folder / "linphone/linphone.log")

    async def feed(self) -> None:
        self.registrar.load(await self.ztp("registrar", "export", "kamailio", "--reason", "new accounts"))

    @asynccontextmanager
    async def switched_on(self) -> AsyncIterator[Process]:
        phone = real._softphone(self.folder / "linphone", self.world)
        async with real.running(**phone) as process:
            yield process


async def _opened(stack: AsyncExitStack, start: Callable[..., Awaitable[World]], folder: Path) -> Desk:
    world = await start(public_name="localhost")
    registrar = await stack.enter_async_context(real.kamailio(folder / "kamailio", world.data / "tls"))
    desk = Desk(world, folder, registrar)
    port = str(registrar.tls_port)
    at = ("--set", "networks=127.0.0.0/8", "--set", "sip_server=localhost", "--set", f"sip_port={port}")
    await desk.ztp("site", "add", "lab", "--name", "Lab", *at)
    await desk.ztp("base-settings", "add", "softphones", "--model", "linphone-cli")
    ca, rpc = f"@{world.ca}", f"http://127.0.0.1:{registrar.port}/RPC"
    requests = ("--domain", "localhost", "--address", f"tls:localhost:{port}", "--ca", ca)
    await desk.ztp("platform", "add", "pbx", *requests, "--source", "kamailio_rpc", "--source-address", rpc)
    return desk


async def _imported(desk: Desk) -> None:
    quoted = HOSTILE_NAME.replace('"', '""'), HOSTILE_PASSWORD.replace('"', '""')
    rows = (
        "hardware_id,name,category,model,site,base_settings,line1_user,line1_auth_user,line1_password\n"
        f'{SOFTPHONE},"{quoted[0]}",managed,linphone-cli,lab,softphones,1001,auth 1001,"{quoted[1]}"\n'
    )
    (desk.folder / "phones.csv").write_text(rows)
    await desk.ztp("phone", "import", str(desk.folder / "phones.csv"))
    await desk.feed()


async def _restarted(desk: Desk, phone: AsyncExitStack) -> dict[str, Any]:
    """`ztp phone restart`: what it says became of the phone, which is started again once it said 200."""
    command = await desk.begin("phone", "restart", SOFTPHONE, "--follow", "40", "--json")

    async def answered() -> bool:
        jobs = await desk.world.services.jobs.page(real.ADMIN, kind="phones.restart")
        async with desk.world.services.store.read() as session:
            items = await session.jobs.items(jobs[0].id) if jobs else []
        return bool(items and items[0].told and items[0].told.code)

    await real.until(answered, desk.folder / "linphone/linphone.log")
    await phone.aclose()
    # No phone restarts as quickly as a program: it is seen to be away.
    await desk.shows("offline")
    await phone.enter_async_context(desk.switched_on())
    out, complaint = await command.communicate()
    assert command.returncode == 0, complaint.decode()
    shown: dict[str, Any] = json.loads(out)
    return shown


async def test_a_new_phone_boots_registers_restarts_and_is_logged_out(
    start: Callable[..., Awaitable[World]], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        desk = await _opened(stack, start, tmp_path)
        await _imported(desk)
        shown = await desk.shows("never_registered")
        assert (shown["name"], shown["status"]["provisioning"]) == (HOSTILE_NAME, "never_seen")

        phone = await stack.enter_async_context(AsyncExitStack())
        await phone.enter_async_context(desk.switched_on())
        shown = await desk.shows("online")
        (line,) = shown["status"]["lines"]
        assert (line["user"], line["transport"], shown["status"]["state"]) == ("1001", "tls", "online")

        job = await _restarted(desk, phone)
        (item,) = job["items"]
        told = item["told"]
        assert (item["state"], told["answer"], told["code"]) == ("done", "answered", 200), item
        assert told["fetched"] and told["registered"], item

        await desk.ztp("phone", "log-out", SOFTPHONE, "--reason", "left")
        # Asked to re-sync, it does as it is told.
        await phone.aclose()
        await phone.enter_async_context(desk.switched_on())
        shown = await desk.shows("unknown")
        assert shown["logged_out"] and "no line" in shown["status"]["registration_reason"], shown
        await desk.has_its_files()
        assert await desk.registrar.registered() == {}

        await desk.ztp("phone", "log-in", SOFTPHONE)
        await phone.aclose()
        running = await phone.enter_async_context(desk.switched_on())
        await desk.shows("online")
        running.kill()
        shown = await desk.shows("offline")
        assert shown["status"]["state"] == "offline"
