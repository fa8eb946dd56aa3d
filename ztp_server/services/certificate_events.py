"""What is told of the certificates that phones prove themselves with: another one than before, one nobody can place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ztp_server.domain.attempt import Attempt
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.status import Progress

CHANGED = "certificate.changed"
UNKNOWN_BLOCK = "certificate.unknown_block"


class CertificateEvent(NamedTuple):
    """An event about a phone, for the administrator."""

    action: str
    mac: str
    reason: str


def certificate_events(
    catalog: Catalog, managed: Mapping[str, tuple[str, Progress | None]], attempts: Iterable[Attempt]
) -> Iterator[CertificateEvent]:
    """What the proofs of managed phones tell, each once: what a phone last proved itself with is kept with how far it
    came. Neither is a refusal: a phone that was repaired has a new certificate, and makers get new address blocks."""
    pinned = {mac: before.certificate for mac, (_, before) in managed.items() if before}
    by_certificate = [a for a in attempts if a.proof == "certificate" and a.mac in managed]
    for attempt in sorted(by_certificate, key=lambda a: a.last_at):
        shown, mac = attempt.certificate, attempt.mac
        before = pinned.get(mac, "")
        if shown == before:
            continue
        pinned[mac] = shown
        if before:
            yield CertificateEvent(CHANGED, mac, f"proved itself with certificate {shown}, and with {before} before")
        if catalog.vendor_of_oui(mac) is None:
            reason = f"certificate {shown} is by its maker, and its address is in no block known of any"
            yield CertificateEvent(UNKNOWN_BLOCK, mac, reason)


def pinned_certificate(before: str, attempts: Iterable[Attempt]) -> str:
    """The certificate a phone last proved itself with, after these attempts in their order."""
    shown = [attempt.certificate for attempt in attempts if attempt.proof == "certificate"]
    return shown[-1] if shown else before
