"""ETag, If-Match and If-None-Match (RFC 9110, section 13).

The tag of a record is `"<revision>-<hash of its JSON>"`: a change is refused by the revision alone, which may be sent
alone as well (`"7"`), and a cached copy is out of date as soon as anything shown with the record (its status) is.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from aiohttp import web

from ztp_server.errors import Stale

_REVISION = re.compile(r'"([0-9]{1,9})(?:-[0-9a-f]{16})?"')
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def etag_of(value: Any, body: bytes) -> str:
    """The tag of an answer: a strong one of a record, a weak one of anything else."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    revision = value.get("revision") if isinstance(value, dict) else None
    return f'"{revision}-{digest}"' if isinstance(revision, int) else f'W/"{digest}"'


def wanted_revision(request: web.Request, revised: bool) -> int | None:
    """The revision an If-Match names; None without one, and for `*`. Raises Stale where no revision can match, and for
    several: a client has read one."""
    given = _joined(request, "If-Match")
    if given in ("", "*"):
        return None
    found = _REVISION.fullmatch(given)
    if found and revised:
        return int(found[1])
    raise Stale("If-Match names another revision than there is: read it again")


def is_unchanged(request: web.Request, etag: str) -> bool:
    """Whether the client has this answer already: compared weakly, `*` is any."""
    given = _joined(request, "If-None-Match")
    return given == "*" or etag.removeprefix("W/") in _TAG.findall(given)


def _joined(request: web.Request, header: str) -> str:
    return ", ".join(request.headers.getall(header, [])).strip()
