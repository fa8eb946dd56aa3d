"""Which certificates prove nothing any more, asked with every request: a TLS session is resumed for hours."""

from __future__ import annotations

from dataclasses import replace

from ztp_server.domain.denied_certificate import refusal
from ztp_server.domain.request import PhoneRequest
from ztp_server.store import Store


class BelievedCertificates:
    """The fingerprints of all denied certificates, in memory until one changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._denied: frozenset[str] | None = None
        self._stale = True
        self._told = 0

    def forget(self) -> None:
        """Look again with the next request: a certificate was denied, or one allowed again."""
        self._told += 1
        self._stale = True

    async def applied(self, request: PhoneRequest) -> PhoneRequest:
        """The request, without its certificate when that is denied. Raises StoreUnavailable only when it may have been
        denied since one could look."""
        if request.certificate is None:
            return request
        if self._stale:
            await self._load()
        if request.certificate.sha256 not in (self._denied or ()):
            return request
        return replace(request, certificate=None, refused=refusal(request.certificate.sha256, "it was denied"))

    async def _load(self) -> None:
        told = self._told
        async with self._store.read() as session:
            self._denied = await session.denied_certificates.fingerprints()
        self._stale = told != self._told
