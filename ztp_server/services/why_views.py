"""What `why` found, as doors show it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ztp_server.domain.attempt import Attempt
from ztp_server.domain.why import Explanation

_ATTEMPT = ("file", "first_at", "last_at", "count", "status", "reason", "address", "listener", "proof", "firmware")


def why_view(found: Explanation) -> dict[str, Any]:
    return {
        "hardware_id": found.hardware_id,
        "from": found.address,
        "from_is": found.address_is,
        "findings": [asdict(finding) for finding in found.findings],
        "answers": [asdict(answer) for answer in found.answers],
        "attempts": [_attempt(attempt) for attempt in found.attempts],
        "advice": list(found.advice),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in _ATTEMPT}
