"""Status and history of phones as doors show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ztp_server.domain.attempt import Attempt, Given, MadeOf
from ztp_server.domain.registration import LineRegistration
from ztp_server.domain.status import Status

_ATTEMPT = (
    *("file", "first_at", "last_at", "count", "status", "reason", "etag", "address", "listener", "proof"),
    *("certificate", "firmware", "milliseconds"),
)
_MADE_OF = (
    *("phone_revision", "site", "site_revision", "base_settings", "base_settings_revision", "templates", "firmware"),
)


def status_view(status: Status) -> dict[str, Any]:
    """All that is known. `reason` and `since` belong to `state`."""
    of_files = {"reason": status.reason, "since": status.since}
    own = status.registration
    of_registration = {"reason": own.reason, "since": own.since}
    is_about_files = status.state == status.provisioning
    return {
        "state": status.state,
        "provisioning": status.provisioning,
        "registration": own.state,
        **(of_files if is_about_files else of_registration),
        **{f"provisioning_{name}": value for name, value in of_files.items()},
        **{f"registration_{name}": value for name, value in of_registration.items()},
        "first_seen": status.first_seen,
        "last_seen": status.last_seen,
        "address": status.address or None,
        "firmware": status.firmware or None,
        "firmware_wanted": status.firmware_wanted or None,
        "lines": None if own.lines is None else [row for line in own.lines for row in _line_rows(line)],
    }


def _line_rows(line: LineRegistration) -> Iterator[dict[str, Any]]:
    """A row for each place where a line is reached, at each server; one without a place where there is none."""
    for at in filter(None, (line.primary, line.secondary)):
        for contact in at.contacts or (None,):
            yield {
                "user": line.user,
                "server": at.server,
                "state": at.state,
                "reason": at.untold or None,
                "contact": (contact.uri or None) if contact else None,
                "transport": (contact.transport or None) if contact else None,
                "user_agent": (contact.user_agent or None) if contact else None,
                "expires_at": contact.expires_at if contact else None,
                "received": (contact.received or None) if contact else None,
            }


def attempt_view(run: Attempt) -> dict[str, Any]:
    """A run of requests alike."""
    return {**{name: getattr(run, name) for name in _ATTEMPT}, "made_of": _made_of(run.made_of)}


def _made_of(made_of: MadeOf | None) -> dict[str, Any] | None:
    return {name: getattr(made_of, name) for name in _MADE_OF} if made_of else None


def given_view(given: Given) -> dict[str, Any]:
    return asdict(given)
