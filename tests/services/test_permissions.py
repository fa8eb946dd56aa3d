"""Every method of every service, asked by every role, everywhere, at the site it is about, and at another one.

A method that is not in the table fails a test: whoever adds one says here which permission it takes.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest

from tests.conftest import ADMIN, VVX, fill, sample_phone
from tests.services.opened import new_data, open_data
from ztp_server.domain.access import PERMISSIONS, ROLES, SHARED_VIEWS, Actor, granted, is_per_site
from ztp_server.domain.account import RoleGrant
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, LineChange, Phone
from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.errors import BadValue, Forbidden, ImportRefused, NotFound, Refused
from ztp_server.services.archive import Manifest
from ztp_server.services.opening import Services
from ztp_server.services.phone_import import Order
from ztp_server.services.phone_selection import Selection
from ztp_server.services.restarts import Telling
from ztp_server.store import Session

PASSWORD = "a long enough password"
MADRID = {"site": ["madrid"]}
CSV = b"hardware_id,name,model,site,base_settings\n0004f2777777,New,vvx-411,madrid,vvx-standard\n"


@dataclass(frozen=True)
class Needs:
    """What a method takes, all of it, and a call that is about site madrid. A list is cut to what one may see instead
    of being refused: at another site it is empty. What is about all sites takes its permissions everywhere. What is
    named in an order, and may not be seen, is refused as a value that stands for nothing."""

    permissions: tuple[str, ...]
    call: Callable[[Any, Actor], Any]
    cut: bool = False
    everywhere: bool = False
    named: bool = False


def needs(permission: str, call: Callable[[Any, Actor], Any], **more: bool) -> Needs:
    return Needs(tuple(permission.split()), call, **more)


TABLE: dict[str, Needs] = {
    "sites.all": needs("sites:view", lambda s, who: _madrid(s.sites.all(who)), cut=True),
    "sites.page": needs("sites:view", lambda s, who: _madrid(s.sites.page(who, "", 10)), cut=True),
    "sites.get": needs("sites:view", lambda s, who: s.sites.get(who, "madrid")),
    "sites.add": needs("sites:add", lambda s, who: s.sites.add(who, "oslo", "Oslo", {})),
    "sites.edit": needs("sites:view sites:edit", lambda s, who: s.sites.edit(who, "madrid", "New", {})),
    "sites.remove": needs("sites:view sites:delete", lambda s, who: s.sites.remove(who, "madrid")),
    "sites.reveal": needs("sites:view phones:reveal", lambda s, who: s.sites.reveal(who, "madrid", "why")),
    "base_settings.all": needs("base_settings:view", lambda s, who: s.base_settings.all(who)),
    "base_settings.page": needs("base_settings:view", lambda s, who: s.base_settings.page(who, "", 10)),
    "base_settings.get": needs("base_settings:view", lambda s, who: s.base_settings.get(who, "400hd")),
    "base_settings.add": needs("base_settings:add", lambda s, who: s.base_settings.add(who, "b", "B", "vvx-411", {})),
    "base_settings.clone": needs("base_settings:add", lambda s, who: s.base_settings.clone(who, "400hd", "b")),
    "base_settings.edit": needs("base_settings:edit", lambda s, who: s.base_settings.edit(who, "400hd", "New", {})),
    "base_settings.revert": needs("base_settings:edit", lambda s, who: s.base_settings.revert(who, "400hd", 1)),
    "base_settings.remove": needs("base_settings:delete", lambda s, who: s.base_settings.remove(who, "400hd")),
    "base_settings.reveal": needs(
        "base_settings:view phones:reveal",
        lambda s, who: s.base_settings.reveal(who, "400hd", "why"),
        everywhere=True,
    ),
    "base_settings_revisions.diff": needs(
        "base_settings:view", lambda s, who: s.base_settings_revisions.diff(who, "400hd", 1)
    ),
    "base_settings_revisions.get": needs(
        "base_settings:view", lambda s, who: s.base_settings_revisions.get(who, "400hd", 1)
    ),
    "base_settings_revisions.page": needs(
        "base_settings:view", lambda s, who: s.base_settings_revisions.page(who, "400hd")
    ),
    "base_settings_revisions.template": needs(
        "base_settings:view", lambda s, who: s.base_settings_revisions.template(who, "vvx-411")
    ),
    "phones.all": needs("phones:view", lambda s, who: s.phones.all(who), cut=True),
    "phones.get": needs("phones:view", lambda s, who: s.phones.get(who, VVX)),
    "phones.check_ins": needs("phones:view", lambda s, who: s.phones.check_ins(who, VVX)),
    "phones.explain": needs("phones:view", lambda s, who: s.phones.explain(who, VVX)),
    "phones.files": needs("phones:view", lambda s, who: s.phones.files(who, VVX)),
    "phones.firmware": needs("phones:view", lambda s, who: s.phones.firmware(who, VVX)),
    "phones.preview": needs("phones:view phones:reveal", lambda s, who: s.phones.preview(who, VVX, None, True, "why")),
    "phones.add": needs("phones:add", lambda s, who: s.phones.add(who, sample_phone("0004f2777777"))),
    "phones.edit": needs("phones:view phones:edit", lambda s, who: s.phones.edit(who, VVX, {"name": "New"}, {})),
    "phones.change": needs("phones:view phones:edit", lambda s, who: s.phones.change(who, VVX, _same)),
    "phones.remove": needs("phones:view phones:delete", lambda s, who: s.phones.remove(who, VVX)),
    "phone_list.count": needs("phones:view", lambda s, who: s.phone_list.count(who, MADRID), cut=True),
    "phone_list.every": needs("phones:view", lambda s, who: s.phone_list.every(who, MADRID), cut=True),
    "phone_list.page": needs("phones:view", lambda s, who: _items(s.phone_list.page(who, MADRID)), cut=True),
    **{
        f"phone_lines.{name}": needs("phones:view phones:edit", call)
        for name, call in {
            "add_key": lambda s, who: s.phone_lines.add_key(who, VVX, LineKey("blf", "1", "x")),
            "add_line": lambda s, who: s.phone_lines.add_line(who, VVX, LineChange("1009")),
            "move_key": lambda s, who: s.phone_lines.move_key(who, VVX, 1, 2),
            "move_line": lambda s, who: s.phone_lines.move_line(who, VVX, 1, 2),
            "remove_key": lambda s, who: s.phone_lines.remove_key(who, VVX, 1),
            "remove_line": lambda s, who: s.phone_lines.remove_line(who, VVX, 2),
            "set_key": lambda s, who: s.phone_lines.set_key(who, VVX, 2, {"label": "x"}),
            "set_line": lambda s, who: s.phone_lines.set_line(who, VVX, 1, {"label": "x"}),
        }.items()
    },
    "connections.get": needs(
        "phones:view phones:reveal", lambda s, who: s.connections.get(who, s.desk, reveal=True, reason="why")
    ),
    "connections.new_password": needs(
        "phones:view phones:edit", lambda s, who: s.connections.new_password(who, s.desk)
    ),
    "removed_phones.all": needs("phones:view", lambda s, who: s.removed_phones.all(who), cut=True),
    "removed_phones.page": needs("phones:view", lambda s, who: s.removed_phones.page(who), cut=True),
    "removed_phones.restore": needs("phones:view phones:add", lambda s, who: s.removed_phones.restore(who, s.removed)),
    "annotations.annotate": needs(
        "phones:view phones:reveal", lambda s, who: s.annotations.annotate(who, VVX, None, True)
    ),
    "phone_proofs.show": needs("phones:view", lambda s, who: s.phone_proofs.show(who, VVX)),
    **{
        f"phone_proofs.{name}": needs("phones:view phones:approve", call)
        for name, call in {
            "new_token": lambda s, who: s.phone_proofs.new_token(who, VVX),
            "remove_token": lambda s, who: s.phone_proofs.remove_token(who, VVX, "steady"),
            "open_window": lambda s, who: s.phone_proofs.open_window(who, VVX),
            "close_window": lambda s, who: s.phone_proofs.close_window(who, VVX),
            "set_digest": lambda s, who: s.phone_proofs.set_digest(who, VVX),
            "remove_digest": lambda s, who: s.phone_proofs.remove_digest(who, VVX),
        }.items()
    },
    "phone_proofs.reveal_digest": needs(
        "phones:view phones:reveal", lambda s, who: s.phone_proofs.reveal_digest(who, VVX, "why")
    ),
    "phone_proofs.block": needs("phones:view phones:edit", lambda s, who: s.phone_proofs.block(who, VVX)),
    "phone_proofs.unblock": needs("phones:view phones:edit", lambda s, who: s.phone_proofs.unblock(who, VVX)),
    "phone_import.submit": needs(
        "phones:add", lambda s, who: s.phone_import.submit(who, Order("x.csv"), [CSV]), cut=True
    ),
    "phone_import.run": needs("phones:add", lambda s, who: s.phone_import.run(who, [CSV], "create"), named=True),
    "phone_export.export": needs("phones:view", lambda s, who: _exported(s, who), cut=True),
    "registrar_export.export": needs("phones:view phones:reveal", lambda s, who: _registered(s, who), cut=True),
    "registrar_directory.find": needs(
        "phones:view phones:reveal", lambda s, who: s.registrar_directory.find(who, SIP_USER), cut=True
    ),
    "platforms.page": needs("platforms:view", lambda s, who: s.platforms.page(who)),
    "platforms.get": needs("platforms:view", lambda s, who: s.platforms.get(who, "pbx")),
    "platforms.add": needs("platforms:edit", lambda s, who: s.platforms.add(who, "new", "", {"domains": "new"})),
    "platforms.edit": needs("platforms:edit", lambda s, who: s.platforms.edit(who, "pbx", "New", {})),
    "platforms.remove": needs("platforms:edit", lambda s, who: s.platforms.remove(who, "pbx")),
    "platform_check.check": needs("platforms:edit", lambda s, who: s.platform_check.check(who, "pbx")),
    "overrides.clear": needs("phones:view phones:edit", lambda s, who: s.overrides.clear(who, VVX)),
    "overrides.of_phone": needs("phones:view", lambda s, who: s.overrides.of_phone(who, VVX)),
    "firmware.all": needs("firmware:view", lambda s, who: s.firmware.all(who)),
    "firmware.get": needs("firmware:view", lambda s, who: s.firmware.get(who, "vvx-411", "1.2.3")),
    "firmware.warnings_of_image": needs("firmware:view", lambda s, who: s.firmware.warnings_of_image(who, s.image)),
    "firmware.add": needs("firmware:add", lambda s, who: s.firmware.add(who, s.file, ["vvx-411"], "1.2.4", False)),
    "firmware.add_bytes": needs(
        "firmware:add", lambda s, who: s.firmware.add_bytes(who, BytesIO(b"x"), "f", ["vvx-411"], "1.2.5", False)
    ),
    "firmware.remove": needs("firmware:delete", lambda s, who: s.firmware.remove(who, "vvx-411", "1.2.3")),
    "history.attempts": needs("phones:view", lambda s, who: s.history.attempts(who, VVX, 10)),
    "history.diff": needs("phones:view", lambda s, who: _nothing_given(s.history.diff(who, VVX, "f", NOW, NOW))),
    "history.file": needs("phones:view", lambda s, who: _nothing_given(s.history.file(who, VVX, "f", NOW))),
    "history.given": needs("phones:view", lambda s, who: s.history.given(who, VVX, NOW)),
    "why.explain": needs("phones:view", lambda s, who: s.why.explain(who, VVX)),
    "status_feed.follow": needs("phones:view", lambda s, who: _pushed(s, who), cut=True),
    "phone_status.get": needs("phones:view", lambda s, who: s.phone_status.get(who, VVX)),
    "audit.head": needs("audit:view", lambda s, who: s.audit.head(who)),
    "audit.page": needs("audit:view", lambda s, who: s.audit.page(who)),
    "audit.verify": needs("audit:view", lambda s, who: s.audit.verify(who)),
    "events.page": needs("audit:view", lambda s, who: s.events.page(who)),
    "backups.make": needs("server:maintain", lambda s, who: s.backups.make(who, s.file.with_name("backup"), LOCK)),
    "backups.note_restored": needs("server:maintain", lambda s, who: s.backups.note_restored(who, MANIFEST)),
    "doctor.examine": needs("server:maintain", lambda s, who: s.doctor.examine(who)),
    "keys.show": needs("server:maintain", lambda s, who: s.keys.show(who)),
    "keys.rotate": needs("server:maintain", lambda s, who: s.keys.rotate(who)),
    "keys.rotate_wrapping": needs("server:maintain", lambda s, who: s.keys.rotate_wrapping(who)),
    "jobs.get": needs("jobs:view", lambda s, who: s.jobs.get(who, s.job)),
    "jobs.items": needs("jobs:view", lambda s, who: s.jobs.items(who, s.job)),
    "jobs.stop": needs("jobs:view jobs:stop", lambda s, who: s.jobs.stop(who, s.job)),
    "logged_in.log_out": needs("phones:view phones:restart", lambda s, who: s.logged_in.log_out(who, VVX)),
    "logged_in.log_in": needs("phones:view phones:edit", lambda s, who: s.logged_in.log_in(who, VVX)),
    "logged_in.log_out_many": needs(
        "phones:view phones:restart", lambda s, who: s.logged_in.log_out_many(who, ONE), named=True
    ),
    "restarts.tell": needs("phones:view phones:restart", lambda s, who: s.restarts.tell(who, "restart", VVX, TELLING)),
    "restarts.tell_many": needs(
        "phones:view phones:restart", lambda s, who: s.restarts.tell_many(who, "resync", ONE, TELLING), named=True
    ),
    "restarts.preview": needs(
        "phones:view phones:restart", lambda s, who: s.restarts.preview(who, "restart", ONE, TELLING), named=True
    ),
    "restarts.count": needs("phones:view phones:restart", lambda s, who: s.restarts.count(who, ONE), named=True),
    "phone_bulk.count": needs(
        "phones:view phones:edit", lambda s, who: s.phone_bulk.count(who, ONE, "phones:edit"), named=True
    ),
    "phone_bulk.edit": needs("phones:view phones:edit", lambda s, who: s.phone_bulk.edit(who, ONE, CHANGE), named=True),
    "phone_bulk.preview_edit": needs(
        "phones:view phones:edit", lambda s, who: s.phone_bulk.preview_edit(who, ONE, CHANGE), named=True
    ),
    "phone_bulk.migrate": needs(
        "phones:view phones:edit", lambda s, who: s.phone_bulk.migrate(who, ONE, "vvx-standard", "keep"), named=True
    ),
    "phone_bulk.preview_migration": needs(
        "phones:view phones:edit",
        lambda s, who: s.phone_bulk.preview_migration(who, ONE, "vvx-standard", "keep"),
        named=True,
    ),
    "phone_bulk.open_windows": needs(
        "phones:view phones:approve", lambda s, who: s.phone_bulk.open_windows(who, ONE), named=True
    ),
    "phone_bulk.remove": needs("phones:view phones:delete", lambda s, who: s.phone_bulk.remove(who, ONE), named=True),
    "unknown_phones.page": needs("phones:approve", lambda s, who: _seen(s.unknown_phones.page(who)), cut=True),
    "unknown_phones.get": needs(
        "phones:approve", lambda s, who: _its_mac(s.unknown_phones.get(who, KNOCKED)), cut=True
    ),
    "unknown_phones.deny": needs("phones:approve", lambda s, who: s.unknown_phones.deny(who, KNOCKED), cut=True),
    "unknown_phones.forget": needs("phones:approve", lambda s, who: s.unknown_phones.forget(who, KNOCKED), cut=True),
    "unknown_phones.approve": needs(
        "phones:approve phones:add", lambda s, who: s.unknown_phones.approve(who, KNOCKED, "madrid", "vvx-standard")
    ),
    "unknown_phones.approve_many": needs(
        "phones:approve phones:add",
        lambda s, who: s.unknown_phones.approve_many(who, [KNOCKED], "madrid", "vvx-standard"),
    ),
    "device_cas.all": needs("trust:view", lambda s, who: s.device_cas.all(who)),
    "device_cas.get": needs("trust:view", lambda s, who: _nothing_there(s.device_cas.get(who, "ab" * 32))),
    "device_cas.makers": needs("trust:view", lambda s, who: s.device_cas.makers(who)),
    "device_cas.add": needs("trust:edit", lambda s, who: s.device_cas.add(who, "poly", b"no certificate")),
    "device_cas.remove": needs("trust:edit", lambda s, who: s.device_cas.remove(who, "no hash")),
    "denied_certificates.page": needs("trust:view", lambda s, who: s.denied_certificates.page(who)),
    "denied_certificates.deny": needs("trust:edit", lambda s, who: s.denied_certificates.deny(who, "ab" * 32, "why")),
    "denied_certificates.deny_phone": needs(
        "trust:edit phones:view", lambda s, who: s.denied_certificates.deny_phone(who, VVX, "why")
    ),
    "denied_certificates.allow": needs("trust:edit", lambda s, who: s.denied_certificates.allow(who, "no hash")),
    "approval_rules.page": needs("trust:view", lambda s, who: s.approval_rules.page(who)),
    "approval_rules.get": needs("trust:view", lambda s, who: s.approval_rules.get(who, "lobby")),
    "approval_rules.add": needs(
        "trust:edit phones:approve phones:add", lambda s, who: s.approval_rules.add(who, "new", LOBBY)
    ),
    "approval_rules.edit": needs(
        "trust:edit phones:approve phones:add", lambda s, who: s.approval_rules.edit(who, "lobby", {"most": 2})
    ),
    "approval_rules.remove": needs("trust:edit", lambda s, who: s.approval_rules.remove(who, "lobby")),
    "users.page": needs("users:view", lambda s, who: s.users.page(who)),
    "users.get": needs("users:view", lambda s, who: s.users.get(who, "eva")),
    "users.phones": needs("users:view", lambda s, who: s.users.phones(who, "eva")),
    "users.add": needs("users:add", lambda s, who: s.users.add(who, "new", "")),
    "users.edit": needs("users:edit", lambda s, who: s.users.edit(who, "eva", name="New")),
    "users.remove": needs("users:delete", lambda s, who: s.users.remove(who, "eva")),
    "accounts.page": needs("accounts:view", lambda s, who: s.accounts.page(who)),
    "accounts.get": needs("accounts:view", lambda s, who: s.accounts.get(who, "ana")),
    "accounts.tokens_made": needs("accounts:view", lambda s, who: s.accounts.tokens_made(who, "ana")),
    "accounts.add": needs("accounts:edit", lambda s, who: s.accounts.add(who, "new", "", "short")),
    "accounts.edit": needs("accounts:edit", lambda s, who: s.accounts.edit(who, "ana", name="New")),
    "accounts.set_password": needs("accounts:edit", lambda s, who: s.accounts.set_password(who, "ana", "short")),
    "accounts.remove": needs("accounts:edit", lambda s, who: s.accounts.remove(who, "ana")),
    "roles.all": needs("accounts:view", lambda s, who: s.roles.all(who)),
    "roles.get": needs("accounts:view", lambda s, who: s.roles.get(who, "looker")),
    "roles.add": needs("accounts:edit", lambda s, who: s.roles.add(who, "new", "", ["phones:view"])),
    "roles.edit": needs("accounts:edit", lambda s, who: s.roles.edit(who, "looker", name="New")),
    "roles.remove": needs("accounts:edit", lambda s, who: s.roles.remove(who, "looker")),
    "tokens.page": needs("accounts:view", lambda s, who: s.tokens.page(who)),
    "tokens.get": needs("accounts:view", lambda s, who: s.tokens.get(who, "ci")),
    "tokens.create": needs("accounts:edit", lambda s, who: s.tokens.create(who, "new", [RoleGrant("viewer")])),
    "tokens.revoke": needs("accounts:edit", lambda s, who: s.tokens.revoke(who, "ci")),
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KNOCKED = "0004f2888888"
LOBBY = {"site": "madrid", "base_settings": "vvx-standard", "most": 1}
ONE = Selection((VVX,))
TELLING = Telling()
SIP_USER = {"user": "1002", "domain": "sip.example.net"}
LOCK = SimpleNamespace(lock=lambda: ({}, b"k" * 32))
MANIFEST = Manifest("2026-01-01T00:00:00+00:00", "1", "0007", True, True)
CHANGE = {"settings": {"rtp_port_start": 5000}}

# Methods that take nobody's permission, and why.
FREE = {
    "models.all": "the catalogue stands in the documentation too",
    "models.get": "as above",
    "settings_list.all": "as above",
    "registrar_export.names": "as above",
    "idempotency.begin": "of requests of one's own",
    "idempotency.finish": "as above",
    "idempotency.forget": "as above",
    "jobs.page": "one's own jobs; those of others take jobs:view (tests of jobs)",
    "jobs.submit": "checked by the service that submits",
    "jobs.submit_file": "as above",
    "jobs.submit_in": "as above",
    "jobs.resume": "jobs:stop and all that the job was made with (tests of jobs)",
    "jobs.undo": "as above",
    "logins.logout": "of one's own session",
    "logins.session": "as above",
}


def methods() -> list[str]:
    """Every public method of a service that is told who is asking."""
    found = []
    for field in fields(Services):
        for name, method in inspect.getmembers(get_type_hints(Services)[field.name], inspect.isfunction):
            if not name.startswith("_") and "who" in inspect.signature(method).parameters:
                found.append(f"{field.name}.{name}")
    return found


def test_every_method_of_a_service_says_what_it_takes() -> None:
    assert sorted([*TABLE, *FREE]) == sorted(methods())


def test_every_permission_is_asked_for_by_some_method() -> None:
    asked = {name for row in TABLE.values() for name in row.permissions}
    assert not set(PERMISSIONS) - asked


class Undone(Exception):
    """A change was made, and is taken back: the next call finds everything as it was."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A data folder with a record of each kind, about site madrid."""
    folder = tmp_path_factory.mktemp("permissions")

    async def fill_it() -> dict[str, Any]:
        services = await open_data(new_data(folder / "data"))
        try:
            return await _filled(services, folder)
        finally:
            await services.close()

    return folder / "data", asyncio.run(fill_it())


