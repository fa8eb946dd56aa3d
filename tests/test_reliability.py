"""What phones and administrators get while the database fails: locked, damaged, gone, full, not to be written."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, World, options, sample_phone, start_filled
from tests.services.opened import open_data
from ztp_server.app import App
from ztp_server.domain.proof import token_path
from ztp_server.errors import StoreUnavailable
from ztp_server.services.last_good_writer import keep_up
from ztp_server.store import Store
from ztp_server.store.last_good import LAST_GOOD

Start = Callable[..., Awaitable[World]]
OWN, OTHER = f"{VVX}-settings.cfg", f"{OTHER_VVX}-settings.cfg"
NEW = "0004f2777777"


@pytest.fixture
async def fed(start: Start) -> World:
    """A server whose phones have each been given a file, which is kept on the disk."""
    world = await start_filled(start)
    for name in (OWN, OTHER):
        assert (await world.ask(name)).status == 200
    assert (await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)).status == 200
    await world.app.last_good.flush()
    return world


def forget(world: World) -> None:
    """Let the process forget its phones, as one that was restarted."""
    world.app.fleet._known.clear()


@contextmanager
def failing(world: World, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database answers nothing."""

    def refuse(_store: Store) -> Any:
        raise StoreUnavailable("database: the disk fell off")

    with patch.context() as broken:
        broken.setattr(Store, "read", refuse)
        broken.setattr(Store, "write", refuse)
        yield


