"""Secrets at rest: AES-256-GCM, each value bound to the row and column it stands in (store/places.py)."""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag

from ztp_server.domain.text import unreadable
from ztp_server.errors import Damaged
from ztp_server.store.key_file import NONCE_BYTES, derived
from ztp_server.store.key_ring import FIRST_KEY, KeyRing

# `v2:<id of the data key>:<nonce and sealed text in base64>`; of before there were data keys `v1:<…>`, under the first.
_SEALED = re.compile(r"v2:([1-9][0-9]{0,8}):(.*)|v1:(.*)", re.DOTALL)
# Damaged values remembered until they are told of, and those told of already.
_MOST_DAMAGED = 1000


class Vault:
    """Seals with the newest data key and opens with the one a value names."""

    def __init__(self, keys: KeyRing, is_secret: Callable[[str], bool]) -> None:
        self.keys = keys
        # The first key never changes, so that the chain of the audit and the tokens of phones outlast every rotation.
        self._audit_key = derived(keys.first, b"ztp audit")
        self._token_key = derived(keys.first, b"ztp tokens")
        self._is_secret = is_secret
        self._damaged: dict[str, str] = {}
        self._told: set[str] = set()

    def seal(self, text: str, place: str) -> str:
        """Encrypt a text for one place (`lines/<phone>/1`); it opens nowhere else. Empty stays empty."""
        if not text:
            return ""
        key_id, cipher = self.keys.newest
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + cipher.encrypt(nonce, text.encode(), place.encode())
        return f"v2:{key_id}:{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """Decrypt. Raises Damaged naming the place when the row was damaged or its key is not here."""
        if not sealed:
            return ""
        try:
            return self._opened(sealed, place)
        except Damaged as error:
            if place not in self._told and len(self._damaged) < _MOST_DAMAGED:
                self._damaged[place] = str(error)
            raise

    def read(self, sealed: str, place: str) -> str:
        """Decrypt what is one of many values of a record or list: one that does not open reads as what nothing takes
        for a value (domain/text.py, `unreadable`), so that the others can be used and this one set anew."""
        try:
            return self.open(sealed, place)
        except Damaged as error:
            return unreadable(str(error))

    def take_damaged(self) -> dict[str, str]:
        """Places whose values did not open since this was asked last, with the reasons; each is told of once."""
        found, self._damaged = self._damaged, {}
        if len(self._told) < _MOST_DAMAGED:
            self._told.update(found)
        return found

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
        """The settings, those that do not open as `read` has them."""
        return {
            name: self.read(value["sealed"], f"{place}/{name}") if isinstance(value, dict) else value
            for name, value in values.items()
        }

    def _opened(self, sealed: str, place: str) -> str:
        found = _SEALED.fullmatch(sealed)
        cipher = self.keys.get(int(found[1] or FIRST_KEY)) if found else None
        if found and cipher is None:
            raise Damaged(f"{place}: does not open: data key {found[1]} is not here")
        try:
            if found is None or cipher is None:
                raise ValueError
            data = base64.b64decode(found[2] or found[3] or "", validate=True)
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise Damaged(f"{place}: does not open with this database's key") from None