@pytest.fixture
async def world(prepared: tuple[Path, dict[str, Any]]) -> AsyncIterator[Any]:
    """The services over it, by name, whose changes are never kept."""
    data, records = prepared
    services = await open_data(data)
    real = services.store.write

    @asynccontextmanager
    async def undone() -> AsyncIterator[Session]:
        async with real() as session:
            yield session
            raise Undone

    services.store.write = undone  # type: ignore[method-assign]
    yield SimpleNamespace(**{field.name: getattr(services, field.name) for field in fields(services)}, **records)
    await services.close()


async def _filled(services: Services, folder: Path) -> dict[str, Any]:
    await fill(services)
    await services.sites.add(ADMIN, "lisbon", "Lisbon", {})
    await services.users.add(ADMIN, "eva", "Eva", "1001")
    await services.roles.add(ADMIN, "looker", "", ["phones:view"])
    for name in ("ana", "ben"):
        await services.accounts.add(ADMIN, name, "", PASSWORD)
    await services.tokens.create(ADMIN, "ci", [RoleGrant("viewer")])
    (folder / "image").write_bytes(b"image")
    images = await services.firmware.add(ADMIN, folder / "image", ["vvx-411"], "1.2.3", False)
    desk = Phone("Desk", "", "", "madrid", "", category="unmanaged", lines=(Line("7"),))
    added = await services.phones.add(ADMIN, desk)
    gone = (await services.phones.add(ADMIN, sample_phone("0004f2666666"))).phone
    await services.phones.remove(ADMIN, gone.id)
    job = await services.phone_bulk.edit(ADMIN, ONE, CHANGE)
    await services.approval_rules.add(ADMIN, "lobby", LOBBY)
    await services.platforms.add(ADMIN, "pbx", "", {"domains": "sip.example.net"})
    await services.phone_proofs.open_window(ADMIN, VVX)
    await services.phone_proofs.set_digest(ADMIN, VVX)
    async with services.store.write() as session:
        now = datetime.now(UTC)
        await session.unknown_phones.keep([UnknownPhone(KNOCKED, now, now, "poly", "vvx-411")])
    more = {"desk": added.phone.id, "removed": gone.id, "image": images[0], "file": folder / "image", "job": job.id}
    return more


