"""/doctor: what is well with this installation, what is not, and what to do."""

from __future__ import annotations

from typing import Any, Literal

from ztp_server.api.operation import Call, Routes
from ztp_server.api.shapes import Answer
from ztp_server.services.doctor import PERMISSION, diagnosis_view

routes = Routes("doctor", "What is well with this installation, what is not, and what to do.")

_Level = Literal["ok", "advice", "warning", "failure"]


class FindingRecord(Answer):
    """One thing that is so. `advice` is a command or a page of the documentation; empty where all is well."""

    level: _Level
    what: str
    advice: str


class CheckRecord(Answer):
    """A check. `level` is the worst of its findings; one that could not be made says why in `skipped`."""

    name: str
    about: str
    level: _Level
    skipped: str
    findings: list[FindingRecord]


class FindingCounts(Answer):
    """How many findings there are of each level."""

    ok: int
    advice: int
    warning: int
    failure: int


class DiagnosisRecord(Answer):
    """Every check, in the order of the documentation, and the worst of their levels."""

    at: str
    level: _Level
    counts: FindingCounts
    checks: list[CheckRecord]


@routes.get("/doctor", answer=DiagnosisRecord, permission=PERMISSION)
async def examine(call: Call) -> Any:
    """Look over this installation and say what to do.

    It takes a second or more: files, certificates, listeners and the whole database are looked through. It changes
    nothing. The answer is 200 whatever was found: look at `level`."""
    return diagnosis_view(await call.services.doctor.examine(call.who))
