"""Real softphones behind a real Kamailio, told to look for their files again and to restart.

Needs what tests/test_real_registrar.py needs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from tests import test_real_registrar as real
from tests.conftest import ADMIN, World
from tests.services.phones_to_tell import plan_now
from tests.test_real_registrar import SOFTPHONE
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.platform import Platform
from ztp_server.services.messenger import Messenger, Sent
from ztp_server.services.notify_plan import Action
from ztp_server.services.opening import Services

pytestmark = real.pytestmark


async def test_linphone_acknowledges_and_baresip_knows_no_such_thing(
    start: Callable[..., Awaitable[World]], tmp_path: Path
) -> None:
    world = await start(public_name="localhost")
    services = world.services
    async with AsyncExitStack() as stack:
        registrar = await stack.enter_async_context(real.kamailio(tmp_path / "kamailio", world.data / "tls"))
        desks = await real._record(world, registrar)
        await real._feed(world, registrar)
        await stack.enter_async_context(real.running(**real._softphone(tmp_path / "linphone", world)))
        await stack.enter_async_context(real.running(**await real._desk(tmp_path / "udp", world, desks["udp"])))

        async def both_registered() -> bool:
            return {"1001", "2001"} <= set(await registrar.registered())

        await real.until(both_registered, tmp_path / "linphone/linphone.log")
        linphone = await services.phones.get(ADMIN, SOFTPHONE)
        # baresip cannot be configured from here: a phone that is not there, and whose line it has, takes its place.
        await services.base_settings.add(ADMIN, "vvx", "", "vvx-411", {})
        other = Phone("Not there", "0004f2aabbcc", "vvx-411", "lab", "vvx", lines=(Line("2001", password="x"),))
        baresip = (await services.phones.add(ADMIN, other)).phone

        platform = Platform("pbx", "PBX", ("localhost",), address=f"udp:localhost:{registrar.port}")
        async with services.store.write() as session:
            platform = await session.platforms.add(platform)

        sent = await _tell(services, services.messenger, linphone, "resync")
        assert (sent.ok, sent.reached, sent.code) == (True, True, 200), sent
        sent = await _tell(services, services.messenger, linphone, "restart")
        assert (sent.ok, sent.reached, sent.code) == (True, True, 200), sent
        sent = await _tell(services, services.messenger, baresip, "resync")
        assert (sent.ok, sent.reached, sent.code, sent.is_unsupported) == (False, True, 481, True), sent

        # The same over TLS, the platform being who our CA says it is.
        ca = world.ca.read_text()
        async with services.store.write() as session:
            over_tls = replace(platform, address=f"tls:localhost:{registrar.tls_port}", ca=ca)
            platform = await session.platforms.edit(over_tls)
        assert "not told again within" in (await _tell(services, services.messenger, linphone, "resync")).detail
        later = Messenger(services.templates, services.address, services.platform_agents)
        sent = await _tell(services, later, linphone, "resync")
        assert (sent.ok, sent.code) == (True, 200), sent

        nobody = replace(linphone, lines=(Line("1999", password="x"),), id="0" * 32)
        sent = await _tell(services, later, nobody, "resync")
        assert (sent.ok, sent.reached, sent.code) == (False, False, 404), sent

        async with services.store.write() as session:
            await session.platforms.edit(replace(platform, ca=""))
        stranger = Messenger(services.templates, services.address, services.platform_agents)
        sent = await _tell(services, stranger, linphone, "resync")
        assert not sent.reached and sent.detail.startswith("platform pbx, tls:"), sent
        assert ": TLS fails: " in sent.detail and sent.detail.endswith(": see ztp platform check pbx"), sent


async def _tell(services: Services, messenger: Messenger, phone: Phone, action: Action) -> Sent:
    return await messenger.send(await plan_now(services, messenger, phone, action))
