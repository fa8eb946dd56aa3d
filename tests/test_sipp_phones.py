"""Phones told by SIP, with SIPp answering as phones of each family do: another implementation's idea of what we send.

Needs sip-tester, which `make test` installs as root. What is lost, doubled or made up on the way is in
tests/services/test_messenger.py, where time is the test's.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.services.opened import new_data, open_data
from tests.services.phones_to_tell import make_phone, make_platform, plan_now, register
from tests.sip.conftest import LOOPBACK
from ztp_server.domain.phone import Line
from ztp_server.domain.platform import Platform
from ztp_server.domain.registration import Contact
from ztp_server.services.messenger import Messenger, Sent
from ztp_server.services.notify_plan import Action
from ztp_server.services.opening import Services
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.sip.clock import Intervals
from ztp_server.sip.user_agent import UserAgent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("sipp") is None, reason="not installed: sip-tester (see APT in the Makefile)"),
]
PASSWORD = "p%41;:s"  # SIPp reads no character references
URI = {"rest_api_enabled": "on", "custom.apps.restapi.sipNotify.enabled": "1"}
REBOOTS = {"check_sync_reboots": "on"}

ANSWER = """\
  <send><![CDATA[
    SIP/2.0 {status}
    [last_Via:]
    [last_From:]
    [last_To:];tag=[call_number]
    [last_Call-ID:]
    [last_CSeq:]
    {headers}Content-Length: 0

  ]]></send>
"""
# What SIPp expects of a request: the event, and where it asked before, a Digest that its own arithmetic comes to; of a
# Digest for a proxy it looks at the user alone.
EVENT = """\
  <recv request="NOTIFY">
    <action>
      <ereg regexp="^[ ]*{event}[ \\r]*$" search_in="hdr" header="Event:" check_it="true" assign_to="event"/>
      {verify}
    </action>
  </recv>
  {checked}
