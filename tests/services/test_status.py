"""How far a phone came, from what it asked for: every state, its reason, and that lists say the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, VVX_UA, World, sample_phone
from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Phone
from ztp_server.domain.request import PhoneRequest
from ztp_server.domain.status import Progress, Status, provisioning_state
from ztp_server.errors import NotFound
from ztp_server.store.phone_status import state_case
from ztp_server.store.schema import phones
from ztp_server.store.schema_history import phone_status

MASTER, SETTINGS, DIRECTORY = f"{VVX}.cfg", f"{VVX}-settings.cfg", f"{VVX}-directory.xml"


async def fetch(world: World, *names: str, user_agent: str = VVX_UA) -> None:
    for name in names:
        await world.app.provisioning.answer(PhoneRequest(name, user_agent=user_agent, address="127.0.0.1"))
    await world.app.check_ins.flush()


async def status(world: World, phone: str = VVX) -> Status:
    found: Status = await world.services.phone_status.get(ADMIN, phone)
    return found


async def never_seen(world: World) -> set[str]:
    """Which phones the list says were never seen."""
    page = await world.services.phone_list.page(ADMIN, {"never_seen": "on"})
    return {item["hardware_id"] for item in page.items}


async def change(world: World, phone: str = VVX, **changes: Any) -> None:
    """Change what is kept of a phone."""
    found = await world.services.phones.get(ADMIN, phone)
    async with world.services.store.write() as session:
        progress = await session.phone_status.get(found.id)
        assert progress
        await session.phone_status.keep([replace(progress, **changes)])


async def test_a_phone_that_never_asked_is_never_seen(world: World) -> None:
    found = await status(world)
    assert (found.provisioning, found.first_seen, found.last_seen) == ("never_seen", None, None)
    assert found.reason == "it has asked for nothing yet"
    assert VVX in await never_seen(world)


async def test_a_phone_that_was_only_refused_is_never_seen_and_says_what_happened(world: World) -> None:
    await world.app.provisioning.answer(PhoneRequest(MASTER, user_agent=VVX_UA, address="203.0.113.7"))
    await world.app.check_ins.flush()
    found = await status(world)
    assert found.provisioning == "never_seen"
    assert MASTER in found.reason and "203.0.113.7" in found.reason and "no proof" in found.reason


async def test_a_phone_that_has_begun_is_provisioning_and_the_missing_file_is_named(world: World) -> None:
    await fetch(world, MASTER)
    found = await status(world)
    assert found.provisioning == "provisioning" and SETTINGS in found.reason
    assert (found.address, found.firmware) == ("127.0.0.1", "5.9.7.4477")


async def test_files_it_may_do_without_do_not_make_it_provisioned(world: World) -> None:
    await fetch(world, MASTER, DIRECTORY)
    assert (await status(world)).provisioning == "provisioning"


async def test_a_phone_with_all_it_needs_is_provisioned_though_it_never_asked_for_the_rest(world: World) -> None:
    await fetch(world, MASTER, SETTINGS)
    found = await status(world)
    assert found.provisioning == "provisioned" and found.since == found.last_seen


async def test_files_of_before_and_after_a_move_of_the_server_do_not_make_it_provisioned(world: World) -> None:
    await fetch(world, MASTER)
    await world.restart()  # Its ports are others now.
    await fetch(world, SETTINGS)
    assert (await status(world)).provisioning == "provisioning"
    await fetch(world, MASTER)
    assert (await status(world)).provisioning == "provisioned"


async def test_a_family_with_one_file_is_provisioned_by_it(world: World) -> None:
    await fetch(world, f"{HD400}.cfg", user_agent=HD400_UA)
    assert (await status(world, HD400)).provisioning == "provisioned"


async def test_raw_parameters_are_a_file_the_phone_needs_as_well(world: World) -> None:
    await world.services.phones.edit(ADMIN, VVX, {}, {"custom.up.x": "1"})
    await fetch(world, MASTER, SETTINGS)
    found = await status(world)
    assert found.provisioning == "provisioning" and f"{VVX}-custom.cfg" in found.reason
    await fetch(world, f"{VVX}-custom.cfg")
    assert (await status(world)).provisioning == "provisioned"


async def test_a_change_of_base_settings_makes_it_outdated_and_says_which_revision_it_has(world: World) -> None:
    await fetch(world, MASTER, SETTINGS)
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": "20"})
    found = await status(world)
    assert found.provisioning == "outdated"
    assert "base settings vvx-standard are at revision 2, it has fetched those of revision 1 at " in found.reason
    await fetch(world, MASTER, SETTINGS)
    assert (await status(world)).provisioning == "provisioned"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda s: s.phones.edit(ADMIN, VVX, {"name": "Another"}, {"rtp_dscp": "11"}), "its record is at revision 2"),
        (
            lambda s: s.sites.edit(ADMIN, "madrid", None, {"sip_server": "new.example.net"}),
            "site madrid is at revision",
        ),
    ],
)
async def test_a_change_that_reaches_its_files_makes_it_outdated(
    world: World, edit: Callable[[Any], Awaitable[Any]], words: str
) -> None:
    await fetch(world, MASTER, SETTINGS)
    await edit(world.services)
    found = await status(world)
    assert found.provisioning == "outdated" and words in found.reason


async def test_a_change_that_leaves_its_bytes_as_they_are_leaves_it_provisioned(world: World) -> None:
    await fetch(world, MASTER, SETTINGS)
    await world.services.sites.edit(ADMIN, "madrid", "Madrid, new name", {})
    assert (await status(world)).provisioning == "provisioned"


async def test_half_of_the_files_before_and_half_after_a_change_is_not_provisioned(world: World) -> None:
    await fetch(world, MASTER)
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": "20"})
    await fetch(world, SETTINGS)
    assert (await status(world)).provisioning == "provisioning"


async def test_a_phone_that_missed_two_polls_is_stale_since_then(world: World) -> None:
    await fetch(world, MASTER, SETTINGS)
    found = await world.services.phones.get(ADMIN, VVX)
    async with world.services.store.read() as session:
        progress = await session.phone_status.get(found.id)
    assert progress and progress.due_at == progress.last_at + timedelta(days=2, minutes=10)
    past = datetime.now(UTC) - timedelta(hours=1)
    await change(world, due_at=past)
    shown = await status(world)
    assert shown.provisioning == "stale" and shown.since == past
    await fetch(world, MASTER)
    assert (await status(world)).provisioning == "provisioned"


async def test_a_phone_that_does_not_poll_never_gets_stale(world: World) -> None:
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"poll_enabled": "off"})
    await fetch(world, MASTER, SETTINGS)
    found = await world.services.phones.get(ADMIN, VVX)
    async with world.services.store.read() as session:
        progress = await session.phone_status.get(found.id)
    assert progress and progress.due_at is None


async def test_a_problem_with_one_file_lasts_until_that_file_is_given(world: World) -> None:
    await fetch(world, MASTER, SETTINGS)
    await change(world, problem=f"{SETTINGS}: acme/settings.cfg.j2:7: it is broken")
    await fetch(world, MASTER)
    found = await status(world)
    assert found.provisioning == "error" and "it is broken" in found.reason
    await fetch(world, SETTINGS)
    assert (await status(world)).provisioning == "provisioned"


async def test_the_last_contact_is_not_written_down_at_each_request(world: World) -> None:
    await fetch(world, MASTER, SETTINGS)
    first = await status(world)
    await fetch(world, SETTINGS)
    assert (await status(world)).last_seen == first.last_seen


async def test_phones_of_other_categories_have_no_status(world: World) -> None:
    phone = Phone("Door", "", "", "madrid", "", category="remote", remote_address="+34600000000")
    added = await world.services.phones.add(ADMIN, phone)
    assert (await status(world, added.phone.id)).provisioning == "unknown"


async def test_one_who_may_not_see_the_phone_is_told_that_there_is_none(world: World) -> None:
    with pytest.raises(NotFound):
        await world.services.phone_status.get(Actor("nobody"), VVX)


async def test_inputs_are_asked_for_again_only_when_something_was_written(world: World) -> None:
    service = world.services.phone_status
    async with world.services.store.read() as session:
        first = await service.current_inputs(session)
        assert await service.current_inputs(session) is first
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": "20"})
    async with world.services.store.read() as session:
        second = await service.current_inputs(session)
    key, other = ("vvx-411", "madrid", "vvx-standard"), ("audiocodes-405hd", "madrid", "400hd")
    assert first[key] != second[key] and first[other] == second[other]


NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
EARLIER = NOW - timedelta(days=1)
BASE = Progress("", EARLIER, EARLIER, EARLIER, inputs="now", phone_revision=1, due_at=NOW + timedelta(days=1))
KINDS = {
    "never_seen": None,
    "error": replace(BASE, problem="broken", due_at=EARLIER, inputs=""),
    "stale": replace(BASE, due_at=EARLIER, inputs=""),
    "provisioning": replace(BASE, inputs=""),
    "outdated": replace(BASE, inputs="then"),
    "outdated by its record": replace(BASE, phone_revision=0),
    "provisioned": replace(BASE, due_at=None),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_lists_and_single_phones_say_the_same(world: World, kind: str) -> None:
    progress = KINDS[kind]
    phone = await world.services.phones.get(ADMIN, OTHER_VVX)
    async with world.services.store.write() as session:
        if progress:
            await session.phone_status.keep([replace(progress, phone_id=phone.id)])
    store = world.services.store
    state = state_case("sqlite" if store.database.is_sqlite else "postgresql", {"now", "another's"}, NOW)
    query = sa.select(state).select_from(phones.outerjoin(phone_status, phone_status.c.phone_id == phones.c.id))
    async with store.database.reading() as connection:
        in_sql = (await connection.execute(query.where(phones.c.id == phone.id))).scalar_one()
    alone = provisioning_state(progress, "now", phone.revision, NOW)
    assert in_sql == alone == kind.split()[0]


async def test_a_phone_that_is_edited_and_fetched_again_counts_from_then(world: World) -> None:
    await world.services.phones.add(ADMIN, sample_phone("0004f2000001", name="Third"))
    await fetch(world, "0004f2000001.cfg", "0004f2000001-settings.cfg")
    first = await status(world, "0004f2000001")
    await world.services.phones.edit(ADMIN, "0004f2000001", {"name": "Fourth"}, {"rtp_dscp": "11"})
    await fetch(world, "0004f2000001.cfg", "0004f2000001-settings.cfg")
    second = await status(world, "0004f2000001")
    assert first.since and second.since and second.since > first.since and second.first_seen == first.first_seen


async def test_what_a_removed_phone_of_the_same_address_was_given_does_not_count(world: World) -> None:
    await fetch(world, MASTER, SETTINGS)
    await world.services.phones.remove(ADMIN, VVX)
    await world.services.phones.add(ADMIN, sample_phone())
    assert (await status(world)).provisioning == "never_seen"
    await fetch(world, MASTER)
    assert (await status(world)).provisioning == "provisioning"
    await fetch(world, SETTINGS)
    assert (await status(world)).provisioning == "provisioned"


async def test_a_device_that_takes_the_place_of_another_was_never_seen(world: World) -> None:
    await fetch(world, MASTER, SETTINGS, f"{VVX}-custom.cfg", DIRECTORY)
    assert (await status(world)).provisioning == "provisioned"
    await world.services.phones.edit(ADMIN, VVX, {"hardware_id": "0004f2000099"}, {})
    found = await status(world, "0004f2000099")
    assert (found.provisioning, found.first_seen, found.firmware) == ("never_seen", None, "")
    assert "0004f2000099" in await never_seen(world)


async def test_a_phone_that_was_removed_comes_back_as_it_was(world: World) -> None:
    await fetch(world, MASTER, SETTINGS, f"{VVX}-custom.cfg", DIRECTORY)
    await world.services.phones.remove(ADMIN, VVX)
    await world.services.removed_phones.restore(ADMIN, VVX)
    assert (await status(world)).provisioning == "provisioned"
    assert VVX not in await never_seen(world)


async def test_a_phone_that_is_only_renamed_was_seen_all_the_same(world: World) -> None:
    await fetch(world, MASTER, SETTINGS, f"{VVX}-custom.cfg", DIRECTORY)
    await world.services.phones.edit(ADMIN, VVX, {"name": "Entrance"}, {})
    assert (await status(world)).first_seen is not None and VVX not in await never_seen(world)
