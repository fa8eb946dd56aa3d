"""ztp phone restart and resync, with the server down: this process tells the phones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Ztp
from tests.conftest import HD400, HOSTILE_NAME, OTHER_VVX, VVX, fill
from tests.services.opened import open_data
from tests.services.told_phones import OK, UNSUPPORTED, add_phones
from ztp_server.services.messenger import Messenger, Sent
from ztp_server.services.notify_plan import Plan

FAST = ("--rate", "50", "--follow", "0")


async def _fill(data: Path, more: int = 0) -> None:
    services = await open_data(data)
    await fill(services)
    await add_phones(services, more)
    await services.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Sent]]:
    """What phones answer, by hardware ID; every one that is told appears here."""
    from tests.services.told_phones import Messages

    answers: dict[str, Sent] = {OTHER_VVX: UNSUPPORTED}
    messages = Messages(refusals={HD400: "it has no way\n to be told"})

    async def send(_self: Messenger, plan: Plan, *, is_news: bool = False) -> Sent:
        return answers.setdefault(plan.hardware_id, OK)

    monkeypatch.setattr(Messenger, "plan", lambda _self, *given, **more: messages.plan(*given, **more))
    monkeypatch.setattr(Messenger, "send", send)
    yield answers


def test_phones_are_restarted_and_each_is_named(ztp: Ztp, data: Path, told: dict[str, Sent]) -> None:
    asyncio.run(_fill(data))
    ended = ztp("phone", "restart", VVX, OTHER_VVX, HD400, *FAST)
    lines = ended.out.splitlines()
    assert ended.code == 1 and ended.err == ""
    assert f"{VVX} {HOSTILE_NAME}: done: 200 OK; it has not asked for a file within 0 s" in lines
    assert f"{OTHER_VVX} Lobby: refused: 489 Bad Event" in lines
    assert next(line for line in lines if line.startswith(HD400)).endswith("refused: it has no way\\n to be told")
    assert lines[-1].endswith("done: 2 sent, 1 answered, 2 refused") and set(told) == {VVX, OTHER_VVX}
    ended = ztp("phone", "resync", VVX, *FAST, "--json")
    shown = json.loads(ended.out)
    assert (ended.code, shown["kind"], shown["summary"]) == (0, "phones.resync", {"done": 1})
    assert shown["items"][0]["told"]["answer"] == "answered" and shown["items"][0]["told"]["code"] == 200


def test_a_dry_run_tells_nobody(ztp: Ztp, data: Path, told: dict[str, Sent]) -> None:
    asyncio.run(_fill(data))
    lines = ztp("phone", "restart", "--filter", "name=*", "--dry-run").out.splitlines()
    assert lines[:3] == ["of 3 phones, 3 looked at: 1 refused", "2 by check-sync", "what it costs: it drops calls"]
    assert lines[3].startswith(f"refused: {HD400} ") and lines[3].endswith("it has no way\\n to be told")
    shown = json.loads(ztp("phone", "restart", "--filter", "name=*", "--dry-run", "--json").out)
    assert shown["ways"] == {"check-sync": 2} and VVX not in told
    assert ztp("phone", "restart", "--filter", "name=nobody", "--dry-run").out == "no phone fits\n"


def test_more_than_fifty_take_their_number(ztp: Ztp, data: Path, told: dict[str, Sent]) -> None:
    asyncio.run(_fill(data, 51))
    some = ("phone", "resync", "--filter", "name=P *", *FAST)
    assert "51 phones: say --yes 51 to resync so many" in ztp(*some).err
    assert 'confirm: this is about 51 phones; confirm with "51"' in ztp(*some, "--yes", "50").err
    assert set(told) == {OTHER_VVX}
    ended = ztp(*some, "--yes", "51")
    assert ended.code == 0 and ended.out.splitlines()[-1].endswith("done: 51 sent, 51 answered")
    assert len(told) == 52


def test_what_is_for_later_is_left_to_the_server(ztp: Ztp, data: Path, told: dict[str, Sent]) -> None:
    asyncio.run(_fill(data))
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}"
    ended = ztp("phone", "restart", VVX, "--not-before", tomorrow)
    assert ended.code == 0 and ended.out.endswith(f"the server begins at {tomorrow}\n") and VVX not in told
    (job,) = json.loads(ztp("job", "list", "--json").out)
    assert (job["state"], job["not_before"][:16]) == ("queued", tomorrow.replace("T", " "))
    assert ztp("phone", "restart", VVX, "--not-after", "2020-01-01").complaint.startswith("ztp: not_after: ")
    assert ztp("phone", "restart").code == 2 and ztp("phone", "restart", VVX, "--filter", "name=*").code == 2
