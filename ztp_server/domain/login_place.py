"""Where phones may log in: on a whole listener, or below a prefix of its paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ztp_server.errors import BadValue

# One name and no dot, so that it is no file's; `t` stands before tokens.
_PREFIX = re.compile(r"/(?![tT]/)([A-Za-z0-9_~-]{1,32}/)")


@dataclass(frozen=True, slots=True)
class LoginPlace:
    """`prefix` is `d/` for what begins with `/d/`, and empty for all of the listener."""

    listener: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> LoginPlace:
        """`https`, or `https:/d/`. Raises BadValue."""
        listener, colon, path = text.strip().partition(":")
        found = _PREFIX.fullmatch(path if path.endswith("/") else f"{path}/") if colon else None
        if colon and found is None:
            raise BadValue("prefix", f"{path[:64]!r} is not one name between slashes such as /d/, other than /t/")
        return cls(listener, found[1] if found else "")

    def __str__(self) -> str:
        return f"{self.listener}:/{self.prefix}" if self.prefix else self.listener


def login_prefixes(texts: Iterable[str]) -> Mapping[str, list[str]]:
    """By listener, what stands before a name where a phone may log in, in the order given. An empty one, which is
    everywhere, comes first. Raises BadValue."""
    found: dict[str, list[str]] = {}
    for place in map(LoginPlace.parse, texts):
        prefixes = found.setdefault(place.listener, [])
        prefixes.insert(len(prefixes) if place.prefix else 0, place.prefix)
    return found
