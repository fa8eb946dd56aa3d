"""Files line by line, each with where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from ztp_server.cli.common import show_json


def show_annotated(files: Mapping[str, Sequence[Any]], as_json: bool) -> None:
    """Annotated lines of files by name, for people or as one list. Below each line stands what made it, dimmed on a
    terminal: `# template:line  value ← layer  because of value ← layer`."""
    if as_json:
        return show_json([{"file": file, **asdict(line)} for file, lines in files.items() for line in lines])
    for file, lines in files.items():
        if len(files) > 1:
            click.echo(f"--- {file}")
        for line in lines:
            click.echo(_printable(line.text))
            click.secho(f"    # {_printable(_told(line))}", dim=True)


def _told(line: Any) -> str:
    parts = [", ".join(line.sources) or "custom"]
    if line.replaces:
        parts.append(f"in place of {', '.join(line.replaces)}")
    if line.settings:
        parts.append(_origins(line.settings))
    if line.because:
        parts.append(f"because of {_origins(line.because)}")
    return "  ".join(parts)


def _origins(origins: Iterable[Any]) -> str:
    return ", ".join(f"{origin.name} ← {origin.source}" for origin in origins)


def _printable(text: str) -> str:
    """Text that cannot move the cursor of a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)
