"""The key that lies outside the database, and what it wraps: the data keys inside.

A new one is written beside the old one, then the data keys are wrapped anew in one transaction, then it takes the old
one's place. Whenever that is cut off, one of the two files opens the database.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ztp_server.errors import Conflict, Misconfigured

KEY_FILE = "secret.key"
KEY_BYTES = 32
NONCE_BYTES = 12
_WRAPPED = "w1:"


class KeyFile:
    """A file of 32 bytes in base64 that nobody else may read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new = path.with_name(f".{path.name}.new")

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def load_or_make(self) -> bytes:
        """The key, made at first use. Raises Misconfigured when others may read it or it is damaged."""
        try:
            if not self.path.exists():
                self._make()
        except OSError as error:
            raise Misconfigured(f"{self.path}: {error.strerror}") from None
        return _read(self.path)

    def unwrap(self, wrapped: Mapping[int, str]) -> dict[int, bytes] | None:
        """The data keys by id, None when this is not the key that wrapped them. One that was left beside by a rotation
        that was cut off takes its place. Raises Misconfigured."""
        found = _opened(self.path, wrapped)
        if found is None and self._new.exists():
            found = _opened(self._new, wrapped)
            # While a rotation goes on, it does that itself.
            with suppress(Conflict, OSError), self.locked():
                self.settle(wrapped)
        return found

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one at a time changes the file. Raises Conflict while another does, and Misconfigured."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise Misconfigured(f"{self.path.parent}: {error.strerror}") from None
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(f"{self.path}: is being rotated already") from None
            yield
        finally:
            os.close(folder)

    def settle(self, wrapped: Mapping[int, str]) -> None:
        """End a rotation that was cut off: let the key beside take this one's place if it is the one that opens. Within
        `locked`."""
        if self._new.exists() and _opened(self.path, wrapped) is None and _opened(self._new, wrapped) is not None:
            self.take_new()

    def put_beside(self) -> bytes:
        """Make a new key beside this one, durably. Within `locked`. Raises Misconfigured."""
        key = secrets.token_bytes(KEY_BYTES)
        try:
            self._new.unlink(missing_ok=True)
            _write(self._new, key)
            _sync(self.path.parent)
        except OSError as error:
            raise Misconfigured(f"{self._new}: {error.strerror}; the key is rotated where it can be written") from None
        return key

    def take_new(self) -> None:
        """Let the key beside take this one's place, once it wraps the data keys durably. Within `locked`."""
        os.replace(self._new, self.path)
        _sync(self.path.parent)

    def _make(self) -> None:
        """Write the key under another name first, so that a half-written key never exists; the first of two wins."""
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        _write(new, secrets.token_bytes(KEY_BYTES))
        try:
            os.link(new, self.path)
        except FileExistsError:
            pass
        finally:
            new.unlink()


def wrap(key: bytes, key_id: int, data_key: bytes) -> str:
    """A data key as its row has it."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(_wrapping(key)).encrypt(nonce, data_key, _place(key_id))
    return _WRAPPED + base64.b64encode(nonce + sealed).decode()


def derived(key: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose (HKDF, RFC 5869)."""
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose).derive(key)


def _opened(path: Path, wrapped: Mapping[int, str]) -> dict[int, bytes] | None:
    key = _read(path)
    with suppress(InvalidTag):
        return {key_id: _unwrap(key, key_id, text) for key_id, text in wrapped.items()}
    return None


def _unwrap(key: bytes, key_id: int, text: str) -> bytes:
    """Raises InvalidTag, also for what was never wrapped."""
    try:
        data = base64.b64decode(text.removeprefix(_WRAPPED), validate=True)
        return AESGCM(_wrapping(key)).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _place(key_id))
    except ValueError:
        raise InvalidTag from None


def _wrapping(key: bytes) -> bytes:
    # The key of a database of before data keys is its first data key as well, and no key should wrap itself.
    return derived(key, b"ztp data keys")


def _place(key_id: int) -> bytes:
    return f"data_keys/{key_id}".encode()


def _read(path: Path) -> bytes:
    """Raises Misconfigured when others may read it or it is damaged."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & _foreign(path):
            raise Misconfigured(f"{path}: others may read it; run: chmod 600 {path}")
        key = base64.b64decode(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path}: {error.strerror if isinstance(error, OSError) else 'not a key'}") from None
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"{path}: not a key of {KEY_BYTES} bytes")
    return key


def _foreign(path: Path) -> int:
    """The bits of a mode that let others in. systemd gives a credential to one user by an access list, whose mask
    stands where the group's rights do (systemd.exec(5), LoadCredential)."""
    return 0o007 if str(path.parent) == os.environ.get("CREDENTIALS_DIRECTORY") else 0o077


def _write(path: Path, key: bytes) -> None:
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(base64.b64encode(key) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make what was renamed in a folder durable."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