async def test_a_phone_that_nobody_remembers_gets_its_last_good_file_and_nobody_else_gets_anything(
    fed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = await fed.ask(OWN)
    forget(fed)
    fed.app.fleet._sites = None  # nor what proves a phone

    with failing(fed, monkeypatch):
        kept = await fed.ask(OWN)
        assert (kept.status, kept.body, kept.headers["ETag"]) == (200, good.body, good.headers["ETag"])
        assert (await fed.ask(OWN, headers={"If-None-Match": good.headers["ETag"]})).status == 304
        assert (await fed.ask(OWN, method="HEAD")).status == 200

        for answer in (
            await fed.ask(f"{NEW}-settings.cfg"),  # none of ours
            await fed.ask(f"{VVX}-phone.cfg"),  # what its user changed is in the database alone
            await fed.ask(f"{VVX}-app.log", method="PUT", body=b"log"),
            await fed.ask(OWN, listener="https", headers={"X-Forwarded-For": "203.0.113.7"}),  # not in its network
        ):
            assert (answer.status, answer.body, answer.headers["Retry-After"]) == (503, b"", "30")
    # What it was given meanwhile is told of as it was.
    await fed.app.check_ins.flush()
    async with fed.services.store.read() as session:
        told = [row for row in await session.check_ins.of_phone(VVX) if row.file == OWN]
    assert told[0].status == 200 and told[0].proof == "network"


async def test_the_file_is_ours_alone_and_says_nothing_without_the_key(fed: World) -> None:
    file = fed.data / LAST_GOOD
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_bytes()
    for secret in (b"auth1001", b"sip.example.net", b"127.0.0.0", b"admin", b"Ad&min1"):
        assert secret not in content
    # A row that is moved to another phone does not open there.
    with closing(sqlite3.connect(file)) as rows, rows:
        for table in ("phones", "files"):
            rows.execute(f"UPDATE {table} SET sealed = (SELECT sealed FROM {table} WHERE mac = ?)", (OTHER_VVX,))
    forget(fed)
    with pytest.MonkeyPatch.context() as patch, failing(fed, patch):
        assert [(await fed.ask(name)).status for name in (OWN, OTHER)] == [503, 200]


async def test_nobody_is_given_anything_by_what_he_could_prove_once(
    fed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs, services = fed.services.phone_proofs, fed.services
    await services.sites.edit(ADMIN, "madrid", None, {"proofs": "certificate,token,window,digest"})
    steady = await proofs.new_token(ADMIN, VVX, "steady")
    bootstrap = await proofs.new_token(ADMIN, OTHER_VVX)
    await proofs.open_window(ADMIN, HD400, 60)
    by = {
        "steady": token_path(steady.token) + OWN,
        "bootstrap": token_path(bootstrap.token) + OTHER,
        "window": f"{HD400}.cfg",
    }
    for path in by.values():
        assert (await fed.ask(path)).status == 200
    await fed.app.last_good.flush()
    forget(fed)
    monkeypatch.setattr(fed.app.fleet, "_proofs", type(fed.app.fleet._proofs)(services.store))

    with failing(fed, monkeypatch):
        assert {name: (await fed.ask(path)).status for name, path in by.items()} == {
            **dict.fromkeys(by, 503),
            "steady": 200,
        }
        assert (await fed.ask(OWN)).status == 503, "without its token"


async def test_what_was_changed_is_not_served_as_it_was(fed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment the server hears of a change; and then as it is now."""
    device = fed.device("poly", VVX)
    await fed.app._load_certificates()
    assert (await fed.ask(OWN, listener="mtls", device=device)).status == 200
    await fed.app.last_good.flush()

    async def shown(path: str, *, heard: bool, **how: Any) -> int:
        """What a phone gets that the process forgot, after the change was heard of, or kept as well."""
        await fed.app.fleet.catch_up()
        if not heard:
            await fed.app.last_good.flush()
        forget(fed)
        fed.app.fleet._sites, fed.app.fleet._sites_stale = None, True
        fed.app.fleet.certificates._denied, fed.app.fleet.certificates._stale = None, True
        with failing(fed, monkeypatch):
            return (await fed.ask(path, **how)).status

    services = fed.services
    for heard in (True, False):
        await services.phone_proofs.block(ADMIN, OTHER_VVX, "stolen")
        assert await shown(OTHER, heard=heard) == 503, "blocked"
        assert await shown(OWN, heard=False) == 200, "another one's change"
        await services.phone_proofs.unblock(ADMIN, OTHER_VVX)
        assert (await fed.ask(OTHER)).status == 200
        await fed.app.last_good.flush()

    await services.sites.edit(ADMIN, "madrid", None, {"networks": "192.0.2.0/24"})
    assert await shown(OTHER, heard=True) == 503, "its network is another"
    assert await shown(OTHER, heard=False) == 503
    assert await shown(OWN, heard=False, listener="mtls", device=device) == 200
    await services.sites.edit(ADMIN, "madrid", None, {"networks": "127.0.0.0/8"})
    assert await shown(OTHER, heard=False) == 200, "its files stay when its site is edited"

    sha256 = certificate_of(device)
    await services.denied_certificates.deny(ADMIN, sha256, "stolen")
    assert await shown(OWN, heard=True, listener="mtls", device=device) == 503
    assert await shown(OWN, heard=False, listener="mtls", device=device) == 503

    phone = await services.phones.get(ADMIN, OTHER_VVX)
    await services.phones.remove(ADMIN, OTHER_VVX)
    await services.phones.add(ADMIN, sample_phone(OTHER_VVX, name="another device", lines=(), line_keys=()))
    assert phone.id and await shown(OTHER, heard=False) == 503, "the files of who had this MAC before are not its own"


async def test_nor_is_it_by_a_server_that_remembers_the_phone(fed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    device = fed.device("poly", VVX)
    await fed.app._load_certificates()

    async def shown() -> list[int]:
        """To a phone with a certificate, and one that its address proves."""
        with failing(fed, monkeypatch):
            own = await fed.ask(OWN, listener="mtls", device=device)
            return [own.status, (await fed.ask(OTHER)).status]

    async def changed(change: Awaitable[Any]) -> list[int]:
        """After the server heard of a change, and after it was kept as well."""
        assert (await fed.ask(OWN, listener="mtls", device=device)).status == 200
        await change
        await fed.app.fleet.catch_up()
        heard = await shown()
        await fed.app.last_good.flush()
        return heard + await shown()

    services = fed.services
    other = services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_port_start": "5000"})
    assert await changed(other) == [200] * 4
    assert await changed(services.phone_proofs.block(ADMIN, OTHER_VVX, "stolen")) == [200, 503, 200, 503]
    await services.phone_proofs.unblock(ADMIN, OTHER_VVX)
    assert (await fed.ask(OTHER)).status == 200
    await services.sites.edit(ADMIN, "madrid", None, {"networks": "192.0.2.0/24"})
    await fed.app.fleet.catch_up()
    await fed.app.last_good.flush()
    assert await shown() == [200, 503]
    assert await changed(services.denied_certificates.deny(ADMIN, certificate_of(device), "stolen")) == [503] * 4


async def test_a_server_hears_of_a_change_although_no_phone_asks(fed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await fed.services.phone_proofs.block(ADMIN, OTHER_VVX, "stolen")
    async with asyncio.timeout(20):
        while fed.app.fleet._known[OTHER_VVX].generation >= 0:  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0.05)
    with failing(fed, monkeypatch):
        assert (await fed.ask(OTHER)).status == 503


def certificate_of(device: tuple[Path, Path]) -> str:
    """Its fingerprint."""
    return x509.load_pem_x509_certificate(device[0].read_bytes()).fingerprint(hashes.SHA256()).hex()


async def test_what_was_done_while_no_server_ran_counts_when_the_database_is_lost_then(fed: World) -> None:
    await fed.services.keys.rotate_wrapping(ADMIN)
    await fed.app.last_good.flush()
    await fed.app.stop()
    services = await open_data(fed.data)
    await services.phone_proofs.block(ADMIN, OTHER_VVX, "stolen")
    await keep_up(services.store, services.templates, services.last_good)
    await services.close()
    for file in fed.data.glob("ztp.db*"):
        file.unlink()

    fed.app = await App.start(options(fed.data))
    assert [(await fed.ask(name)).status for name in (OWN, OTHER)] == [200, 503]