"""
VERIFY_PROXY = (
    '<ereg regexp="username=.{user}." search_in="hdr" header="Proxy-Authorization:" check_it="true" assign_to="valid"/>'
)
VERIFY = '<verifyauth assign_to="valid" username="{user}" password="{password}"/>'
CHECKED = (
    '<nop next="good" test="valid"/><nop><action><error message="a wrong digest"/></action></nop><label id="good"/>'
)


@dataclass
class Case:
    """A phone, what it is told, what SIPp answers to that in turn, and what is said of it. `login` is what an answer
    asks for: of the platform's (`platform`), or of the line's at its contact (`line`)."""

    model: str
    settings: dict[str, str]
    action: Action
    event: str
    answers: list[str]
    ok: bool
    reached: bool
    says: str
    headers: str = ""
    login: str = ""
    firmware: str = ""


CASES = [
    Case("vvx-411", {}, "resync", "check-sync", ["200 OK"], True, True, "200 OK"),
    Case("vvx-411", URI, "restart", "ACTION-URI", ["202 Accepted"], True, True, "202 Accepted", firmware="6.4.3"),
    Case("trio-8800", REBOOTS, "restart", "check-sync", ["200 OK"], True, True, "200 OK"),
    Case("ccx-600", URI, "restart", "ACTION-URI", ["489 Bad Event"], False, True, "does not know", firmware="7.1.2"),
    Case("edge-e450", URI, "restart", "ACTION-URI", ["200 OK"], True, True, "200 OK", firmware="8.3.1"),
    Case("soundpoint-ip-650", REBOOTS, "restart", "check-sync", ["481 No"], False, True, "does not know"),
    Case("soundpoint-ip-501", {}, "resync", "check-sync", ["486 Busy Here"], False, True, "486 Busy Here"),
    Case("soundstation-ip-6000", {}, "resync", "check-sync", ["480 Away"], False, False, "480 Away"),
    Case("spectralink-8440", REBOOTS, "restart", "check-sync", ["200 OK", "200 OK"], True, True, "200 OK"),
    Case("audiocodes-320hd", {}, "resync", "check-sync", [], False, False, "no final answer"),
    Case("linphone-cli", {}, "restart", "check-sync;reboot=true", ["200 OK"], True, True, "200 OK"),
    Case("audiocodes-405hd", {}, "resync", "check-sync", ["503 Busy"], False, False, "back in 9 s", "Retry-After: 9"),
    Case(
        "vvx-411", {}, "resync", "check-sync", ["407 Who", "407 Who", "200 OK"], True, True, "200 OK", login="platform"
    ),
    Case(
        "vvx-411", {}, "resync", "check-sync", ["401 Who", "401 Who", "200 OK"], True, True, "200 OK", login="platform"
    ),
    Case("vvx-411", {}, "resync", "check-sync", ["401 Who", "200 OK"], True, True, "200 OK", login="line"),
]


def scenario(case: Case) -> str:
    """What SIPp does, in its own language."""
    user, password = ("ztp", "plain") if case.login == "platform" else ("auth1001", PASSWORD)
    parts = [EVENT.format(event=case.event, verify="", checked="")]
    for number, status in enumerate(case.answers):
        code, headers = status[:3], f"{case.headers}\n    " if case.headers else ""
        asking = {"401": "WWW-Authenticate", "407": "Proxy-Authenticate"}.get(code)
        if asking:
            headers += f'{asking}: Digest realm="phone", nonce="4711", algorithm=MD5\n    '
        parts.append(ANSWER.format(status=status, headers=headers))
        if asking and number + 2 < len(case.answers):  # it is asked by itself what login it wants
            parts.append(EVENT.format(event=case.event, verify="", checked=""))
        elif asking and number + 1 < len(case.answers):
            verify = (VERIFY if code == "401" else VERIFY_PROXY).format(user=user, password=password)
            parts.append(EVENT.format(event=case.event, verify=verify, checked=CHECKED if code == "401" else ""))
    names = "event,valid" if case.login else "event"
    inside = "".join(parts) + f'<Reference variables="{names}"/>'
    return f'<?xml version="1.0"?>\n<scenario name="phone">\n{inside}</scenario>\n'


class Agents(PlatformAgents):
    """On loopback, with an eighth of the time between one attempt and the next."""

    def agent(self, platform: Platform) -> UserAgent:
        known = self._agents.get(platform.id)
        if known is None:
            known = self._agents[platform.id] = ("", UserAgent(LOOPBACK, intervals=Intervals(t1=0.0625)))
        return known[1]


async def told(case: Case, number: int, services: Services, messenger: Messenger, folder: Path) -> tuple[Sent, int]:
    """What is said of a phone that SIPp plays, and SIPp's own verdict."""
    port = _free_port()
    file = folder / f"{number}.xml"
    file.write_text(scenario(case))
    if case.login == "line":
        address, direct = "", True
        await register(services, "1001", Contact(f"sip:1001@127.0.0.1:{port}"))
    else:
        address, direct = f"udp:127.0.0.1:{port}", False
    async with services.store.write() as session:
        known = await session.platforms.get("pbx")
        known = replace(known, address=address, direct=direct, user="ztp", password="plain")
        await session.platforms.edit(known)
    line = Line("1001", "auth1001", PASSWORD)
    phone = await make_phone(services, case.model, case.settings, number=number, firmware=case.firmware, lines=[line])
    command = ["sipp", "-sf", file, "-i", "127.0.0.1", "-p", str(port), "-m", "1", "-nostdin", "-timeout", "20"]
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        plan = await plan_now(services, messenger, phone, case.action)
        sent = await messenger.send(plan)
        async with asyncio.timeout(25):
            return sent, await process.wait()
    finally:
        if process.returncode is None:
            process.kill()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


async def test_each_family_answered_by_sipp(tmp_path: Path) -> None:
    services = await open_data(new_data(tmp_path / "data"))
    await make_platform(services)
    agents = Agents()
    messenger = Messenger(services.templates, services.address, agents)
    for number, case in enumerate(CASES, 1):
        sent, verdict = await told(case, number, services, messenger, tmp_path)
        assert (sent.ok, sent.reached) == (case.ok, case.reached), (case, sent)
        assert case.says in sent.detail, (case, sent)
        assert verdict == 0, (case, sent)
    await agents.close()
    await services.close()
