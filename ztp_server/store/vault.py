"""Secrets at rest: AES-256-GCM, each value bound to the row and column it stands in."""

from __future__ import annotations

import base64
import hmac
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ztp_server.errors import Misconfigured, StoreUnavailable

KEY_FILE = "secret.key"
_VERSION = "v1:"
_NONCE = 12


class Vault:
    """Seals and opens values with one key that lives outside the database."""

    def __init__(self, key: bytes, is_secret: Callable[[str], bool]) -> None:
        self._cipher = AESGCM(key)
        self._audit_key = _derived(key, b"ztp audit")
        self._token_key = _derived(key, b"ztp tokens")
        self._is_secret = is_secret

    def seal(self, text: str, place: str) -> str:
        """Encrypt a text for one place (`lines/<phone>/1/password`); it opens nowhere else. Empty stays empty."""
        if not text:
            return ""
        nonce = os.urandom(_NONCE)
        return _VERSION + base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())).decode()

    def open(self, sealed: str, place: str) -> str:
        """Decrypt. Raises StoreUnavailable naming the place when the row was damaged or the key is another."""
        if not sealed:
            return ""
        try:
            data = base64.b64decode(sealed.removeprefix(_VERSION), validate=True)
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise StoreUnavailable(f"{place}: does not open with this {KEY_FILE}") from None

    def chain(self, text: str) -> str:
        """The HMAC-SHA256 of a record of the audit, in hex: nobody without the key can make one that fits."""
        return hmac.digest(self._audit_key, text.encode(), "sha256").hex()

    def digest(self, secret: str) -> str:
        """What stands for a secret where it must not: equal for equal secrets, and worth nothing to who guesses."""
        code = hmac.digest(self._audit_key, b"secret:" + secret.encode(), "sha256").hex()
        return f"digest:{code[:16]}" if secret else ""

    def tag(self, etag: str) -> str:
        """What is kept of the tag of a file with secrets in it: a bare digest would let anybody try them out."""
        return hmac.digest(self._audit_key, b"etag:" + etag.encode(), "sha256").hex()[:32] if etag else ""

    def token(self, place: str) -> str:
        """A token that only this key makes of a place: 192 bits in 39 letters and digits, good in a path."""
        code = hmac.digest(self._token_key, place.encode(), "sha256")[:24]
        return base64.b32encode(code).decode().rstrip("=").lower()

    def seal_settings(self, values: Mapping[str, Any], place: str) -> dict[str, Any]:
        """Settings as they are stored: the secret ones as `{"sealed": …}`."""
        return {
            name: {"sealed": self.seal(value, f"{place}/{name}")} if self._is_secret(name) and value else value
            for name, value in values.items()
        }

    def open_settings(self, values: Mapping[str, Any], place: str) -> dict[str, Any]:
        return {
            name: self.open(value["sealed"], f"{place}/{name}") if isinstance(value, dict) else value
            for name, value in values.items()
        }


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=purpose).derive(key)


def load_key(folder: Path) -> bytes:
    """The key of a data folder, made at first use. Raises Misconfigured when others may read it or it is damaged."""
    path = folder / KEY_FILE
    try:
        if not path.exists():
            _create(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Misconfigured(f"{path}: others may read it; run: chmod 600 {path}")
        key = base64.b64decode(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path}: {error.strerror if isinstance(error, OSError) else 'not a key'}") from None
    if len(key) != 32:
        raise Misconfigured(f"{path}: not a key of 32 bytes")
    return key


def _create(path: Path) -> None:
    """Write the key under another name first, so that a half-written key never exists; the first of two wins."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(base64.b64encode(AESGCM.generate_key(256)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    finally:
        new.unlink()
