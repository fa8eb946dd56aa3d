"""The data keys in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ztp_server.errors import Misconfigured
from ztp_server.store.key_file import KeyFile

FIRST_KEY = 1
# How soon a key that was looked for in vain is looked for again, in seconds.
_AGAIN = 1.0


class ForeignKeyError(Exception):
    """The key in the file is not the one that wrapped these keys."""


class KeyRing:
    """All data keys of a database. One that another process made is learned when a value names it (`more` reads the
    wrapped keys, and must not wait long), or from `learn`."""

    def __init__(self, file: KeyFile, wrapped: Mapping[int, str], more: Callable[[], Mapping[int, str]]) -> None:
        """Raises Misconfigured when the key file is missing, ForeignKeyError when it is not the one of these keys."""
        self.file = file
        self._more = more
        self._in_vain = (0, 0.0)
        self._ciphers: dict[int, AESGCM] = {}
        keys = file.unwrap(wrapped)
        if keys is None or FIRST_KEY not in keys:
            raise ForeignKeyError
        self.first = keys[FIRST_KEY]
        self._add(keys)

    @property
    def newest(self) -> tuple[int, AESGCM]:
        """The key that seals, by its id."""
        return self._newest

    def get(self, key_id: int) -> AESGCM | None:
        """The key of that id, None when there is none."""
        sought, at = self._in_vain
        if key_id not in self._ciphers and (sought != key_id or time.monotonic() - at >= _AGAIN):
            self.learn(self._more())
            self._in_vain = (key_id, time.monotonic())
        return self._ciphers.get(key_id)

    def learn(self, wrapped: Mapping[int, str]) -> None:
        """Take up keys that were made since. Those that the key file does not open stay unknown."""
        new = {key_id: text for key_id, text in wrapped.items() if key_id not in self._ciphers}
        try:
            self._add((new and self.file.unwrap(new)) or {})
        except Misconfigured:
            return  # What they seal does not open, and says so.

    def _add(self, keys: Mapping[int, bytes]) -> None:
        self._ciphers |= {key_id: AESGCM(key) for key_id, key in keys.items()}
        newest = max(self._ciphers)
        self._newest = newest, self._ciphers[newest]
