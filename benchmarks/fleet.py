"""python -m benchmarks.fleet FOLDER [--phones N]

Fills a data folder with phones, straight through the store: 20 sites, 30 base settings, 8 models, people, overrides,
and how far each phone came. The same for the same number.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ztp_server.config import DataOptions
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.platform import Platform
from ztp_server.domain.registration import RollUp
from ztp_server.domain.site import Site
from ztp_server.domain.status import Progress
from ztp_server.store import Store
from ztp_server.store.phone_rows import name_key
from ztp_server.store.registrations import Kept
from ztp_server.store.schema import users

SITES, BASES, PEOPLE = 20, 30, 5000
PLATFORM = "pbx"
MODELS = {
    "vvx-411": "vvx",
    "vvx-250": "vvx",
    "vvx-601": "vvx",
    "vvx-311": "vvx",
    "audiocodes-405hd": "hd400",
    "audiocodes-445hd": "hd400",
    "edge-e450": "edge_e",
    "ccx-600": "ccx",
}
FIRST_NAMES = ("Ana", "José", "Zoë", "Li", "Olga", "Sven", "Aïcha", "Bob & Sons", "Reception", "Lobby")
BATCH = 5000


async def open_store(folder: Path) -> Store:
    return await Store.open(DataOptions(folder).database_url, folder, lambda name: "password" in name)


async def fill(store: Store, phones: int) -> None:
    """Everything, in batches; empty services."""
    families = list(dict.fromkeys(MODELS.values()))
    async with store.write() as session:
        await session.platforms.add(Platform(PLATFORM, "PBX", ("sip.example.net",), source="kamailio_rpc"))
        for number in range(SITES):
            settings = {"sip_server": f"sip{number}.example.net", "time_zone": "Etc/GMT-1"}
            await session.sites.add(Site(f"site-{number}", f"Site {number}", settings=settings))
        for number in range(BASES):
            family = families[number % len(families)]
            model = next(model for model, of in MODELS.items() if of == family)
            settings = {"admin_password": f"Ad&min{number}"}
            await session.base_settings.add(
                BaseSettings(f"base-{number}", f"Base {number}", model, settings), "benchmark"
            )
    async with store.database.writing() as connection:
        await connection.execute(sa.insert(users), [_person(number) for number in range(PEOPLE)])
    new = (_phone(number, families) for number in range(phones))
    while batch := list(islice(new, BATCH)):
        async with store.write() as session:
            await session.phones.add(batch)
            await session.phone_status.keep(list(_statuses(batch)))
            await session.registrations.keep_rolled_up(dict(_registrations(batch)))


def digest_of(model: str, site: str, base: str, edition: int = 0) -> str:
    """What stands for the inputs of a group of phones."""
    return hashlib.sha256(f"{model} {site} {base} {edition}".encode()).hexdigest()[:32]


def current_inputs() -> dict[tuple[str, str, str], str]:
    families = list(dict.fromkeys(MODELS.values()))
    groups = (
        (model, f"site-{site}", f"base-{base}")
        for model, family in MODELS.items()
        for site in range(SITES)
        for base in range(BASES)
        if families[base % len(families)] == family
    )
    return {group: digest_of(*group) for group in groups}


def _person(number: int) -> dict[str, Any]:
    name = f"{FIRST_NAMES[number % len(FIRST_NAMES)]} {number}"
    return {
        "id": f"user-{number}",
        "name": name,
        "name_key": name_key(name),
        "extension": f"8{number:05}",
        "revision": 1,
    }


def _phone(number: int, families: list[str]) -> Phone:
    chance = random.Random(number)
    model = list(MODELS)[int(chance.random() ** 2 * len(MODELS))]
    own = [n for n in range(BASES) if families[n % len(families)] == MODELS[model]]
    line = Line(f"{1_000_000 + number}", password=f"secret{number}", display_name=f"Line & {number}")
    settings: dict[str, Any] = {}
    if number % 10 == 0:
        settings["rtp_port_start"] = 4000 + 2 * (number % 50)
    if number % 100 == 1:
        settings["user_password"] = f"own{number}"
    if number % 10_000 == 7:
        settings["syslog_server"] = "10.0.0.9"
    return Phone(
        id=f"{chance.getrandbits(128):032x}",
        name=f"{FIRST_NAMES[number % len(FIRST_NAMES)]} {chance.randrange(10**6)}",
        hardware_id=f"0004f2{number:06x}",
        model=model,
        site=f"site-{int(chance.random() ** 2 * SITES)}",
        base_settings=f"base-{own[int(chance.random() ** 2 * len(own))]}",
        lines=(line,) if number % 3 else (line, Line(f"{5_000_000 + number}", password="second")),
        line_keys=(LineKey("line", line=1),) if MODELS[model] != "edge_e" else (),
        settings=settings,
        user=f"user-{number}" if number < PEOPLE else "",
    )


def _statuses(phones: list[Phone]) -> Iterator[Progress]:
    """Nine of ten are as they should be; one of a thousand never came, one of ten thousand is in trouble."""
    now = datetime.now(UTC)
    for phone in phones:
        number = int(phone.hardware_id[6:], 16)
        if number % 1000 == 3:
            continue
        seen = now - timedelta(seconds=random.Random(-number).randrange(86_400))
        edition = int(number % 11 == 5)
        inputs = digest_of(phone.model, phone.site, phone.base_settings, edition)
        yield Progress(
            phone_id=phone.id,
            first_at=now - timedelta(days=100),
            last_at=seen,
            since=seen,
            address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            firmware="6.4.3.5018" if number % 500 else "5.9.0.9373",
            firmware_wanted="6.4.3.5018",
            inputs=inputs if number % 2000 != 5 else "",
            phone_revision=int(number % 5000 != 9),
            problem="template: settings.cfg.j2:7" if number % 10_000 == 11 else "",
            due_at=now + timedelta(days=-1 if number % 3000 == 13 else 2),
        )


def _registrations(phones: list[Phone]) -> Iterator[tuple[str, Kept]]:
    """Nearly all are online; of one of a thousand nothing is known."""
    now = datetime.now(UTC)
    for phone in phones:
        number = int(phone.hardware_id[6:], 16)
        if number % 1000 == 17:
            continue
        state = {1: "offline", 2: "degraded", 3: "never_registered"}.get(number % 200, "online")
        yield phone.id, Kept(RollUp(state, f"as {state} as can be", PLATFORM), now - timedelta(hours=number % 50))


async def _main(folder: Path, phones: int) -> None:
    store = await open_store(folder)
    began = time.monotonic()
    await fill(store, phones)
    print(f"{phones} phones in {time.monotonic() - began:.1f} s")
    await store.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--phones", type=int, default=100_000)
    options = arguments.parse_args()
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(_main(options.folder, options.phones))
