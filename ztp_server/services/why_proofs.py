"""What a phone has to prove itself with, one finding after the other, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ztp_server.domain.moment import shown_moment
from ztp_server.domain.proof import DigestCredential, PhoneToken, ProvisioningWindow
from ztp_server.domain.why import Finding
from ztp_server.services.own_files import Known


def proof_findings(known: Known, address: str, now: datetime) -> Iterator[Finding]:
    """Which proofs count, and what there is of tokens, windows and Digest. `address` is where a request is taken to
    come from."""
    phone, site = known.phone, known.group.site
    if phone.proofs == ():
        yield Finding(False, "it is blocked: nothing it shows is a proof, and it is answered as an unknown phone")
        return
    if phone.proofs is not None:
        own, of_site = ", ".join(known.counted), ", ".join(site.proofs) or "none"
        yield Finding(None, f"its own proofs count: {own}; those of site {site.id} do not: {of_site}")
    has, takers = known.proofs, "the phone" if phone.proofs is not None else f"site {site.id}"
    window = has.window if has.window and has.window.until > now else None
    for kind, made in (
        ("token", [_token(token, address) for token in (has.bootstrap, has.steady) if token]),
        ("window", [_window(window, address)] if window else []),
        ("digest", [_digest(has.digest)] if has.digest else []),
    ):
        if kind in known.counted:
            yield from made
        elif made:
            yield Finding(False, f"it has a {_WORDS[kind]}, and {takers} does not take {kind}: no proof")
    if "window" not in known.counted:
        yield Finding(None, f"{takers} does not take windows")
    elif window is None:
        yield Finding(None, "no window is open for it")


_WORDS = {"token": "token", "window": "window open", "digest": "Digest user"}


def _token(token: PhoneToken, address: str) -> Finding:
    made = f"it has a {token.kind} token, made by {token.created_by} at {shown_moment(token.created_at)}"
    if token.first_used_at is None:
        return Finding(None, f"{made} and not used yet")
    used = f"{made}, first used at {shown_moment(token.first_used_at)}"
    if token.kind == "steady":
        return Finding(True, used)
    bound = f"{used} and bound to {token.address}"
    return Finding(None, bound) if token.address == address else Finding(False, f"{bound}: no proof elsewhere")


def _window(window: ProvisioningWindow, address: str) -> Finding:
    until = f"a window is open until {shown_moment(window.until)}, by {window.opened_by}"
    if window.first_used_at is None:
        return Finding(True, f"{until}: whoever asks first in its name is believed")
    bound = f"{until}, bound to {window.address}"
    return Finding(True, bound) if window.address == address else Finding(False, f"{bound}: no proof elsewhere")


def _digest(credential: DigestCredential) -> Finding:
    return Finding(None, f"it may prove itself by HTTP Digest as {credential.user!r}")
