"""What the doctor says of an installation that is kept well, and of one with a single thing wrong."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HOSTILE_NAME, OTHER_VVX, VVX
from tests.services.well_kept import Place, Well, ago, of, said, stored
from ztp_server.domain.account import RoleGrant
from ztp_server.pki.authority import make_device_authority
from ztp_server.services.doctor import CHECKS
from ztp_server.store.key_file import KeyFile

ADVISED = {"server"}  # it was stopped


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


async def test_one_that_is_kept_well_has_nothing_above_advice_and_is_not_touched(place: Place) -> None:
    before = contents(place.folder)

    found = await place.examine()

    assert {name for name, _ in said(found)} == ADVISED and found.level == "advice"
    assert [check.skipped for check in found.checks if check.skipped] == []
    assert all(check.findings for check in found.checks) and len(found.checks) == len(CHECKS) >= 30
    assert contents(place.folder) == before


@dataclass(frozen=True)
class Spoiled:
    """One thing wrong, and what is to be said of it: by which check, how badly, in which words, with which advice."""

    check: str
    level: str
    what: str
    advice: str
    spoil: Callable[[Place], Any] = lambda place: None
    machine: Well = field(default_factory=Well)
    serving: dict[str, Any] = field(default_factory=dict)
    # Other checks that the same thing touches.
    also: frozenset[str] = frozenset()
    later: timedelta = timedelta()

    def __str__(self) -> str:
        return f"{self.check}: {self.what}"


def write(path: Path, text: str = "x", mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


async def with_services(place: Place, work: Callable[[Any], Awaitable[Any]]) -> None:
    services = await place.open()
    try:
        await work(services)
    finally:
        await services.close()


def services(work: Callable[[Any], Awaitable[Any]]) -> Callable[[Place], Awaitable[None]]:
    """Spoils by what the services themselves do."""
    return lambda place: with_services(place, work)


def event(action: str, reason: str = "", **span: float) -> Callable[[Place], None]:
    statement = "INSERT INTO events (at, actor, action, subject, detail) VALUES (?, 'server', ?, ?, ?)"
    return lambda place: place.sql(statement, stored(ago(**span)), action, HOSTILE_NAME, f'{{"reason": "{reason}"}}')


def copy_ca(place: Place) -> None:
    demo = place.data / "demo" / "certs" / "poly"
    make_device_authority(demo, "demo-poly-ca")
    shutil.copy(demo / "demo-poly-ca.pem", place.certs / "poly" / "mine.pem")


def damage_file(place: Place) -> None:
    database = bytearray((place.data / "ztp.db").read_bytes())
    for page in range(20, 60):
        database[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    (place.data / "ztp.db").write_bytes(database)


def crowd(place: Place) -> None:
    place.sql("UPDATE sites SET proofs = '[\"network\"]', networks = '[\"192.0.2.0/24\"]'")
    for number in range(9):
        place.sql(
            "INSERT INTO unknown_phones (mac, vendor, model, firmware, address, certificate, certified, files,"
            " first_at, last_at, count, denied_by, why)"
            " VALUES (?, '', '', '', '192.0.2.9', '', '', '[]', ?, ?, 1, '', '')",
            f"0004f200000{number}", stored(ago(hours=1)), stored(ago(hours=1)),
        )  # fmt: skip


def open_window(place: Place) -> None:
    place.sql(
        "INSERT INTO provisioning_windows (phone_id, opened_by, opened_at, until, address)"
        " SELECT id, 'test', ?, ?, '' FROM phones WHERE hardware_id = ?",
        stored(ago(days=2)), stored(ago(days=-2)), VVX,
    )  # fmt: skip


def show_denied(place: Place) -> None:
    sha256 = "ab" * 32
    place.sql("INSERT INTO denied_certificates VALUES (?, 'CN=stolen', '', 'test', ?)", sha256, stored(ago(days=9)))
    place.sql(
        "INSERT INTO check_in_runs (hardware_id, file, first_at, last_at, count, status, reason, etag, address,"
        " listener, proof, certificate, firmware, milliseconds, made_of)"
        " VALUES (?, 'f', ?, ?, 1, 404, '', '', '192.0.2.7', 'mtls', '', ?, '', 1, '{}')",
        VVX, stored(ago(hours=1)), stored(ago(hours=1)), sha256,
    )  # fmt: skip


def job(state: str, created: datetime, finished: datetime | None = None) -> Callable[[Place], None]:
    return lambda place: place.sql(
        'INSERT INTO jobs (id, kind, state, actor, grants, "order", total, done, failed, summary, reason, stop,'
        " undoes, owner, lease_until, created_at, finished_at)"
        " VALUES ('11aa', 'phone.edit', ?, 'test', '[]', ?, 1, 0, 0, '{}', 'a reason', 0, '', '', NULL, ?, ?)",
        state, '{"sealed": ""}', stored(created), stored(finished) if finished else None,
    )  # fmt: skip


def rewrite(place: Place, statement: str) -> None:
    """Change the audit, as who has the file can."""
    place.sql("DROP TRIGGER audit_no_update")
    place.sql("DROP TRIGGER audit_no_delete")
    place.sql(statement)


def image(place: Place) -> None:
    place.sql("INSERT INTO firmware VALUES ('vvx-411', '6.4.0', ?, 10, 'f.ld', 0)", "cd" * 32)


def rule(place: Place) -> None:
    place.sql(
        "INSERT INTO approval_rules (id, site_id, base_settings_id, networks, proof, most, approved, until, created_by,"
        " revision) VALUES ('floor', 'madrid', 'vvx-standard', '[]', 'network', 5, 0, NULL, 'test', 1)"
    )


LEGACY = {"listeners": {"legacy": "127.0.0.1:1"}, "legacy_networks": ("10.9.0.0/24",), "legacy_until": "2031-01-01"}
EXPIRED = {"listeners": {"expired": "127.0.0.1:1"}, "expired_networks": ("0.0.0.0/0",)}
DAY = datetime.now(UTC).date()

SPOILED = (
    Spoiled("server", "failure", "answers nowhere, and nobody stopped it", "journalctl", serving={"stopped_at": ""}),
    Spoiled("admin-door", "warning", "in the clear", "HTTPS proxy", serving={"listeners": {"admin": "0.0.0.0:8000"}}),
    Spoiled("legacy-listener", "warning", "in 30 days", "--legacy-until",
            serving={**LEGACY, "legacy_until": str(DAY + timedelta(days=30))}),
    Spoiled("legacy-listener", "failure", "is over", "replace these phones",
            serving={**LEGACY, "legacy_until": str(DAY - timedelta(days=1))}),
    Spoiled("legacy-listener", "warning", "10.0.0.0/8", "name the networks",
            serving={**LEGACY, "legacy_networks": ("10.0.0.0/8",)}),
    Spoiled("expired-listener", "warning", "0.0.0.0/0", "name the networks", serving=EXPIRED),
    Spoiled("proxies", "warning", "10.0.0.0/8", "name the networks", serving={"trusted_proxies": ("10.0.0.0/8",)}),
    Spoiled("open-files", "warning", "1024 files", "LimitNOFILE", serving={"files": 1024}),
    Spoiled("data-folder", "failure", "may write there (mode 770)", "chmod 700", lambda p: p.data.chmod(0o770)),
    Spoiled("data-folder", "warning", "may read the database", "chmod 700", lambda p: p.data.chmod(0o705)),
    Spoiled("data-folder", "advice", "the group", "chmod 700", lambda p: p.data.chmod(0o750)),
    Spoiled("secret-key", "failure", "others may read it", "chmod 600", lambda p: p.key.chmod(0o640),
            also=frozenset({"data-keys"})),
    Spoiled("secret-key", "failure", "missing", "docs/how-to/keys.md", lambda p: p.key.unlink(),
            also=frozenset({"data-keys"})),
    Spoiled("data-keys", "failure", "not the key of", "put back",
            lambda p: (p.key.unlink(), KeyFile(p.key).load_or_make())),
    Spoiled("data-keys", "warning", "was cut off", "ztp key rotate",
            lambda p: p.sql("INSERT INTO meta VALUES ('key rotation', '2')")),
    Spoiled("data-keys", "warning", "was cut off", "ztp key rotate --wrapping",
            lambda p: shutil.copy(p.key, p.folder / ".secret.key.new")),
    Spoiled("tls-keys", "failure", "other users may read", "chmod 600",
            lambda p: (p.data / "tls" / "server.key").chmod(0o644)),
    Spoiled("tls-keys", "failure", "do not belong together", "right pair",
            lambda p: shutil.copy(p.data / "tls" / "ca.pem", p.data / "tls" / "server.pem"),
            also=frozenset({"server-certificate"})),
    Spoiled("own-folders", "failure", "decide what phones are sent", "chmod -R go-w",
            lambda p: (p.data / "templates").chmod(0o777)),
    Spoiled("own-folders", "failure", "decide whose certificates", "chmod -R go-w",
            lambda p: (p.certs / "poly" / "test-poly.pem").chmod(0o666)),
    Spoiled("own-folders", "warning", "private key of a CA", "take it away",
            lambda p: shutil.copy(p.folder / "poly-ca.key", p.certs / "poly" / "ca.key")),
    Spoiled("templates", "warning", "poly/vvx/family.toml:", "ztp templates check",
            lambda p: write(p.data / "templates" / "poly" / "vvx" / "family.toml", "nonsense = [")),
    Spoiled("own-ca", "failure", "ended on", "every phone", later=timedelta(days=365 * 25),
            also=frozenset({"server-certificate", "makers-cas", "backup"})),
    Spoiled("server-certificate", "failure", "phones.example.org", "restart",
            serving={"urls": {"https": "https://phones.example.org:1/"}}),
    Spoiled("admin-certificate", "failure", "missing", "--admin-certificate",
            serving={"admin_tls": True, "admin_certificate": "/nowhere.pem", "admin_key": "/nowhere.key"}),
    Spoiled("makers-cas", "failure", "broken.pem", "mend", lambda p: write(p.certs / "poly" / "broken.pem"),
            also=frozenset({"demo-cas", "changed-cas"})),
    Spoiled("makers-cas", "advice", "no CA of a maker counts", "ztp ca list", lambda p: shutil.rmtree(p.certs),
            also=frozenset({"changed-cas"})),
    Spoiled("demo-cas", "failure", "mine.pem is a CA of the demonstration", "rm ", copy_ca,
            also=frozenset({"changed-cas"})),
    Spoiled("changed-cas", "warning", "trusted from now on", "ztp audit list",
            lambda p: shutil.copy(make_device_authority(p.folder, "x")[0], p.certs / "poly" / "x.pem")),
    Spoiled("clock", "failure", "newest of the events", "timedatectl",
            lambda p: p.sql("INSERT INTO events (at, actor, action, subject, detail) VALUES (?, '', 'x', '', '{}')",
                            stored(ago(days=-1)))),
    Spoiled("clock", "failure", "this program was put here", "timedatectl", later=-timedelta(days=365 * 30),
            also=frozenset({"own-ca", "server-certificate", "makers-cas"})),
    Spoiled("time-sync", "warning", "nothing keeps the clock", "chrony", machine=Well(synchronized=False)),
    Spoiled("time-sync", "advice", "cannot be told", "timedatectl", machine=Well(synchronized=None)),
    Spoiled("disk", "failure", "only 1 MB", "make room", machine=Well(free=1 << 20)),
    Spoiled("disk", "warning", "300 MB", "make room", machine=Well(free=300 << 20)),
    Spoiled("disk", "failure", "no more than 7 files", "small files", machine=Well(files=7)),
    Spoiled("database-log", "warning", "65 MB", "fuser", lambda p: os.truncate(log(p), 65 << 20)),
    Spoiled("sealed-values", "failure", "lines/", "ztp key rotate",
            lambda p: p.sql("UPDATE lines SET password = 'v2:1:AAAA' WHERE user = '1001'")),
    Spoiled("audit", "failure", "record 2 of the audit was changed", "ztp audit verify",
            lambda p: rewrite(p, "UPDATE audit SET subject = 'x' WHERE seq = 2")),
    Spoiled("audit", "failure", "is missing", "ztp audit verify",
            lambda p: rewrite(p, "DELETE FROM audit WHERE seq = 3")),
    Spoiled("backup", "warning", "never a backup", "ztp backup",
            lambda p: p.sql("DELETE FROM meta WHERE name = 'last backup'")),
    Spoiled("backup", "warning", "3 days old", "ztp backup", later=timedelta(days=3, minutes=5)),
    Spoiled("backup", "failure", "15 days old", "ztp backup", later=timedelta(days=15, minutes=5)),
    Spoiled("backup", "advice", "without the key", "kept elsewhere",
            services(lambda s: without_key(s))),
    Spoiled("accounts", "warning", "none of 1 accounts", "ztp account add",
            lambda p: p.sql("UPDATE accounts SET enabled = 0")),
    Spoiled("accounts", "advice", "no account", "ztp account add", lambda p: p.sql("DELETE FROM accounts")),
    Spoiled("tokens", "advice", "never end: ci", "ztp token revoke",
            services(lambda s: s.tokens.create(ADMIN, "ci", [RoleGrant("viewer")], None))),
    Spoiled("tokens", "advice", "were not used for 180 days: ci", "ztp token revoke",
            services(lambda s: s.tokens.create(ADMIN, "ci", [RoleGrant("viewer")])), later=timedelta(days=200),
            also=frozenset({"backup"})),
    Spoiled("tokens", "advice", "are over for long: ci", "ztp token revoke",
            services(lambda s: s.tokens.create(ADMIN, "ci", [RoleGrant("viewer")], timedelta(hours=1))),
            later=timedelta(days=40), also=frozenset({"backup"})),
    Spoiled("demo", "warning", "as if it were real", "site demo",
            lambda p: p.sql("INSERT INTO meta VALUES ('demo', '1')")),
    Spoiled("demo", "advice", "started with --demo", "without --demo", serving={"demo": True}),
    Spoiled("jobs", "warning", "11aa (phone.edit) is queued", "ztp job resume", job("queued", ago(hours=1))),
    Spoiled("jobs", "warning", "11aa (phone.edit) is running", "ztp job resume", job("running", ago(hours=1))),
    Spoiled("jobs", "advice", "failed: a reason", "ztp job show", job("failed", ago(hours=2), ago(hours=1))),
    Spoiled("firmware", "failure", "is missing", "ztp firmware remove", image),
    Spoiled("firmware", "failure", "is damaged", "ztp firmware remove",
            lambda p: (image(p), write(p.data / "firmware" / ("cd" * 32)))),
    Spoiled("firmware", "advice", "no firmware is known", "rm", lambda p: write(p.data / "firmware" / ("ef" * 32))),
    Spoiled("sites", "advice", "every private address", "ztp site edit madrid",
            services(lambda s: s.sites.edit(ADMIN, "madrid", None, {
                "proofs": "network", "networks": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"}))),
    Spoiled("sites", "failure", "who comes from 0.0.0.0/0", "ztp site edit madrid",
            services(lambda s: s.sites.edit(ADMIN, "madrid", None, {"proofs": "network", "networks": "0.0.0.0/0"}))),
    Spoiled("sites", "failure", "who comes from 8.0.0.0/8", "ztp site edit madrid",
            services(lambda s: s.sites.edit(ADMIN, "madrid", None, {"proofs": "network", "networks": "8.0.0.0/8"}))),
    Spoiled("plain-http", "advice", "madrid", "plain_secrets=off",
            services(lambda s: s.sites.edit(ADMIN, "madrid", None, {"plain_secrets": "on"}))),
    Spoiled("shared-addresses", "warning", "9 phones came from 192.0.2.9", "--trusted-proxies", crowd),
    Spoiled("shared-addresses", "warning", "9 phones came from 192.0.2.9", "X-Forwarded-For", crowd,
            serving={"trusted_proxies": ("192.0.2.9/32",)}),
    Spoiled("blocked", "advice", OTHER_VVX, "ztp phone unblock",
            lambda p: p.sql("UPDATE phones SET proofs = '[]' WHERE hardware_id = ?", OTHER_VVX)),
    Spoiled("windows", "warning", VVX, "ztp phone window close", open_window),
    Spoiled("approval-rules", "advice", "floor (proof network)", "ztp approval-rule edit", rule),
    Spoiled("denied-certificates", "warning", "192.0.2.7", "look for that phone", show_denied),
    Spoiled("events", "warning", "enumeration.suspected", "docs/how-to/limits.md", event("enumeration.suspected")),
    Spoiled("events", "failure", "secret.damaged", "docs/how-to/keys.md", event("secret.damaged", "why")),
    Spoiled("events", "warning", "20 log-ins", "ztp audit list",
            services(lambda s: failed_logins(s))),
)  # fmt: skip


def log(place: Place) -> Path:
    """The write-ahead log, empty."""
    path = place.data / "ztp.db-wal"
    path.touch()
    return path


async def without_key(services: Any) -> None:
    async with services.store.write() as session:
        await session.audit.add(ADMIN, "backup.made", "b", after={"with_key": False})


async def failed_logins(services: Any) -> None:
    async with services.store.write() as session:
        await session.audit.add(ADMIN, "login.failed", "account:ana", after={"failures": 20})


@pytest.mark.parametrize("case", SPOILED, ids=str)
async def test_what_is_spoiled_is_found_alone_with_what_to_do(place: Place, case: Spoiled) -> None:
    done = case.spoil(place)
    if isinstance(done, Awaitable):
        await done

    found = await place.examine(case.machine, datetime.now(UTC) + case.later, **case.serving)

    told = [one for one in of(found, case.check) if one.level == case.level and case.what in one.what]
    assert told and case.advice in told[0].advice, of(found, case.check)
    others = {name for name, _ in said(found)} - {case.check} - case.also - ADVISED
    assert not others, said(found)
    assert (found.level == "failure") is any(one.level == "failure" for _, one in said(found))
