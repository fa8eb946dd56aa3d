"""Where a command writes what may hold passwords."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ztp_server.errors import BadValue


@contextmanager
def opened_output(output: Path | None) -> Iterator[IO[bytes]]:
    """Standard output, or a file that is there when it is whole, and that nobody else can read. Raises BadValue."""
    if output is None:
        yield sys.stdout.buffer
        return
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise BadValue("--output", f"{output}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
