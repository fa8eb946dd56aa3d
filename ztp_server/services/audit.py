"""The audit as administrators read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditRecord, Verdict
from ztp_server.errors import BadValue
from ztp_server.store import Store

PERMISSION = "audit:view"
_HEAD = re.compile(r"[0-9]{1,15}:(?:[0-9a-f]{64})?")


class Audit:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self,
        who: Actor,
        *,
        below: int | None = None,
        limit: int = 100,
        subject: str = "",
        actor: str = "",
        action: str = "",
    ) -> tuple[Sequence[AuditRecord], bool]:
        """Records, newest first, with a number below the given one; and whether there are more. Raises Forbidden."""
        who.require(PERMISSION)
        async with self._store.read() as session:
            found = await session.audit.page(below=below, limit=limit + 1, subject=subject, actor=actor, action=action)
        return found[:limit], len(found) > limit

    async def head(self, who: Actor) -> str:
        """Number and hash of the newest record (`12:ab34…`), to be noted where nobody here can change it. Raises
        Forbidden."""
        who.require(PERMISSION)
        async with self._store.read() as session:
            seq, digest = await session.audit.head()
        return f"{seq}:{digest}"

    async def verify(self, who: Actor, noted: str = "") -> Verdict:
        """Follow the chain from the first record; `noted` is a head that was noted earlier. Raises Forbidden, and
        BadValue for what is no head."""
        who.require(PERMISSION)
        if noted and not _HEAD.fullmatch(noted):
            raise BadValue("head", "is none: a number, a colon and 64 hexadecimal digits")
        async with self._store.read() as session:
            return await session.audit.verify(noted)


def audit_view(record: AuditRecord) -> dict[str, Any]:
    """A record as doors show it."""
    return {**asdict(record), "at": record.at.isoformat(), "before": dict(record.before), "after": dict(record.after)}


def verdict_view(found: Verdict) -> dict[str, Any]:
    return {**asdict(found), "whole": not found.broken}
