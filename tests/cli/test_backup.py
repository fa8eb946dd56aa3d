"""A backup is one encrypted file. What is restored is what was there; a file that is not whole is refused."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import MAC, Ztp
from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, World, fill
from tests.services.sealed import everything_opened, seal_everything
from ztp_server.errors import BadValue
from ztp_server.services import sealed_stream
from ztp_server.services.archive import ArchiveReader, ArchiveWriter, Entry, Manifest, is_name
from ztp_server.services.backups import Backups
from ztp_server.services.restore import restore
from ztp_server.services.sealed_stream import Passphrase, SealedReader, SealedWriter
from ztp_server.store.schema import HEAD

WORDS = "correct horse battery"
SECRET = "s3cret"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase costs half a second on purpose; the file says how much work was put in."""
    monkeypatch.setattr(sealed_stream, "_MEMORY_KIB", 64)
    monkeypatch.setattr(sealed_stream, "_ITERATIONS", 2)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "words"
    file.write_text(f"{WORDS}\n")
    return file


@pytest.fixture
def made(office: Callable[..., str], words: Path, tmp_path: Path) -> Path:
    """A backup of the prepared data folder."""
    office("backup", tmp_path / "ztp.backup", "--passphrase-file", words)
    return tmp_path / "ztp.backup"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def test_a_restored_server_gives_phones_the_same_bytes(
    world: World, start: Callable[..., Any], tmp_path: Path, words: Path
) -> None:
    services = world.services
    (tmp_path / "image").write_bytes(os.urandom(200_000))
    await services.firmware.add(ADMIN, tmp_path / "image", ["vvx-411"], "9.9.9.9", False)
    own = world.data / "templates" / "acme" / "files"
    own.mkdir(parents=True)
    (own / "ring.wav").write_bytes(b"ring")
    asked = [(f"{VVX}-settings.cfg", {}), (f"{OTHER_VVX}-settings.cfg", {}), (f"{HD400}.cfg", {"user_agent": HD400_UA})]
    before = [await world.ask(path, **more) for path, more in asked]
    backups: Backups = services.backups
    done = await backups.make(ADMIN, tmp_path / "file", Passphrase(WORDS))
    assert done.left_out == [] and done.size == (tmp_path / "file").stat().st_size
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    # It went on serving; what happened after the backup is not in it.
    await services.phones.edit(ADMIN, VVX, {"name": "After"}, {})
    opened = await everything_of(services)
    listeners = {f"phone_{kind}": listener.address for kind, listener in world.app.listeners.items()}
    await world.app.stop()

    manifest = restore(tmp_path / "file", tmp_path / "again", Passphrase(WORDS))
    assert manifest.schema == HEAD
    assert {name for name in files_in(tmp_path / "again") if name.startswith("firmware/")} == {
        name for name in files_in(world.data) if name.startswith("firmware/")
    }
    for name in ("tls/ca.pem", "secret.key", "templates/acme/files/ring.wav", "certs/poly/test-poly.pem"):
        if (world.data / name).exists():
            assert (tmp_path / "again" / name).read_bytes() == (world.data / name).read_bytes()
    again = await start(tmp_path / "again", **listeners)
    after = [await again.ask(path, **more) for path, more in asked]
    assert [(r.status, r.body, r.headers["ETag"]) for r in after] == [
        (r.status, r.body, r.headers["ETag"]) for r in before
    ]
    restored = await everything_of(again.services)
    assert restored.pop(VVX).name != opened.pop(VVX).name and restored == opened
    async with again.services.store.read() as session:
        assert not (await session.audit.verify()).broken


async def everything_of(services: Any) -> dict[str, Any]:
    return {phone.hardware_id: phone for phone in await services.phones.all(ADMIN)}


async def test_every_secret_opens_after_a_restore(tmp_path: Path, services: Any) -> None:
    from tests.services.opened import open_data

    await seal_everything(services)
    await services.keys.rotate(ADMIN)
    before = await everything_opened(services)
    await services.backups.make(ADMIN, tmp_path / "file", Passphrase(WORDS))
    restore(tmp_path / "file", tmp_path / "again", Passphrase(WORDS))
    again = await open_data(tmp_path / "again")
    assert await everything_opened(again) == before
    await again.close()


