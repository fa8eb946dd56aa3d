"""Platforms whose sources say what a test says, and a server that listens to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.conftest import ADMIN
from ztp_server.domain.platform import Platform
from ztp_server.services import registrations, status_feed
from ztp_server.services.registrations import Registrations
from ztp_server.sip.sources.source import Everything, Place, Source, Told

HERE = Place("sip:1001@192.0.2.7:5062", "udp", "Desk & Co <\"1'> 😀")


class Scripted(Source):
    """Tells what it is told to tell."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: frozenset[str] = frozenset()
        self.has_been_asked = asyncio.Event()

    async def _live(self) -> None:
        await asyncio.Event().wait()

    def say(self, report: Any) -> None:
        self._tell(report)

    def want(self, aors: Any) -> None:
        self.wanted = frozenset(aors)
        self.has_been_asked.set()


class Ear:
    """A server that listens, with what it reported. `sources` are those that are open, by platform."""

    def __init__(self, services: Any) -> None:
        self.sources: dict[str, Scripted] = {}
        self.reported: list[tuple[str, str, str]] = []
        self.opened = asyncio.Event()
        self.task = Registrations(
            services.store,
            services.templates,
            services.platform_agents,
            self._open,
        )

    def report(self, action: str, subject: str, reason: str) -> None:
        self.reported.append((action, subject, reason))

    def _open(self, platform: Platform) -> Scripted:
        self.sources[platform.id] = source = Scripted()
        self.opened.set()
        return source

    async def source(self, platform: str) -> Scripted:
        """The source of a platform, once it is open."""
        async with asyncio.timeout(60):
            while platform not in self.sources:
                self.opened.clear()
                await self.opened.wait()
        return self.sources[platform]


@asynccontextmanager
async def listening(services: Any) -> AsyncIterator[Ear]:
    ear = Ear(services)
    running = asyncio.create_task(ear.task.run(ear.report))
    try:
        yield ear
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def hurry(monkeypatch: Any) -> None:
    """Look more often than a server does."""
    for name in ("FLUSH_SECONDS", "_LOOK_SECONDS", "_IDLE_SECONDS", "_BREATH_SECONDS", "_WANT_SECONDS"):
        monkeypatch.setattr(registrations, name, 0.01)
    monkeypatch.setattr(status_feed, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(status_feed, "_CLOCK_SECONDS", 0.1)


def told(user: str, *contacts: Place, domain: str = "") -> Told:
    return Told(user, domain, contacts)


def everything(*users: str, domain: str = "") -> Everything:
    return Everything(tuple(told(user, HERE, domain=domain) for user in users))


async def until(services: Any, phone: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The status of a phone, once it is as it should be; looked at whenever something is pushed."""
    following = await services.status_feed.follow(ADMIN)
    status: dict[str, Any] = {}
    try:
        async with asyncio.timeout(60):
            async for _ in following:
                status = (await services.phones.view(await services.phones.get(ADMIN, phone)))["status"]
                if fits(status):
                    return status
    except TimeoutError:
        raise AssertionError(f"it stayed {status}") from None
    finally:
        await following.aclose()
    raise AssertionError("the server hung up")


async def registered(services: Any, phone: str, state: str) -> dict[str, Any]:
    return await until(services, phone, lambda status: status["registration"] == state)


async def add_platform(services: Any, name: str = "pbx", *domains: str, source: str = "kamailio_rpc") -> None:
    address = "udp:192.0.2.5:5060" if source == "reg_event" else ""
    async with services.store.write() as session:
        await session.platforms.add(
            Platform(name, name, domains or ("sip.example.net", "sip2.example.net"), address, source=source)  # type: ignore[arg-type]
        )
