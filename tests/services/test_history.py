"""What a phone was given can be shown again, without a secret in it, whatever became of the phone since."""

from __future__ import annotations

import json
import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, VVX, World, sample_phone
from ztp_server.domain.access import ROLES, Actor, Grant, granted
from ztp_server.domain.attempt import Attempt, MadeOf
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.request import PhoneFile, PhoneRequest
from ztp_server.domain.vendor import Model, Vendor
from ztp_server.errors import BadValue, NotFound
from ztp_server.services.retention import forget_old
from ztp_server.store import schema_access, schema_history
from ztp_server.store.columns import metadata

SETTINGS = f"{VVX}-settings.cfg"
CANARIES = ("CanaryLineOne", "CanaryLineTwo", "CanaryAdmin", "CanaryUser", "CanaryHeld", "CanaryCustom")
PLANTED = {"admin_password": "CanaryAdmin", "user_password": "CanaryUser", "held_token": "CanaryHeld"}


async def fetch(world: World, *names: str) -> list[Any]:
    asked = [PhoneRequest(name, address="127.0.0.1") for name in names]
    answers = [(await world.app.provisioning.answer(request)).answer for request in asked]
    await world.app.check_ins.flush(at_the_end=True)
    return answers


# ---- bytes at a time -------------------------------------------------------------------------------------------------


async def test_the_bytes_of_a_time_are_those_given_last_before_it(world: World) -> None:
    history, times = world.services.history, [datetime.now(UTC)]
    for dscp in ("10", "20", "30"):
        await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": dscp})
        await fetch(world, SETTINGS)
        times.append(datetime.now(UTC))
    bodies = [(await history.file(ADMIN, VVX, SETTINGS, at)).body for at in times[1:]]
    for dscp, body in zip((10, 20, 30), bodies, strict=True):
        assert f'qos.ip.rtp.dscp="{dscp}"' in body.decode()
    with pytest.raises(NotFound, match="had been given no"):
        await history.file(ADMIN, VVX, SETTINGS, times[0])


async def test_the_difference_between_two_times_is_a_diff_with_those_times(world: World) -> None:
    times = []
    for dscp in ("10", "20"):
        await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": dscp})
        await fetch(world, SETTINGS)
        times.append(datetime.now(UTC))
    diff = await world.services.history.diff(ADMIN, VVX, SETTINGS, *times)
    assert '-    qos.ip.rtp.dscp="10"' in diff and '+    qos.ip.rtp.dscp="20"' in diff
    assert diff.startswith(f"--- {SETTINGS} ")
    assert await world.services.history.diff(ADMIN, VVX, SETTINGS, times[0], times[0]) == ""


async def test_the_files_given_by_a_time_are_listed_with_their_sizes(world: World) -> None:
    await fetch(world, f"{VVX}.cfg")
    between = datetime.now(UTC)
    await fetch(world, SETTINGS)
    assert [g.file for g in await world.services.history.given(ADMIN, VVX, between)] == [f"{VVX}.cfg"]
    later = await world.services.history.given(ADMIN, VVX, datetime.now(UTC))
    assert [given.file for given in later] == [SETTINGS, f"{VVX}.cfg"]
    assert all(given.size and given.at <= datetime.now(UTC) for given in later)


async def test_runs_come_in_pages_newest_first(world: World) -> None:
    for name in (f"{VVX}.cfg", SETTINGS, f"{VVX}-directory.xml"):
        await fetch(world, name)
    history = world.services.history
    first = await history.attempts(ADMIN, VVX, 2)
    rest = await history.attempts(ADMIN, VVX, 2, below=first[-1].seq)
    assert [run.file for run in [*first, *rest]] == [f"{VVX}-directory.xml", SETTINGS, f"{VVX}.cfg"]
    assert [run.file for run in await history.attempts(ADMIN, VVX, 9, file=SETTINGS)] == [SETTINGS]


# ---- who may see it --------------------------------------------------------------------------------------------------


async def test_who_may_not_see_the_phone_is_told_that_there_is_none(world: World) -> None:
    await fetch(world, SETTINGS)
    stranger = Actor("token:x", (Grant(ROLES["admin"], "elsewhere"),))
    for call in (
        world.services.history.attempts(stranger, VVX, 1),
        world.services.history.given(stranger, VVX, datetime.now(UTC)),
        world.services.history.file(stranger, VVX, SETTINGS, datetime.now(UTC)),
    ):
        with pytest.raises(NotFound):
            await call