async def test_what_was_open_for_a_time_is_closed_by_a_restore(tmp_path: Path, services: Any) -> None:
    """Windows and log-ins of the backup may have been ended since, by those who had a reason to."""
    from tests.services.opened import open_data
    from ztp_server.domain.account import RoleGrant

    await fill(services)
    await services.accounts.add(ADMIN, "ana", "Ana", "a long pass phrase", [RoleGrant("admin")])
    session, _ = await services.logins.login("ana", "a long pass phrase", "192.0.2.7")
    token, _ = await services.tokens.create(ADMIN, "ci", [RoleGrant("viewer")])
    await services.phone_proofs.open_window(ADMIN, VVX)
    steady = await services.phone_proofs.show(ADMIN, VVX)
    await services.backups.make(ADMIN, tmp_path / "file", Passphrase(WORDS))
    restore(tmp_path / "file", tmp_path / "again", Passphrase(WORDS))
    again = await open_data(tmp_path / "again")
    shown = await again.phone_proofs.show(ADMIN, VVX)
    assert steady.has.window and shown.has == replace(steady.has, window=None)
    assert await services.tokens.authenticate(session, "192.0.2.7")
    assert await again.tokens.authenticate(token, "192.0.2.7")
    assert await again.tokens.authenticate(session, "192.0.2.7") is None
    await again.close()


