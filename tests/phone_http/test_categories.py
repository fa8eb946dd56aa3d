from __future__ import annotations

from tests.conftest import ADMIN, OTHER_VVX, VVX, VVX_UA, World
from ztp_server.domain.phone import Line, Phone


async def test_an_unmanaged_phone_is_answered_as_one_that_is_not_there(world: World) -> None:
    name = "-settings.cfg"
    served = await world.ask(f"{OTHER_VVX}{name}", headers={"User-Agent": VVX_UA})
    await world.services.phones.remove(ADMIN, OTHER_VVX)
    door = Phone("Door", OTHER_VVX, "", "madrid", "", "unmanaged", (Line("5001"),))
    await world.services.phones.add(ADMIN, door)

    unmanaged = await world.ask(f"{OTHER_VVX}{name}", headers={"User-Agent": VVX_UA})
    unknown = await world.ask(f"0004f2999999{name}", headers={"User-Agent": VVX_UA})

    assert served.status == 200 and unmanaged.status == unknown.status == 404
    assert (unmanaged.body, set(unmanaged.headers)) == (unknown.body, set(unknown.headers))


async def test_a_phone_that_comes_back_is_served_again(world: World) -> None:
    before = (await world.ask(f"{VVX}-settings.cfg")).body
    await world.services.phones.remove(ADMIN, VVX)
    assert (await world.ask(f"{VVX}-settings.cfg")).status == 404

    await world.services.removed_phones.restore(ADMIN, VVX)

    assert (await world.ask(f"{VVX}-settings.cfg")).body == before
