"""Factory certificates that prove nothing any more: of phones that were stolen or sold, or whose key got out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.denied_certificate import DeniedCertificate, parse_sha256
from ztp_server.errors import BadValue
from ztp_server.services.edits import checked_reason
from ztp_server.services.phone_checks import seen_phone
from ztp_server.store import Session, Store


class DeniedCertificates:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, who: Actor, after: str = "", limit: int = 1000) -> tuple[list[DeniedCertificate], bool]:
        """At most so many, by fingerprint, that come after one; and whether there are more. Raises Forbidden."""
        who.require("trust:view")
        async with self._store.read() as session:
            found = await session.denied_certificates.page(after, limit + 1)
        return found[:limit], len(found) > limit

    async def deny(self, who: Actor, sha256: str, reason: str) -> DeniedCertificate:
        """Believe a certificate no more, from the next request on, whoever signed it and whatever session it came in
        with. Raises BadValue, Conflict when it is denied already, and Forbidden."""
        who.require("trust:edit")
        sha256, reason = parse_sha256("sha256", sha256), checked_reason(reason, needed=True)
        async with self._store.write() as session:
            holder = await session.phone_status.shown_by(sha256)
            return await _deny(session, who, sha256, holder, reason)

    async def deny_phone(self, who: Actor, phone: str, reason: str) -> DeniedCertificate:
        """The same for the certificate that a phone, of an id or a MAC, last proved itself with. Raises NotFound, also
        for a phone that the one who asks may not see, Conflict, Forbidden, and BadValue when it never showed one."""
        who.require("trust:edit")
        reason = checked_reason(reason, needed=True)
        async with self._store.write() as session:
            found = await seen_phone(session, who, phone)
            progress = await session.phone_status.get(found.id)
            if progress is None or not progress.certificate:
                raise BadValue("phone", f"{found.hardware_id or found.id} never proved itself with a certificate")
            return await _deny(session, who, progress.certificate, found.hardware_id, reason)

    async def allow(self, who: Actor, sha256: str, *, reason: str = "") -> None:
        """Believe a certificate again. Raises BadValue, NotFound and Forbidden."""
        who.require("trust:edit")
        sha256, reason = parse_sha256("sha256", sha256), checked_reason(reason)
        async with self._store.write() as session:
            before = await session.denied_certificates.find(sha256)
            await session.denied_certificates.remove(sha256)
            record = _record(before) if before else None
            await session.audit.add(who, "certificate.allowed", f"certificate:{sha256}", before=record, reason=reason)


async def _deny(session: Session, who: Actor, sha256: str, mac: str, reason: str) -> DeniedCertificate:
    denied = DeniedCertificate(sha256, mac, reason, who.name[:255], datetime.now(UTC))
    await session.denied_certificates.add(denied)
    await session.audit.add(who, "certificate.denied", f"certificate:{sha256}", after=_record(denied), reason=reason)
    return denied


def _record(denied: DeniedCertificate) -> dict[str, Any]:
    return {"phone": denied.subject, "reason": denied.reason}
