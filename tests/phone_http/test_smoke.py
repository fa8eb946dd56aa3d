from tests.conftest import HD400, VVX, World


async def test_a_phone_of_each_family_gets_its_own_file(world: World) -> None:
    vvx = await world.ask(f"{VVX}-settings.cfg")
    hd400 = await world.ask(f"{HD400}.cfg")

    assert vvx.status == hd400.status == 200
    assert b"reg.1.address" in vvx.body and b"voip/line/0/id=2001" in hd400.body
