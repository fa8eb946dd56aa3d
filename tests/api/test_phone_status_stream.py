"""GET /phones/status/stream: the status of phones, pushed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.conftest import Rest
from tests.conftest import ADMIN, HOSTILE_NAME, OTHER_VVX, VVX, sample_phone
from tests.services.registering import add_platform, everything, hurry, listening, registered, told
from ztp_server.domain.account import RoleGrant
from ztp_server.services import status_feed
from ztp_server.services.status_changes import News, StatusChanges


@dataclass
class Event:
    kind: str
    id: str
    data: Any


class Stream:
    """What comes, as a browser reads it."""

    def __init__(self, response: Any) -> None:
        self.response = response

    async def next(self) -> Event | None:
        """The next event, comments and all else passed over; None when the server hung up."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(30):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    return Event(fields["event"], fields["id"], json.loads(fields["data"]))
        return None

    async def phones(self, mac: str) -> Any:
        """What is said next of a phone."""
        while event := await self.next():
            if event.kind == "phones":
                found = [phone for phone in event.data if phone["hardware_id"] == mac]
                if found:
                    return found[0]
        raise AssertionError("the server hung up")


@asynccontextmanager
async def _following(rest: Rest, token: str = "admin-token", last: str = "") -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": last} if last else {})}
    async with rest.session.get(f"{rest.url}/api/v1/phones/status/stream", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert (response.headers["Cache-Control"], response.headers["X-Accel-Buffering"]) == ("no-store", "no")
        yield Stream(response)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def test_changes_are_pushed_to_those_who_may_see_the_phone_and_missed_ones_told_later(rest: Rest) -> None:
    await rest.services.sites.add(ADMIN, "oslo", "Oslo", {"sip_server": "sip.example.net"})
    await add_platform(rest.services)
    async with _following(rest) as everybody, _following(rest, "madrid-token") as madrid:
        ready = await everybody.next()
        assert ready and ready.kind == "ready" and (await madrid.next()).kind == "ready"  # type: ignore[union-attr]
        away = sample_phone("0004f2777777", name="Oslo", site="oslo")
        await rest.services.phones.add(ADMIN, away)
        assert (await everybody.phones("0004f2777777"))["site"] == "oslo"
        await rest.services.phones.edit(ADMIN, VVX, {"name": HOSTILE_NAME + "\n\ndata: x".replace("\n", " ")}, {})
        assert (await everybody.phones(VVX))["name"].startswith(HOSTILE_NAME)
        # Nothing of the phone at another site came before it.
        event = await madrid.next()
        assert event and [phone["hardware_id"] for phone in event.data] == [VVX]

        async with listening(rest.services) as ear:
            source = await ear.source("pbx")
            source.say(everything("1001", "1002"))
            while (await everybody.next()).kind != "refresh":  # type: ignore[union-attr]
                pass  # the platform is heard of
            await registered(rest.services, VVX, "online")
            source.say(told("1002"))
            phone = await everybody.phones(VVX)
            while phone["status"]["registration"] != "degraded":
                phone = await everybody.phones(VVX)
            assert phone["status"]["reason"] == "line 1002 is not registered"
    last = event.id
    async with _following(rest, last=last) as again:
        assert (await again.next()).kind == "refresh"  # type: ignore[union-attr]


async def test_who_comes_back_is_told_what_changed_meanwhile_or_to_read_the_list_anew(rest: Rest) -> None:
    async with _following(rest) as stream:
        ready = await stream.next()
    assert ready
    await rest.services.phones.edit(ADMIN, OTHER_VVX, {"name": "New"}, {})
    async with _following(rest, last=ready.id) as stream:
        event = await stream.next()
        assert event and [phone["name"] for phone in event.data] == ["New"]
    await rest.services.sites.edit(ADMIN, "madrid", "Other", {})
    for last in (ready.id, "nonsense", "9" * 15 + "-0-0", "0-0-0", "1-1-" + "9" * 15):
        async with _following(rest, last=last) as stream:
            event = await stream.next()
            assert event and event.kind == "refresh", last


async def test_followers_are_bounded_and_let_go(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_feed, "MOST_OF_ONE", 1)
    async with _following(rest) as stream:
        await stream.next()
        refused = await rest.get("/phones/status/stream")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
        rest.services.status_feed.close()
        assert await stream.next() is None


async def test_who_reads_slowly_is_hung_up_on(rest: Rest) -> None:
    following = await rest.services.status_feed.follow(ADMIN)
    await anext(following)
    (follower,) = rest.services.status_feed._followers
    news = News(await StatusChanges(*rest.services.status_feed._parts).begin(), refresh="x")
    for _ in range(status_feed.MOST_WAITING + 1):
        rest.services.status_feed._tell(news)
    assert follower.waiting.qsize() == 1
    assert [told async for told in following] == []


async def test_a_stream_ends_after_a_while_so_that_whoever_follows_shows_they_still_may(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_feed, "LONGEST_SECONDS", 0.1)
    async with _following(rest) as stream:
        assert (await stream.next()).kind == "ready"  # type: ignore[union-attr]
        assert await stream.next() is None


async def test_a_stream_ends_with_the_token_it_was_opened_with_before_more_is_told(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_feed, "_TRUSTED_SECONDS", 0.0)
    monkeypatch.setattr(status_feed, "BEAT_SECONDS", 0.05)
    services = rest.services
    text, token = await services.tokens.create(ADMIN, "board", [RoleGrant("viewer", "")])
    again, _ = await services.tokens.create(ADMIN, "other", [RoleGrant("viewer", "")])
    boards = [await services.tokens.authenticate(one, "") for one in (text, again)]
    assert all(boards)
    revoked, other = [await services.status_feed.follow(who) for who in boards if who]
    for following in (revoked, other):
        assert (await anext(following)) and await anext(following) is None  # a beat, as it is good
    await services.tokens.revoke(ADMIN, token.id)
    assert [told async for told in revoked if told] == []
    # One that is good for another site from now on is to be opened anew as well.
    async with services.store.write() as session:
        await session.roles.give(f"token:{boards[1].token}", [RoleGrant("viewer", "madrid")])  # type: ignore[union-attr]
    assert [told async for told in other if told] == []
