"""SIP platforms as doors show them: never their passwords."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ztp_server.domain.platform import Platform


def platform_view(platform: Platform) -> dict[str, Any]:
    """`has_password` and `has_source_password` say that there is one."""
    shown = asdict(platform)
    password, source_password = shown.pop("password"), shown.pop("source_password")
    return {
        **shown,
        "domains": list(platform.domains),
        "has_password": bool(password),
        "has_source_password": bool(source_password),
    }
