"""What shows that a request comes from a phone: its certificate, a token in the path, its address, a login, an open
window. Each stands on its own; the first that holds counts."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ztp_server.domain.proof import PhoneProofs, PhoneToken, ProvisioningWindow, token_hash
from ztp_server.domain.request import PhoneRequest
from ztp_server.domain.site import Network
from ztp_server.services.fleet import lies_in


@dataclass(frozen=True, slots=True)
class Verdict:
    """`proof` names what proves a request, empty: nothing does, and `reason` says why. `unused` is a bootstrap token or
    window that nobody has used yet: it counts once it is bound to the address that shows it. `of_its_own` is a proof
    that needs no such thing any more; `replayed` one that another address has used."""

    proof: str = ""
    reason: str = ""
    unused: PhoneToken | ProvisioningWindow | None = None
    of_its_own: bool = False
    replayed: bool = False


_CERTIFICATE = Verdict("certificate", of_its_own=True)
_STEADY_TOKEN = Verdict("token", of_its_own=True)
_NETWORK = Verdict("network")
_DIGEST = Verdict("digest", of_its_own=True)
NO_PROOF = Verdict(reason="no proof")
_BLOCKED = Verdict(reason="the phone is blocked: no proof counts for it")
_NOT_ITS_CERTIFICATE = Verdict(reason="the certificate is not the phone's")
_NOT_ITS_TOKEN = Verdict(reason="the token in the path is not the phone's")
_NOT_ITS_LOGIN = Verdict(reason="the login is not the phone's")


class Provable(Protocol):
    """A phone as far as somebody can prove to be it: the maker in its certificate, the networks of its site, the proofs
    that count for it, and what it alone has."""

    @property
    def hardware_id(self) -> str: ...
    @property
    def vendor(self) -> str: ...
    @property
    def networks(self) -> tuple[Network, ...]: ...
    @property
    def counted(self) -> tuple[str, ...]: ...
    @property
    def proofs(self) -> PhoneProofs: ...


def prove(known: Provable, request: PhoneRequest, now: datetime) -> Verdict:
    """Which proof shows that this request comes from this phone, of those that count for it.

    Where a certificate is demanded or shown, nothing else counts. A token that is none any more leaves the other
    proofs: a phone whose token was replaced is let in by a window or its network.
    """
    counted = known.counted
    if request.by_certificate:
        return _by_certificate(known, request) if "certificate" in counted else NO_PROOF
    refused = NO_PROOF if counted else _BLOCKED
    if request.token and "token" in counted:
        refused = _by_token(known, request)
        if refused.proof:
            return refused
    if "network" in counted and lies_in(request.address, known.networks):
        return _NETWORK
    if request.login and "digest" in counted:
        if _fits(known, request):
            return _DIGEST
        refused = _NOT_ITS_LOGIN
    if known.proofs.window and "window" in counted:
        window = _by_window(known.proofs.window, request, now)
        return window if window.proof or refused is NO_PROOF else refused
    return refused


def _by_certificate(known: Provable, request: PhoneRequest) -> Verdict:
    shown = request.certificate
    if shown is None:
        return NO_PROOF
    is_own = shown.mac == known.hardware_id and shown.vendor == known.vendor
    return _CERTIFICATE if is_own else _NOT_ITS_CERTIFICATE


def _by_token(known: Provable, request: PhoneRequest) -> Verdict:
    shown, has = token_hash(request.token), known.proofs
    if has.steady and hmac.compare_digest(has.steady.hash, shown):
        return _STEADY_TOKEN
    if has.bootstrap and hmac.compare_digest(has.bootstrap.hash, shown):
        return _once("token", has.bootstrap, request)
    return _NOT_ITS_TOKEN


def _fits(known: Provable, request: PhoneRequest) -> bool:
    own, shown = known.proofs.digest, request.login
    if own is None or shown is None or own.user != shown.user or not own.password:
        return False
    return shown.fits(own.password)


def _by_window(window: ProvisioningWindow, request: PhoneRequest, now: datetime) -> Verdict:
    return _once("window", window, request) if now < window.until else NO_PROOF


def _once(proof: str, shown: PhoneToken | ProvisioningWindow, request: PhoneRequest) -> Verdict:
    """What the first address to use it has for itself."""
    what = "bootstrap token" if proof == "token" else "window"
    if not request.address:
        return Verdict(reason=f"its {what} counts for an address alone, and that of who asks is not known")
    if shown.first_used_at is None:
        return Verdict(proof, unused=shown)
    if shown.address != request.address:
        return Verdict(reason=f"its {what} was used by {shown.address} before, not by {request.address}", replayed=True)
    return Verdict(proof)
