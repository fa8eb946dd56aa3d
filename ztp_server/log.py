"""Log lines: JSON objects, one a line, or coloured text on a terminal. No secret reaches them: nobody passes one."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import structlog

# A line is data, not a channel to the reader's terminal: controls and bidirectional marks are escaped by json.dumps
# (ensure_ascii); what phones say is cut to this length.
LONGEST_VALUE = 256


def set_up(*, as_json: bool) -> None:
    """Send everything to standard error. Called once, by the command that serves."""
    renderer: Any = structlog.processors.JSONRenderer(serializer=_dump) if as_json else structlog.dev.ConsoleRenderer()
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _cut,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _LosingLines())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _LosingLines:
    """Standard error, of which a line is lost when it cannot be written: a full disk must not end who logs to it."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _cut(_logger: Any, _method: str, fields: dict[str, Any]) -> dict[str, Any]:
    for name, value in fields.items():
        if isinstance(value, str) and len(value) > LONGEST_VALUE:
            fields[name] = value[:LONGEST_VALUE] + "…"
        if isinstance(value, str) and not value.isprintable():
            fields[name] = value.encode("unicode_escape").decode()[:LONGEST_VALUE]
    return fields


def _dump(fields: dict[str, Any], **_options: Any) -> str:
    return json.dumps(fields, ensure_ascii=True, default=str)


class RequestLog:
    """The lines of requests. A boot storm writes thousands a second, so JSON lines are gathered and written ten times
    a second; on a terminal each is written at once."""

    WRITE_SECONDS = 0.1

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._lines: list[str] = []
        self._log = structlog.get_logger()

    def write(self, fields: dict[str, Any]) -> None:
        if not self._as_json:
            self._log.info("request", **fields)
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(self.WRITE_SECONDS, self.flush)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._lines.append(json.dumps({"timestamp": now, "level": "info", "event": "request", **fields}))

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            out = _LosingLines()
            out.write("\n".join(lines) + "\n")
            out.flush()
