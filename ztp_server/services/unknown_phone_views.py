"""Unknown phones and approval rules as doors show them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ztp_server.domain.approval_rule import ApprovalRule
from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.services.unknown_phones import Approval


def unknown_phone_view(phone: UnknownPhone) -> dict[str, Any]:
    """`certificate` is null when it showed none."""
    shown = {"sha256": phone.certificate, "mac": phone.certified, "is_its_own": phone.is_certified}
    return {
        "mac": phone.mac,
        "state": phone.state,
        "vendor": phone.vendor or None,
        "model": phone.model or None,
        "firmware": phone.firmware or None,
        "address": phone.address or None,
        "certificate": shown if phone.certificate else None,
        "files": list(phone.files),
        "first_at": phone.first_at.isoformat(),
        "last_at": phone.last_at.isoformat(),
        "count": phone.count,
        "denied_by": phone.denied_by or None,
        "why": phone.why or None,
    }


def approval_view(approval: Approval) -> dict[str, Any]:
    """What became of one MAC among many; `id` is that of the phone."""
    written = approval.written
    return {
        "mac": approval.mac,
        "id": written.phone.id if written else None,
        "warnings": list(written.warnings) if written else [],
        "problem": approval.problem or None,
    }


def approval_rule_view(rule: ApprovalRule) -> dict[str, Any]:
    """Without networks of its own, a rule has those of its site."""
    return {
        **asdict(rule),
        "networks": list(rule.networks),
        "until": rule.until.isoformat() if rule.until else None,
    }
