"""What a server that runs, or ran last, was told to do: written beside its data for those who look at it from outside.

In a file, not in the database: it is of this machine, must not travel with a backup, and is wanted most when the
database does not open. It holds no secret.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from typing import Any

import structlog

from ztp_server import __version__

FILE = "serving.json"

log = structlog.get_logger()


@dataclass(frozen=True)
class Serving:
    """`listeners` are those that were opened, `http` to `proxied` and `admin`, as `host:port`; `urls` what phones are
    told. `stopped_at` (ISO 8601, as `started_at`) is empty while it runs, and when it was killed. `files` is how many
    files the process may have open."""

    version: str = ""
    started_at: str = ""
    stopped_at: str = ""
    listeners: Mapping[str, str] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    demo: bool = False
    admin_tls: bool = False
    admin_certificate: str = ""
    admin_key: str = ""
    legacy_networks: tuple[str, ...] = ()
    legacy_until: str = ""
    expired_networks: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    files: int = 0


def keep_serving(data: Path, facts: Mapping[str, Any]) -> None:
    """Write down that a server serves, with fields of `Serving`. Where that cannot be written it serves all the same,
    and says so in its log."""
    now, files = datetime.now(UTC).isoformat(timespec="seconds"), getrlimit(RLIMIT_NOFILE)[0]
    _write(data / FILE, asdict(Serving(version=__version__, started_at=now, files=files, **facts)))


def note_stopped(data: Path) -> None:
    """Write down that it was stopped, as it should be."""
    found = last_serving(data)
    if found:
        _write(data / FILE, asdict(found) | {"stopped_at": datetime.now(UTC).isoformat(timespec="seconds")})


def last_serving(data: Path) -> Serving | None:
    """What was written down last; None when no server was started with this data, or nothing can be read of it."""
    try:
        kept = json.loads((data / FILE).read_text("utf-8"))
        known: dict[str, Any] = {row.name: kept[row.name] for row in fields(Serving) if row.name in kept}
        lists: dict[str, Any] = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        found = Serving(**known | lists)
    except (OSError, ValueError, TypeError):
        return None
    return found if _is_sound(found) else None


def _is_sound(found: Serving) -> bool:
    """Whether everything is of the kind that is written down: an editor may have been there."""
    return bool(found.started_at) and all(
        type(getattr(found, row.name)) is type(getattr(Serving(), row.name)) for row in fields(Serving)
    )


def _write(file: Path, facts: Mapping[str, Any]) -> None:
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with open(os.open(scratch, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
            json.dump(facts, out, indent=1, sort_keys=True)
        os.replace(scratch, file)
    except OSError as error:
        log.warning("serving.not_kept", file=str(file), reason=error.strerror)