async def test_who_adds_a_phone_that_was_removed_elsewhere_does_not_see_what_it_was_given_there(world: World) -> None:
    history, now = world.services.history, datetime.now(UTC)
    await fetch(world, SETTINGS)
    await world.services.phones.remove(ADMIN, VVX)
    await world.services.sites.add(ADMIN, "paris", "Paris", {"networks": "127.0.0.0/8"})
    limited = Actor("token:x", granted(ROLES["editor"], "paris"))
    await world.services.phones.add(limited, sample_phone(VVX, site="paris"))

    # The file goes on to be remembered for who may see both.
    assert [run.file for run in await history.attempts(ADMIN, VVX, 9)] == [SETTINGS]
    assert await history.attempts(limited, VVX, 9) == []
    assert await history.given(limited, VVX, datetime.now(UTC)) == []
    with pytest.raises(NotFound):
        await history.file(limited, VVX, SETTINGS, datetime.now(UTC))
    assert (await world.services.why.explain(limited, VVX)).attempts == []

    await fetch(world, SETTINGS)
    assert [given.file for given in await history.given(limited, VVX, datetime.now(UTC))] == [SETTINGS]
    assert len(await history.attempts(limited, VVX, 9)) == 1
    assert now < (await history.given(limited, VVX, datetime.now(UTC)))[0].at


async def test_only_who_may_see_the_audit_sees_the_history_of_a_removed_phone(world: World) -> None:
    await fetch(world, SETTINGS)
    await world.services.phones.remove(ADMIN, VVX)
    auditor = Actor("token:a", (Grant(frozenset({"audit:view"})),))
    assert len(await world.services.history.attempts(auditor, VVX, 9)) == 1
    with pytest.raises(NotFound):
        await world.services.history.attempts(Actor("token:v", (Grant(ROLES["viewer"]),)), VVX, 9)


async def test_what_names_no_phone_is_refused(world: World) -> None:
    with pytest.raises(BadValue):
        await world.services.history.attempts(ADMIN, "'; drop", 9)
    with pytest.raises(NotFound):
        await world.services.history.attempts(ADMIN, "0" * 32, 9)


# ---- no secret -------------------------------------------------------------------------------------------------------


def models(world: World) -> list[tuple[Vendor, Model]]:
    """One model of each family."""
    vendors = world.services.templates.catalog.vendors.values()
    return [(v, next(m for m in v.model if m.family == family)) for v in vendors for family in v.family]


async def plant(world: World) -> list[tuple[str, Model]]:
    """A phone of every family with secrets wherever its family takes them."""
    await world.services.sites.add(
        ADMIN,
        "canary",
        "Canary",
        {"networks": "127.0.0.0/8", "sip_server": "sip.example.net", "time_zone": "Etc/GMT-1"},
    )
    planted = []
    for number, (vendor, model) in enumerate(models(world)):
        family = vendor.family[model.family]
        taken = {name: value for name, value in PLANTED.items() if family.support(name).state == "parameter"}
        # What a family takes of passwords is not the same everywhere; numbers are taken by all.
        base = await _base(world, f"canary-{number}", model, taken)
        mac = f"0004f2c0{number:04x}"
        lines = (
            Line("1001", password="CanaryLineOne"),
            *([Line("1002", password="CanaryLineTwo")] * (model.lines > 1)),
        )
        named = {"xml": "x.auth.password", "sections": "x/password", "line": "voip/x/password"}
        name = named[vendor.family[model.family].reading.format]
        phone = Phone("Canary", mac, model.id, "canary", base, lines=lines, settings={f"custom.{name}": "CanaryCustom"})
        await world.services.phones.add(ADMIN, phone)
        planted.append((mac, model))
    return planted


async def _base(world: World, name: str, model: Model, settings: dict[str, str]) -> str:
    try:
        await world.services.base_settings.add(ADMIN, name, "", model.id, settings)
    except BadValue as error:
        refused = error.field.removeprefix("settings.")
        return await _base(world, name, model, {n: v for n, v in settings.items() if n != refused})
    return name


