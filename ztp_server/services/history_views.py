"""Status and history of phones as doors show them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ztp_server.domain.attempt import Attempt, Given, MadeOf
from ztp_server.domain.status import Status

_ATTEMPT = (
    *("file", "first_at", "last_at", "count", "status", "reason", "etag", "address", "listener", "proof"),
    *("certificate", "firmware", "milliseconds"),
)
_MADE_OF = (
    *("phone_revision", "site", "site_revision", "base_settings", "base_settings_revision", "templates", "firmware"),
)


def status_member(status: Status) -> dict[str, Any]:
    """What the record of a phone says of its status. Nothing is known of its registration, so that `state`, which sums
    both up, is how far it came."""
    return {
        "state": status.provisioning,
        "provisioning": status.provisioning,
        "registration": "unknown",
        "reason": status.reason,
        "since": status.since,
    }


def status_view(status: Status) -> dict[str, Any]:
    """All that is known."""
    return {
        **status_member(status),
        "first_seen": status.first_seen,
        "last_seen": status.last_seen,
        "address": status.address or None,
        "firmware": status.firmware or None,
        "firmware_wanted": status.firmware_wanted or None,
    }


def attempt_view(run: Attempt) -> dict[str, Any]:
    """A run of requests alike."""
    return {**{name: getattr(run, name) for name in _ATTEMPT}, "made_of": _made_of(run.made_of)}


def _made_of(made_of: MadeOf | None) -> dict[str, Any] | None:
    return {name: getattr(made_of, name) for name in _MADE_OF} if made_of else None


def given_view(given: Given) -> dict[str, Any]:
    return asdict(given)