def _same(phone: Phone) -> Phone:
    return phone


async def _madrid(sites: Any) -> Any:
    return [site for site in await sites if site.id == "madrid"]


async def _nothing_given(answer: Any) -> str:
    """That there is no such file is told to those only who may see the phone."""
    with pytest.raises(NotFound) as refused:
        await answer
    if "given no" not in str(refused.value):
        raise refused.value
    return "nothing"


async def _seen(page: Any) -> str:
    """Unknown phones are of no site yet: whoever approves at some site sees them all."""
    found, _ = await page
    return f"{len(found)} seen"


async def _its_mac(unknown: Any) -> str:
    """One of them is of no site either."""
    return str((await unknown).mac)


async def _nothing_there(answer: Any) -> str:
    """That there is none is told to those only who may know."""
    with pytest.raises(NotFound) as refused:
        await answer
    return str(refused.value)


async def _items(page: Any) -> Any:
    return (await page).items


async def _exported(services: Any, who: Actor) -> list[Any]:
    """The rows of an export, without its header."""
    export = await services.phone_export.export(who, MADRID)
    text = b"".join([part async for part in export.pieces])
    return text.decode().splitlines()[1:]


async def _pushed(services: Any, who: Actor) -> list[Any]:
    """What is pushed of a change at madrid to who comes back after it."""
    feed = services.status_feed
    before = [news async for news in _first(await feed.follow(who))]
    await services.phones.edit(ADMIN, VVX, {"name": f"pushed to {who.name} {id(before)}"}, {})
    return [phone async for news in _first(await feed.follow(who, str(before[0].position))) for phone in news.phones]


