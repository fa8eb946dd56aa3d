"""Phones that are in no network of their site, and what is made for them to prove themselves with."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.conftest import ADMIN, VVX, Response, World
from tests.phone_http.conftest import Start
from ztp_server.domain.event import Event
from ztp_server.domain.proof import DigestCredential, PhoneToken, ProvisioningWindow, TokenKind, token_hash

HOME, CAFE = "203.0.113.9", "198.51.100.7"
SETTINGS = f"{VVX}-settings.cfg"
_COUNTED = ContextVar("counted", default=False)
HOSTILE_DIGEST = "p\"a\\ss:wörd &<%41>'😀"


async def far_world(start: Start, data: Path, **options: Any) -> World:
    """A server whose phones are elsewhere: a proxy on this machine says from where each request comes."""
    world = await start(data, trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),), **options)
    await site(world, networks="192.168.0.0/16")
    return world


async def site(world: World, **fields: str) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, fields)


async def ask(world: World, path: str, address: str = HOME, listener: str = "https", **options: Any) -> Response:
    """One request of a phone at an address."""
    headers = {"X-Forwarded-For": address, **options.pop("headers", {})}
    return await world.ask(path, listener=listener, headers=headers, **options)


async def put_token(world: World, kind: TokenKind = "steady", mac: str = VVX) -> str:
    """Make a token of a phone, instead of the one it had; returns what stands in the path."""
    async with world.services.store.write() as session:
        phone = await session.phones.get(mac)
        token = PhoneToken(phone.id, kind, "", secrets.token_hex(16), "test", datetime.now(UTC))
        text = session.phone_proofs.token(token)
        await session.phone_proofs.put_token(replace(token, hash=token_hash(text)))
    return str(text)


async def put_window(world: World, mac: str = VVX, *, minutes: float = 60) -> None:
    now = datetime.now(UTC)
    async with world.services.store.write() as session:
        phone = await session.phones.get(mac)
        until = now + timedelta(minutes=minutes)
        await session.phone_proofs.put_window(ProvisioningWindow(phone.id, "test", now, until))


async def put_digest(world: World, user: str = "desk", password: str = HOSTILE_DIGEST, mac: str = VVX) -> None:
    async with world.services.store.write() as session:
        phone = await session.phones.get(mac)
        made = DigestCredential(phone.id, user, password, "test", datetime.now(UTC))
        await session.phone_proofs.put_digest(made)


async def proofs(world: World, mac: str = VVX) -> Any:
    """All that is made for a phone, as it is in the database."""
    async with world.services.store.read() as session:
        phone = await session.phones.get(mac)
        return await session.phone_proofs.of_phone(phone.id)


async def events(world: World, *actions: str) -> Sequence[Event]:
    await world.app.check_ins.flush()
    async with world.services.store.read() as session:
        return [event for event in await session.events.latest() if event.action in actions]


def as_sent(response: Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer as it went over the line, but for the time of day."""
    return response.status, [(k, v) for k, v in response.headers.items() if k != "Date"], response.body


@contextmanager
def statements(world: World) -> Iterator[list[str]]:
    """What this task asks the database meanwhile; what the server does besides is left out."""
    engine, asked = world.services.store.database._reader.sync_engine, list[str]()

    def note(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        # What others wrote is looked up whenever something was written, whoever asks next.
        if _COUNTED.get() and statement != "BEGIN" and "FROM changes" not in statement:
            asked.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    token = _COUNTED.set(True)
    try:
        yield asked
    finally:
        _COUNTED.reset(token)
        sa.event.remove(engine, "before_cursor_execute", note)
