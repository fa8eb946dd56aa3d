"""An unknown phone at the doors of a running server: it knocks, is let in, and is configured when it asks again."""

from __future__ import annotations

import aiohttp

from tests.conftest import ADMIN, World

NEW, OTHER = "0004f2100001", "0004f2100002"


async def written_down(world: World) -> None:
    """What the server does once a second."""
    await world.app.check_ins.flush()
    await world.app.rule_approvals.work()


async def test_a_phone_with_a_factory_certificate_is_listed_as_proven_and_approved(world: World) -> None:
    device = world.device("poly", NEW)
    assert (await world.ask(f"{NEW}-settings.cfg", listener="mtls", device=device)).status == 404
    await written_down(world)
    (found,), _ = await world.services.unknown_phones.page(ADMIN)
    assert (found.mac, found.model, found.is_certified, len(found.certificate)) == (NEW, "vvx-411", True, 64)
    await world.services.unknown_phones.approve(ADMIN, NEW, "madrid", "vvx-standard")
    assert (await world.ask(f"{NEW}-settings.cfg", listener="mtls", device=device)).status == 200


async def test_a_phone_that_a_rule_approves_gets_its_files_at_its_next_poll(world: World) -> None:
    rule = {"site": "madrid", "base_settings": "vvx-standard", "most": 1}
    await world.services.approval_rules.add(ADMIN, "lobby", rule)
    for mac in (NEW, OTHER):
        assert (await world.ask(f"{mac}-settings.cfg")).status == 404
        await written_down(world)
    assert (await world.ask(f"{NEW}-settings.cfg")).status == 200
    assert (await world.ask(f"{OTHER}-settings.cfg")).status == 404


async def test_a_phone_that_is_kept_out_is_answered_as_it_was_before(world: World) -> None:
    before = await world.ask(f"{NEW}-settings.cfg")
    await written_down(world)
    await world.services.unknown_phones.deny(ADMIN, NEW)
    after = await world.ask(f"{NEW}-settings.cfg")
    same = ("Content-Length", "Content-Type", "Connection")
    assert (before.status, before.body) == (after.status, after.body) == (404, b"")
    assert [before.headers.get(name) for name in same] == [after.headers.get(name) for name in same]


async def test_what_was_left_out_is_counted_in_the_metrics(world: World) -> None:
    world.app.check_ins.knocks.left_out = 7
    address = world.app.admin_address
    assert address
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{address.port}/metrics") as answer:
        assert "ztp_unknown_phone_requests_left_out 7.0" in await answer.text()