async def test_a_backup_has_the_key_that_opens_it_or_is_none(
    tmp_path: Path, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is rotated after the database was copied: before the key is, or after."""
    await fill(services)
    key = tmp_path / "full" / "secret.key"
    right, wrong = key.read_bytes(), b"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n"
    snapshot, key_of = Backups._snapshot, Backups._key_of

    def then_rotated(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            done = work(*arguments)
            key.write_bytes(wrong)
            return done

        return run

    monkeypatch.setattr(Backups, "_snapshot", then_rotated(snapshot))
    with pytest.raises(BadValue, match="was rotated while the backup was made; try again"):
        await services.backups.make(ADMIN, tmp_path / "file", Passphrase(WORDS))
    assert not any("file" in name or ".backup-" in name for name in files_in(tmp_path))
    key.write_bytes(right)
    monkeypatch.setattr(Backups, "_snapshot", snapshot)
    monkeypatch.setattr(Backups, "_key_of", then_rotated(key_of))
    await services.backups.make(ADMIN, tmp_path / "file", Passphrase(WORDS))
    restore(tmp_path / "file", tmp_path / "again", Passphrase(WORDS))
    assert (tmp_path / "again" / "secret.key").read_bytes() == right


@pytest.fixture
async def services(tmp_path: Path) -> Any:
    from tests.services.opened import new_data, open_data

    opened = await open_data(new_data(tmp_path / "full"))
    yield opened
    await opened.close()


def test_the_command_says_what_it_did_and_the_audit_has_it(
    made: Path, words: Path, ztp: Ztp, done: Callable[..., str], data: Path, tmp_path: Path
) -> None:
    assert SECRET.encode() not in made.read_bytes() and b"SQLite" not in made.read_bytes()
    assert "backup.made" in done("audit", "list")
    assert not [path for path in data.iterdir() if path.name.startswith(".backup")]
    assert ztp("backup", made, "--passphrase-file", words).complaint == f"ztp: {made} is there already"
    new = tmp_path / "new"
    said = done("restore", made, "--passphrase-file", words, ZTP_DATA=str(new))
    assert {new.stat().st_mode & 0o777, (new / "ztp.db").stat().st_mode & 0o677} == {0o700, 0o600}
    assert said.startswith(f"{new} is what it was at 20")
    assert SECRET in done("phone", "preview", MAC, "--reveal", ZTP_DATA=str(new))
    assert "backup.restored" in done("audit", "list", ZTP_DATA=str(new))
    refused = ztp("restore", made, "--passphrase-file", words, ZTP_DATA=str(new))
    assert refused.complaint == f"ztp: {new} is not empty; a backup is restored into an empty folder"


def test_a_passphrase_is_asked_for_twice_and_must_not_be_short(
    office: Callable[..., str], ztp: Ztp, tmp_path: Path
) -> None:
    assert ztp("backup", tmp_path / "f", stdin=f"{WORDS}\n{WORDS}\n").code == 0
    assert (tmp_path / "f").exists()
    short = ztp("backup", tmp_path / "g", stdin="short\nshort\n")
    assert "passphrase: at least 12 characters" in short.err and not (tmp_path / "g").exists()
    assert ztp("restore", tmp_path / "f", stdin=f"{WORDS}\n", ZTP_DATA=str(tmp_path / "n")).code == 0


def test_a_backup_for_a_recipient_cannot_be_read_by_who_made_it(
    office: Callable[..., str], ztp: Ztp, done: Callable[..., str], tmp_path: Path, words: Path
) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    for command in (
        ["genpkey", "-algorithm", "X25519", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    done("backup", tmp_path / "f", "--recipient", public)
    new = {"ZTP_DATA": str(tmp_path / "new")}
    assert "give --identity" in ztp("restore", tmp_path / "f", "--passphrase-file", words, **new).complaint
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", other], check=True, capture_output=True)
    assert "does not open" in ztp("restore", tmp_path / "f", "--identity", other, **new).complaint
    assert "no private key X25519" in ztp("restore", tmp_path / "f", "--identity", public, **new).complaint
    assert "no public key X25519" in ztp("backup", tmp_path / "g", "--recipient", private).complaint
    done("restore", tmp_path / "f", "--identity", private, **new)
    assert SECRET in done("phone", "preview", MAC, "--reveal", **new)


def test_a_data_folder_may_be_named_as_seen_from_here(
    office: Callable[..., str], done: Callable[..., str], data: Path, tmp_path: Path, words: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(data.parent)
    done("backup", "f", "--passphrase-file", words, ZTP_DATA=data.name)
    done("restore", "f", "--passphrase-file", words, ZTP_DATA="new")
    assert SECRET in done("phone", "preview", MAC, "--reveal", ZTP_DATA=str(data.parent / "new"))


def test_the_key_of_a_backup_lies_in_the_folder_wherever_the_servers_is_to_be(
    made: Path, ztp: Ztp, done: Callable[..., str], tmp_path: Path, words: Path
) -> None:
    new, key = tmp_path / "new", tmp_path / "elsewhere.key"
    restored = ztp("restore", made, "--passphrase-file", words, "--secret-key", key, ZTP_DATA=str(new))
    assert restored.code == 0 and f"its key is {new / 'secret.key'}: put it at {key}" in restored.err
    (new / "secret.key").rename(key)
    assert "backup.restored" in done("audit", "list", "--secret-key", key, ZTP_DATA=str(new))


def test_a_backup_without_its_key_says_so_and_opens_with_it(
    office: Callable[..., str], ztp: Ztp, done: Callable[..., str], data: Path, tmp_path: Path, words: Path
) -> None:
    made = ztp("backup", tmp_path / "f", "--passphrase-file", words, "--without-key")
    assert made.code == 0 and f"{data / 'secret.key'} is not in it" in made.err
    new = tmp_path / "new"
    restored = ztp("restore", tmp_path / "f", "--passphrase-file", words, ZTP_DATA=str(new))
    assert restored.code == 0 and f"put it at {new / 'secret.key'}" in restored.err
    assert "missing, and" in ztp("phone", "list", ZTP_DATA=str(new)).complaint
    shutil.copy(data / "secret.key", new)
    assert SECRET in done("phone", "preview", MAC, "--reveal", ZTP_DATA=str(new))


def test_firmware_is_left_out_when_asked_and_what_is_missing_is_named(
    office: Callable[..., str], ztp: Ztp, data: Path, tmp_path: Path, words: Path
) -> None:
    (tmp_path / "image").write_bytes(b"image")
    office("firmware", "add", tmp_path / "image", "--model", "vvx-411", "--version", "1.2.3.4")
    (image,) = (data / "firmware").iterdir()
    assert ztp("backup", tmp_path / "f", "--passphrase-file", words, "--without-firmware").err == ""
    assert not any("firmware" in name for name in restored_names(tmp_path / "f", tmp_path / "one"))
    image.unlink()
    assert ztp("backup", tmp_path / "g", "--passphrase-file", words).err == f"warning: left out: {image}: is missing\n"


def restored_names(file: Path, to: Path) -> set[str]:
    restore(file, to, Passphrase(WORDS))
    return files_in(to)


def test_postgresql_is_left_to_its_own_tools(office: Callable[..., str], data: Path, tmp_path: Path) -> None:
    import asyncio

    from ztp_server.errors import Misconfigured
    from ztp_server.services.backups import Backups, Folders

    class Elsewhere:
        class database:
            is_sqlite = False

    backups = Backups(Elsewhere(), Folders(data, data, data))  # type: ignore[arg-type]
    with pytest.raises(Misconfigured, match="pg_dump"):
        asyncio.run(backups.make(ADMIN, tmp_path / "f", Passphrase(WORDS)))


# ---- files that are not whole, or not ours --------------------------------------------------------------------------


def refusal(file: Path, to: Path, words: str = WORDS) -> str:
    """Why a file is refused; nothing is left of it."""
    there = set(to.parent.iterdir())
    with pytest.raises(BadValue) as refused:
        restore(file, to, Passphrase(words))
    assert set(to.parent.iterdir()) == there and not to.exists()
    assert refused.value.field == "file"
    return refused.value.reason


def test_a_file_that_was_cut_off_changed_or_made_by_others_is_refused_by_name(made: Path, tmp_path: Path) -> None:
    whole, file, to = made.read_bytes(), tmp_path / "bad", tmp_path / "new"
    start = whole.index(b"\n", 20) + 1
    piece = 64 * 1024 + 16
    assert len(whole) > start + 3 * piece

    def said(content: bytes) -> str:
        file.write_bytes(content)
        return refusal(file, to)

    assert said(b"") == said(b"PK\x03\x04 something else") == "is no backup of ztp"
    assert said(whole[:10]) == "is no backup of ztp"
    assert "upgrade ztp" in said(whole.replace(b"ztp backup 1", b"ztp backup 2", 1))
    for beginning in (whole[:40], whole[:13] + b"{}\n", whole[:13] + b"[" * 3000 + b"\n", whole[:13] + b"x" * 5000):
        assert said(beginning) == "is damaged at its beginning"
    assert "ends in the middle" in said(whole[:start])
    # Between two pieces, in the middle of one, within the last.
    assert said(whole[: start + 2 * piece]) == "is cut off: its end is missing"
    for length in (start + 2 * piece + 100, len(whole) - 1):
        assert "is damaged in the 64 KiB after byte" in said(whole[:length]) and "cut off" in said(whole[:length])
    for place in (start, start + piece + 5, start + 2 * piece + piece - 1, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        assert "damaged" in said(bytes(flipped))
    pieces = [whole[n : n + piece] for n in range(start, len(whole), piece)]
    for order in ([1, 0], [0, 0], [0, 2], [0, 1, 1]):
        mixed = [pieces[n] for n in order] + pieces[len(order) :]
        assert "damaged" in said(whole[:start] + b"".join(mixed))
    assert "damaged" in said(whole + b"x") and "damaged" in said(whole + pieces[-1])
    greedy = whole[:start].replace(b'"memory": 64', b'"memory": 99999999')
    assert greedy != whole[:start] and "asks for more memory" in said(greedy + whole[start:])
    assert "damaged" in said(whole[:start].replace(b'"iterations": 2', b'"iterations": 3') + whole[start:])
    file.write_bytes(whole)
    assert "another passphrase" in refusal(file, to, "another passphrase")
    assert restore(file, to, Passphrase(WORDS)).schema == HEAD


MANIFEST = Manifest("2026-01-01T00:00:00+00:00", "1", HEAD, False, True)


def archive(file: Path, entries: dict[str, bytes], manifest: Manifest = MANIFEST, end: int | None = None) -> Path:
    """A file that somebody made who knows the passphrase, with any names."""
    with file.open("wb") as out:
        sealed = SealedWriter(out, Passphrase(WORDS))
        writer = ArchiveWriter(sealed, manifest)
        for name, content in entries.items():
            writer._line({"name": name, "size": len(content)})
            sealed.write(content)
        writer._line({"end": len(entries) if end is None else end})
        sealed.finish()
    return file


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "tls/../../evil", "/etc/passwd", "tls//x", "tls/./x", "tls", "tls/", "", ".", "evil", "ztp.db/x",
        "firmware/x", "firmware/" + "a" * 63, "firmware/../" + "a" * 64, "templates/a\\..\\b", "tls/a\x00b", "tls/a\nb",
        "demo/x", "secret.key ", "templates/" + "/".join("a" * 20), "templates/" + "n" * 256, "ZTP.DB", "tls/\x7f",
    ],
)  # fmt: skip
def test_an_entry_that_would_lie_elsewhere_is_refused_before_it_is_written(name: str, tmp_path: Path) -> None:
    assert not is_name(name)
    (tmp_path / "deep").mkdir()
    file = archive(tmp_path / "file", {"tls/ca.pem": b"x", name: b"evil"})
    assert "an entry that no backup of ours has" in refusal(file, tmp_path / "deep" / "new")
    assert files_in(tmp_path) == {"file"}


def test_what_is_in_a_restored_file_must_fit_together(made: Path, data: Path, tmp_path: Path) -> None:
    to, file = tmp_path / "new", tmp_path / "bad"
    with closing(sqlite3.connect(data / "ztp.db")) as database:
        database.execute("VACUUM INTO ?", (str(tmp_path / "plain.db"),))
    good, key = (tmp_path / "plain.db").read_bytes(), (data / "secret.key").read_bytes()

    def said(entries: dict[str, bytes], **more: Any) -> str:
        return refusal(archive(file, entries, Manifest(**{**MANIFEST.__dict__, **more})), to)

    assert said({}) == "has no ztp.db"
    assert "file is not a database" in said({"ztp.db": b"x" * 10_000})
    assert "no such table" in said({"ztp.db": b""})
    assert said({"ztp.db": good[: len(good) // 2]}).startswith("ztp.db in it: ")
    assert "a newer one; upgrade ztp" in said({"ztp.db": good}, schema="9999")
    assert "is of schema" in said({"ztp.db": good}, schema="0006")
    assert "has other bytes" in said({"ztp.db": good, "firmware/" + "a" * 64: b"x"})
    assert "does not open ztp.db" in said({"ztp.db": good, "secret.key": b"a2tra" * 8 + b"a2s=\n"}, with_key=True)
    assert "does not end" in refusal(archive(file, {"ztp.db": good}, end=2), to)
    assert "no backup of ours" in refusal(doubled(file), to)
    restore(archive(file, {"ztp.db": good, "secret.key": key}), to, Passphrase(WORDS))
    assert files_in(to) == {"ztp.db", "secret.key"}


def doubled(file: Path) -> Path:
    with file.open("wb") as out:
        sealed = SealedWriter(out, Passphrase(WORDS))
        writer = ArchiveWriter(sealed, MANIFEST)
        for _ in range(2):
            writer._line({"name": "tls/ca.pem", "size": 0})
        writer.finish()
    return file


def test_a_folder_that_is_there_and_empty_is_filled_a_mounted_one_too(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    restore(made, tmp_path / "empty", Passphrase(WORDS))
    monkeypatch.setattr(Path, "is_mount", lambda self: True)
    (tmp_path / "mounted").mkdir()
    inode = (tmp_path / "mounted").stat().st_ino
    restore(made, tmp_path / "mounted", Passphrase(WORDS))
    assert files_in(tmp_path / "mounted") == files_in(tmp_path / "empty")
    assert (tmp_path / "mounted").stat().st_ino == inode


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])
def test_a_stream_of_any_length_comes_back_in_pieces_of_any_size(size: int) -> None:
    out, content = io.BytesIO(), os.urandom(size)
    key = Cheap("twelve letters")
    writer = SealedWriter(out, key)
    for start in range(0, size, 10_007):
        writer.write(content[start : start + 10_007])
    writer.finish()
    reader = SealedReader(io.BytesIO(out.getvalue()), key)
    found = b"".join(reader.read(min(7_919, size - n)) for n in range(0, size, 7_919))
    assert found == content
    with pytest.raises(BadValue):
        reader.read(1)
    assert size == 0 or reader.at_end()


class Cheap(Passphrase):
    def lock(self) -> tuple[dict[str, Any], bytes]:
        return {}, b"k" * 32

    def unlock(self, header: Any) -> bytes:
        return b"k" * 32


def test_entries_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    key, out = Cheap("twelve letters"), io.BytesIO()
    (tmp_path / "x").write_bytes(b"content")
    writer = ArchiveWriter(SealedWriter(out, key), MANIFEST)
    writer.add("tls/ä & b.pem", tmp_path / "x")
    writer.finish()
    reader = ArchiveReader(SealedReader(io.BytesIO(out.getvalue()), key))
    entries, back = [], io.BytesIO()
    for entry in reader.entries():
        entries.append(entry)
        reader.copy(entry, back)
    assert entries == [Entry("tls/ä & b.pem", 7)] and back.getvalue() == b"content"
