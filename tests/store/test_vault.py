"""The sealing of single values, and the file with the key outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from ztp_server.domain.text import is_unreadable, reason_unreadable
from ztp_server.errors import Damaged, Misconfigured
from ztp_server.store.key_file import KeyFile, wrap
from ztp_server.store.key_ring import ForeignKeyError, KeyRing
from ztp_server.store.vault import Vault

SECRET = "p<a\"s&s'%41;#= é😀"


def new_vault(folder: Path, keys: int = 2) -> Vault:
    file = KeyFile(folder / "secret.key")
    key = file.load_or_make()
    wrapped = {number: wrap(key, number, bytes([number]) * 32) for number in range(1, keys + 1)}
    return Vault(KeyRing(file, wrapped, dict), lambda name: name == "pin")


def test_a_value_opens_in_its_place_and_says_under_which_key_it_is(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    sealed = vault.seal(SECRET, "lines/a/1")
    assert sealed.startswith("v2:2:") and SECRET not in sealed and vault.seal(SECRET, "lines/a/1") != sealed
    assert vault.open(sealed, "lines/a/1") == SECRET and vault.open("", "lines/a/1") == vault.seal("", "x") == ""
    for other in ("lines/a/2", "lines/b/1", ""):
        with pytest.raises(Damaged, match="^" + (other or ": ")):
            vault.open(sealed, other)
    other_keys = [sealed.replace("v2:2:", "v2:1:"), sealed.replace("v2:2:", "v1:"), sealed[:-4], sealed + "AAAA"]
    none = ["v2:", "v2::", "v2:0:AAAA", "v2:x:AAAA", "v1:", "plain", "v2:2:" + "!" * 40, "v3:2:AAAA", "\n"]
    for damaged in other_keys + none:
        with pytest.raises(Damaged, match="does not open with"):
            vault.open(damaged, "lines/a/1")
    with pytest.raises(Damaged, match="data key 9 is not here"):
        vault.open(sealed.replace("v2:2:", "v2:9:"), "lines/a/1")


def test_settings_that_do_not_open_leave_the_others_readable_and_are_told_of_once(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    sealed = vault.seal_settings({"pin": SECRET, "empty": "", "port": 5060}, "sites/a")
    assert sealed["port"] == 5060 and set(sealed["pin"]) == {"sealed"}
    assert vault.open_settings(sealed, "sites/a") == {"pin": SECRET, "empty": "", "port": 5060}
    for _ in range(2):
        moved = vault.open_settings(sealed, "sites/b")
        assert moved["port"] == 5060 and is_unreadable(moved["pin"])
        assert reason_unreadable(moved["pin"]).startswith("sites/b/pin: does not open") and SECRET not in moved["pin"]
    assert list(vault.take_damaged()) == ["sites/b/pin"]
    vault.open_settings(sealed, "sites/b")
    assert vault.take_damaged() == {}


def test_a_key_that_is_not_the_one_that_wrapped_is_told_from_one_that_is_none(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "secret.key")
    wrapped = {1: wrap(file.load_or_make(), 1, b"k" * 32)}
    assert file.unwrap(wrapped) == {1: b"k" * 32}
    assert file.unwrap({2: wrapped[1]}) is None, "a wrapped key is bound to its id"
    (tmp_path / "secret.key").write_bytes(b"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n")
    with pytest.raises(ForeignKeyError):
        KeyRing(file, wrapped, dict)
    (tmp_path / "secret.key").write_bytes(b"nonsense")
    with pytest.raises(Misconfigured, match="not a key"):
        KeyRing(file, wrapped, dict)
    (tmp_path / "secret.key").unlink()
    with pytest.raises(Misconfigured, match="No such file"):
        KeyRing(file, wrapped, dict)


def test_a_credential_of_systemd_is_let_be_read_by_its_group_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An access list shows in the group's bits (systemd.exec(5))."""
    file = KeyFile(tmp_path / "secret.key")
    key = file.load_or_make()
    file.path.chmod(0o440)
    with pytest.raises(Misconfigured, match="others may read it; run: chmod 600"):
        file.load_or_make()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert file.load_or_make() == key
    file.path.chmod(0o444)
    with pytest.raises(Misconfigured, match="others may read it"):
        file.load_or_make()