async def _first(following: Any) -> AsyncIterator[Any]:
    yield await anext(following)
    await following.aclose()


async def _registered(services: Any, who: Actor) -> int:
    found = await services.registrar_export.export(who, "kamailio", {"hardware_id": VVX}, reason="why")
    return int(found.accounts)


def _allowed(row: Needs, role: str, site: str) -> bool:
    """What the table of permissions says, read by hand: everywhere all of the role; at a site what is about that site,
    and the sight of what all sites share."""

    def holds(permission: str) -> bool:
        if permission not in ROLES[role]:
            return False
        if not site or permission in SHARED_VIEWS:
            return True
        return is_per_site(permission) and not row.everywhere and (site == "madrid" or row.cut)

    return all(map(holds, row.permissions))


async def _outcome(world: Any, row: Needs, who: Actor) -> Any:
    """What a call gives; Forbidden and NotFound as they are; anything else that is refused got past the question."""
    try:
        result = row.call(world, who)
        if hasattr(result, "__aiter__"):
            return [item async for item in result]
        return await result
    except (Forbidden, NotFound) as error:
        return error
    except (Refused, Undone) as error:
        if row.named and isinstance(error, BadValue | ImportRefused):
            return NotFound(str(error))
        return f"got as far as {type(error).__name__}"


@pytest.mark.parametrize("site", ["", "madrid", "lisbon"])
@pytest.mark.parametrize("role", list(ROLES))
async def test_a_role_may_what_the_table_says(world: Any, role: str, site: str) -> None:
    who = Actor(f"token:{role}", granted(ROLES[role], site))
    wrong = []
    for name, row in TABLE.items():
        found = await _outcome(world, row, who)
        expected, allowed = _allowed(row, role, site), not isinstance(found, Forbidden | NotFound)
        cut = row.cut and site == "lisbon" and allowed and not isinstance(found, str)
        if expected != allowed or (cut and found):
            wrong.append(f"{name}: {'refused' if expected else 'allowed'}: {found!r:.200}")
    assert not wrong, "\n".join(wrong)


async def test_somebody_without_a_role_may_nothing(world: Any) -> None:
    outcomes = {name: await _outcome(world, row, Actor("token:none")) for name, row in TABLE.items()}
    assert {name: found for name, found in outcomes.items() if not isinstance(found, Forbidden | NotFound)} == {}
