"""TLS for the door of administrators: browsers and programs of today, so nothing that is there for old phones."""

from __future__ import annotations

import ssl
from pathlib import Path

from ztp_server.errors import Misconfigured
from ztp_server.pki.pair import Pair


class AdminPair:
    """A certificate and its key, and whether they are others by now."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._looked_at: object = None

    def load(self) -> ssl.SSLContext:
        """TLS 1.2 and newer, with forward secrecy and authenticated encryption only. Raises Misconfigured naming the
        file that cannot be used; then nothing in service is touched."""
        self._looked_at = self._look()  # what cannot be used is looked at again when it has changed, not before
        if Pair.read(self._certificate, self._key) is None:
            raise Misconfigured(f"{self._certificate} and {self._key} are missing")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:@SECLEVEL=2")
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        try:
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise Misconfigured(f"{self._certificate} and {self._key} cannot be used for TLS: {reason}") from error
        return context

    def changed(self) -> bool:
        """Whether either file is another than when they were last loaded."""
        return self._look() != self._looked_at

    def _look(self) -> object:
        found = []
        for path in (self._certificate, self._key):
            try:
                state = path.stat()
                found.append((state.st_mtime_ns, state.st_size, state.st_ino))
            except OSError:
                found.append((0, 0, 0))
        return found
