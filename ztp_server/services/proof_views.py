"""Proofs of phones as doors show them. A secret is in what was made just now, and nowhere else."""

from __future__ import annotations

from typing import Any

from ztp_server.domain.proof import PhoneToken, ProvisioningWindow, counted_proofs
from ztp_server.services.phone_proofs import MadeDigest, MadeToken, ShownProofs
from ztp_server.services.windows import Opened


def proofs_view(shown: ShownProofs) -> dict[str, Any]:
    """`source` says whose list of proofs counts: the phone's own, or its site's."""
    phone, site, has = shown.phone, shown.site, shown.has
    return {
        "hardware_id": phone.hardware_id,
        "proofs": list(counted_proofs(phone.proofs, site.proofs)),
        "source": f"site {site.id}" if phone.proofs is None else "phone",
        "blocked": phone.proofs == (),
        "tokens": [_token(token) for token in (has.bootstrap, has.steady) if token],
        "window": window_view(has.window) if has.window else None,
        "digest": {
            "user": has.digest.user,
            "created_by": has.digest.created_by,
            "created_at": has.digest.created_at.isoformat(),
        }
        if has.digest
        else None,
        "afterwards": {"proof": shown.afterwards.kind or None, "text": shown.afterwards.text},
    }


def window_view(window: ProvisioningWindow) -> dict[str, Any]:
    return {
        "opened_by": window.opened_by,
        "opened_at": window.opened_at.isoformat(),
        "until": window.until.isoformat(),
        "first_used_at": window.first_used_at.isoformat() if window.first_used_at else None,
        "address": window.address or None,
    }


def opened_view(opened: Opened) -> dict[str, Any]:
    """A window with how the phone will prove itself when it is closed."""
    afterwards = {"proof": opened.afterwards.kind or None, "text": opened.afterwards.text}
    return {**window_view(opened.window), "afterwards": afterwards, "warnings": opened.warnings}


def made_token_view(made: MadeToken) -> dict[str, Any]:
    return {
        "kind": made.kind,
        "token": made.token,
        "addresses": list(made.addresses),
        "warnings": list(made.warnings),
    }


def made_digest_view(made: MadeDigest) -> dict[str, Any]:
    return {"user": made.user, "password": made.password, "warnings": list(made.warnings)}


def _token(token: PhoneToken) -> dict[str, Any]:
    return {
        "kind": token.kind,
        "created_by": token.created_by,
        "created_at": token.created_at.isoformat(),
        "first_used_at": token.first_used_at.isoformat() if token.first_used_at else None,
        "address": token.address or None,
    }
