"""What phones are given when somebody was logged out of them or in: at once, by every process, without the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, VVX, World, sample_phone
from tests.services.opened import open_data
from ztp_server.domain.phone import Line
from ztp_server.errors import StoreUnavailable
from ztp_server.store import Store

DESK = "0004f2dddd01"
OWN, DESKS = f"{VVX}-settings.cfg", f"{DESK}-settings.cfg"
GUEST = {"settings": {"sip_server": "guest.example.net"}, "line": {"user": "900", "password": "guest's"}}


@pytest.fixture
async def fed(world: World) -> World:
    """A phone with lines of its own and a hot desk with a user, both fed, and what they got kept."""
    services = world.services
    await services.users.add(ADMIN, "ana", "Ana", "", (Line("3001", password="ana's"),))
    await services.users.add(ADMIN, "bob", "Bob", "", (Line("4001", password="bob's"),))
    await services.phones.add(ADMIN, sample_phone(DESK, name="Desk", lines=(), line_keys=()))
    await services.logged_in.log_in(ADMIN, DESK, "ana")
    assert b"1001" in (await world.ask(OWN)).body and b"3001" in (await world.ask(DESKS)).body
    await world.app.last_good.flush()
    return world


@contextmanager
def failing(patch: pytest.MonkeyPatch) -> Any:
    """The database answers nothing."""

    def refuse(_store: Store) -> Any:
        raise StoreUnavailable("database: the disk fell off")

    with patch.context() as broken:
        broken.setattr(Store, "read", refuse)
        broken.setattr(Store, "write", refuse)
        yield


async def test_the_next_request_has_what_holds_now(fed: World) -> None:
    services = fed.services
    await services.sites.edit(ADMIN, "madrid", None, {"logged_out": GUEST}, merge=True)
    await services.logged_in.log_out(ADMIN, VVX)
    out = (await fed.ask(OWN)).body
    assert b"900" in out and b"guest.example.net" in out and b"1001" not in out
    await services.logged_in.log_in(ADMIN, DESK, "bob")
    assert b"4001" in (await fed.ask(DESKS)).body
    await services.users.edit(ADMIN, "bob", lines=[Line("4002", password="new")])
    desk = (await fed.ask(DESKS)).body
    assert b"4002" in desk and b"4001" not in desk
    await services.sites.edit(ADMIN, "madrid", None, {"logged_out": {"line": {"user": "901"}}}, merge=True)
    assert b"901" in (await fed.ask(OWN)).body
    await services.logged_in.log_in(ADMIN, VVX)
    assert b"1001" in (await fed.ask(OWN)).body
    # Another family has it as well.
    await services.logged_in.log_out(ADMIN, HD400)
    out = (await fed.ask(f"{HD400}.cfg", user_agent=HD400_UA)).body
    assert b"901" in out and b"2001" not in out


async def test_what_another_process_does_counts_at_the_next_request(fed: World) -> None:
    command = await open_data(fed.data)
    try:
        await command.logged_in.log_out(ADMIN, VVX)
        assert b"1001" not in (await fed.ask(OWN)).body
        await command.logged_in.log_in(ADMIN, VVX)
        assert b"1001" in (await fed.ask(OWN)).body
    finally:
        await command.close()


async def test_a_phone_has_something_to_fetch_again(fed: World) -> None:
    async def provisioning(mac: str) -> tuple[str, str]:
        await fed.app.check_ins.flush()
        status = await fed.services.phone_status.get(ADMIN, mac)
        return status.provisioning, status.reason

    for name in (f"{VVX}.cfg", OWN):
        await fed.ask(name)
    before = await provisioning(VVX)
    await fed.services.logged_in.log_out(ADMIN, VVX)
    after = await provisioning(VVX)
    assert (before[0], after[0]) == ("provisioned", "outdated") and "its record is at revision" in after[1]


async def test_without_the_database_nobody_gets_what_was_for_who_is_gone(
    fed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def given(path: str) -> int:
        with failing(monkeypatch):
            return (await fed.ask(path)).status

    def forget() -> None:
        fed.app.fleet._known.clear()

    forget()
    assert (await given(OWN), await given(DESKS)) == (200, 200), "kept for times like these"
    await fed.services.logged_in.log_out(ADMIN, VVX)
    await fed.services.logged_in.log_in(ADMIN, DESK, "bob")
    await fed.app.fleet.catch_up()
    assert (await given(OWN), await given(DESKS)) == (503, 503), "heard of, in doubt"
    await fed.app.last_good.flush()
    assert (await given(OWN), await given(DESKS)) == (503, 503), "and when it was read anew"
    forget()
    assert (await given(OWN), await given(DESKS)) == (503, 503)
    # What they are given now is kept for them.
    out, desk = (await fed.ask(OWN)).body, (await fed.ask(DESKS)).body
    assert b"1001" not in out and b"4001" in desk
    await fed.app.last_good.flush()
    forget()
    with failing(monkeypatch):
        assert ((await fed.ask(OWN)).body, (await fed.ask(DESKS)).body) == (out, desk)
    await fed.services.logged_in.log_in(ADMIN, VVX)
    await fed.app.last_good.flush()
    forget()
    assert await given(OWN) == 503


async def test_a_file_that_cannot_be_made_is_not_the_one_of_who_was_there_before(fed: World) -> None:
    """A template that breaks gives every phone its last good file, but not somebody else's."""
    known = fed.app.fleet._known[VVX]
    assert known.files or known.last_good
    await fed.services.logged_in.log_out(ADMIN, VVX)
    await fed.app.fleet.catch_up()
    now = await fed.app.fleet.find(VVX)
    assert now is not None and now is not known and not now.last_good
    await fed.services.phones.edit(ADMIN, VVX, {"name": "New"}, {})
    assert (await fed.ask(OWN)).status == 200
    await fed.services.phones.edit(ADMIN, VVX, {"name": "Newer"}, {})
    await fed.app.fleet.catch_up()
    again = await fed.app.fleet.find(VVX)
    assert again is not None and again.last_good, "of who is there now, as ever"
