"""Firmware images and where they are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ztp_server.errors import BadValue

VERSION = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Firmware:
    """An image for one model. The bytes lie in a file named by their SHA-256."""

    model: str
    version: str
    sha256: str
    size: int
    file_name: str
    is_default: bool = False


# A configuration names it where a phone is to keep what it runs, so that no image may have it.
NO_VERSION = "none"


def check_version(text: str) -> str:
    """A version as it may stand in a URL. Raises BadValue."""
    if text.lower() == NO_VERSION:
        raise BadValue("version", f"{text} stands for no firmware at all")
    if not VERSION.fullmatch(text):
        raise BadValue("version", f"{text[:64]!r} is not a version (letters, digits, single dots, - and _)")
    return text