async def test_no_secret_of_any_family_is_kept_and_nothing_else_differs(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    planted = await plant(world)
    given: dict[str, PhoneFile] = {}
    for mac, _ in planted:
        known = await world.app.fleet.find(mac)
        names = [r.pattern.replace("{mac}", mac) for r in known.group.vendor.file if r.serve == "phone"]
        answers = await fetch(world, *names)
        given |= {n: a for n, a in zip(names, answers, strict=True) if isinstance(a, PhoneFile)}
    served = b"".join(file.body for file in given.values()).decode()
    hashes = re.findall(r"\$1\$[^\s\"&]+", served)
    assert hashes and [canary for canary in CANARIES if canary not in served] == []
    for name, file in given.items():
        kept = (await world.services.history.file(ADMIN, name[:12], name, datetime.now(UTC))).body.decode()
        _differs_in_secrets_only(file.body.decode(), kept)
    await _assert_nowhere(world, capfd, [*CANARIES, *hashes])


def _differs_in_secrets_only(given: str, kept: str) -> None:
    for one, other in zip(given.split("\n"), kept.split("\n"), strict=True):
        if one == other:
            continue
        # A password as it is, or its crypt hash: the same line with another value in their place.
        held = [canary for canary in CANARIES if canary in one]
        if held:
            assert other == one.replace(held[0], "***")
        else:
            assert "$1$" in one and other.partition("=")[0] == one.partition("=")[0]


async def _assert_nowhere(world: World, capfd: pytest.CaptureFixture[str], secrets: list[str]) -> None:
    """Neither in what was logged nor in any row of any table, packed or not."""
    written = capfd.readouterr()
    looked_at = [written.out, written.err]
    async with world.services.store.database.reading() as connection:
        for table in metadata.sorted_tables:
            for row in await connection.execute(sa.select(table)):
                values = dict(row._mapping)
                if table is schema_history.served_files:
                    body = zlib.decompress(values.pop("body")).decode()
                    looked_at.append(body)
                looked_at.append(json.dumps(values, default=repr))
    text = "\n".join(looked_at)
    assert [secret for secret in secrets if secret in text] == []


async def test_no_digest_of_given_bytes_is_kept_by_which_secrets_could_be_tried_out(world: World) -> None:
    (answer,) = await fetch(world, SETTINGS)
    async with world.services.store.database.reading() as connection:
        for table in (schema_history.served_files, schema_history.check_in_runs, schema_history.check_ins):
            found = (await connection.execute(sa.select(table.c.etag))).scalars().all()
            assert found and answer.etag not in found


# ---- retention -------------------------------------------------------------------------------------------------------


async def kept(world: World, column: sa.Column[Any]) -> list[Any]:
    async with world.services.store.database.reading() as connection:
        return list((await connection.execute(sa.select(column))).scalars())


async def test_what_is_past_keeping_goes_and_the_rest_stays(world: World) -> None:
    await fetch(world, SETTINGS)
    now = datetime.now(UTC)
    async with world.services.store.write() as session:
        old = now - timedelta(days=91)
        gone = Attempt(VVX, "gone.cfg", old, old, 200, etag="gone", proof="network", made_of=MadeOf())
        await session.check_in_log.add([gone])
        await session.events.add("server", "recent", "x")
    async with world.services.store.database.writing() as connection:
        table = schema_history.served_files
        row = {"etag": "gone", "content_type": "text/xml", "body": zlib.compress(b"x"), "size": 1}
        await connection.execute(sa.insert(table).values(row | {"at": now - timedelta(days=91)}))
        event = {"at": now - timedelta(days=91), "actor": "server", "action": "old", "subject": "x", "detail": {}}
        await connection.execute(sa.insert(schema_history.events).values(event))
        key = {"actor": "a", "key": "k", "request": "", "status": 200, "answer": ""}
        await connection.execute(
            sa.insert(schema_access.idempotency_keys),
            [key | {"at": now - timedelta(hours=25)}, key | {"key": "new", "at": now}],
        )
    # What is left, not what this call removed: the server's own cleaning at start may have come first.
    await forget_old(world.services.store, now)
    assert "gone" not in await kept(world, schema_history.check_in_runs.c.etag)
    assert "gone" not in await kept(world, schema_history.served_files.c.etag)
    actions = await kept(world, schema_history.events.c.action)
    assert "old" not in actions and "recent" in actions
    assert await kept(world, schema_access.idempotency_keys.c.key) == ["new"]
    assert (await world.services.history.file(ADMIN, VVX, SETTINGS, datetime.now(UTC))).body
    again = await forget_old(world.services.store, now)
    assert not any(again.values())


async def test_only_the_newest_changes_and_events_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from ztp_server.services import retention

    monkeypatch.setattr(retention, "MOST_CHANGES", 2)
    monkeypatch.setattr(retention, "MOST_EVENTS", 3)
    monkeypatch.setattr(retention, "_BATCH", 2)
    async with world.services.store.write() as session:
        for number in range(8):
            await session.events.add("server", "x", str(number))
        before = await session.last_change()
    await forget_old(world.services.store)
    async with world.services.store.read() as session:
        assert [event.subject for event in await session.events.latest()] == ["7", "6", "5"]
        assert await session.last_change() == before
    assert (await world.ask(SETTINGS)).status == 200
