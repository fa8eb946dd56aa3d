"""A certificate that is denied proves nothing from the next request on, on a connection that is open too."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from tests.conftest import ADMIN, VVX, World

SETTINGS = f"{VVX}-settings.cfg"


async def is_turned_away(world: World, device: tuple[Path, Path]) -> bool:
    """Whether the handshake fails."""
    try:
        await world.ask(SETTINGS, listener="mtls", device=device)
    except aiohttp.ClientError:
        return True
    return False


async def test_a_phone_whose_certificate_is_denied_gets_nothing_until_it_is_allowed(world: World) -> None:
    device = world.device("poly", VVX)
    await world.app._load_certificates()
    url = world.url("mtls").replace("127.0.0.1", "localhost") + SETTINGS
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=world.tls(device), limit=1)) as session:

        async def asked() -> int:
            async with session.get(url) as response:
                await response.read()
                return response.status

        assert await asked() == 200
        await world.app.check_ins.flush()
        denied = await world.services.denied_certificates.deny_phone(ADMIN, VVX, "stolen")
        assert denied.subject == VVX and await asked() == 404

        await world.services.denied_certificates.allow(ADMIN, denied.sha256)
        assert await asked() == 200


async def test_a_ca_that_is_added_or_removed_counts_without_a_restart(world: World) -> None:
    certificate, key = world.device("poly", VVX)
    ca = next((world.data / "certs" / "poly").glob("*.pem"))
    content = ca.read_bytes()
    ca.unlink()
    await world.app._refresh_certificates()
    assert await is_turned_away(world, (certificate, key))

    (added,) = await world.services.device_cas.add(ADMIN, "poly", content, any_name=True)
    await world.app._refresh_certificates()
    assert (await world.ask(SETTINGS, listener="mtls", device=(certificate, key))).status == 200

    await world.services.device_cas.remove(ADMIN, added.sha256)
    await world.app._refresh_certificates()
    assert await is_turned_away(world, (certificate, key))
