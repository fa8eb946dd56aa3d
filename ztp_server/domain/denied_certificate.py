"""A factory certificate that proves nothing any more, whoever signed it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from ztp_server.domain.moment import shown_moment
from ztp_server.errors import BadValue

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class DeniedCertificate:
    """`sha256` is the fingerprint of the certificate, `subject` the MAC of the phone that was last seen with it, empty
    when none was."""

    sha256: str
    subject: str
    reason: str
    denied_by: str
    denied_at: datetime

    @property
    def told(self) -> str:
        """Who denied it, when, and why."""
        return f"denied by {self.denied_by} at {shown_moment(self.denied_at)}: {self.reason}"


def refusal(sha256: str, reason: str) -> str:
    """Why a certificate that was shown counts as none, as logs and check-ins say it: it is named by its beginning."""
    return f"certificate {sha256[:16]}: {reason}"


def parse_sha256(field: str, text: str) -> str:
    """A fingerprint as 64 lower-case hex digits; colons, as openssl writes them, are taken out. Raises BadValue naming
    the field."""
    digits = text.strip().replace(":", "").lower()
    if not _SHA256.fullmatch(digits):
        raise BadValue(field, "is no SHA-256 of a certificate (64 hex digits)")
    return digits
