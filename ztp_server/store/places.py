"""Where each sealed value stands. A value opens in its own place only, so that none can be moved to another row.

A place is never renamed: what was sealed there would not open any more.
"""

from __future__ import annotations

KEY_MARKER = "key marker"


def site(site_id: str) -> str:
    return f"sites/{site_id}"


def site_logged_out(site_id: str) -> str:
    return f"sites/{site_id}/logged_out"


def base_settings(base_id: str, revision: int) -> str:
    return f"base_settings/{base_id}/{revision}"


def phone(phone_id: str) -> str:
    return f"phones/{phone_id}"


def line(phone_id: str, position: int) -> str:
    return f"lines/{phone_id}/{position}"


def removed_phone(phone_id: str) -> str:
    return f"removed_phones/{phone_id}"


def user_line(user_id: str, position: int) -> str:
    return f"users/{user_id}/lines/{position}"


def upload(phone_id: str, name: str) -> str:
    return f"uploads/{phone_id}/{name}"


def digest_credential(phone_id: str) -> str:
    return f"digest_credentials/{phone_id}"


def platform(platform_id: str) -> str:
    return f"platforms/{platform_id}"


def platform_source(platform_id: str) -> str:
    return f"platforms/{platform_id}/source"


def job_order(job_id: str) -> str:
    return f"jobs/{job_id}/order"


def job_undo(job_id: str, position: int) -> str:
    return f"jobs/{job_id}/{position}/undo"


def job_file(job_id: str, part: int) -> str:
    return f"jobs/{job_id}/file/{part}"


def idempotency_answer(actor: str, key: str) -> str:
    return f"idempotency_keys/{actor}/{key}"


def phone_of(place: str) -> str:
    """The id of the phone that a place is about, empty when it is about none."""
    kind, _, rest = place.partition("/")
    return rest.partition("/")[0] if kind in ("phones", "lines", "uploads", "digest_credentials") else ""
