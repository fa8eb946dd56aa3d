"""Every error of ours, and what a door should make of it.

    ZtpError                   one line for a person: what, where, and how to mend it
    ├── Refused                the request is understood and not done (CLI: exit code 1)
    │   ├── BadValue           a field holds what it must not; names the field
    │   ├── NotFound           no such phone, site, base settings, model, firmware
    │   ├── Conflict           it exists already, or is in use
    │   │   └── InUse          phones use it: how many, and the first of them
    │   ├── Stale              somebody else changed it since it was read
    │   ├── Forbidden          the one who asks may not; names the permission
    │   ├── LoginRefused       wrong account or password, or a token that is not good: never said which
    │   ├── TooMany            asked too often; says when to come back
    │   └── ImportRefused      a CSV with bad rows; every row named
    ├── Misconfigured          the server cannot start like this: file, port, folder, database
    │   ├── ForgeableProxy     a proxy hands on what only it may say (CLI: exit code 2)
    │   └── DataUnavailable    the data folder or database cannot be opened now, and may be by and by
    ├── TemplateError          a template or vendor.toml is wrong; names file and line
    └── StoreUnavailable       the database cannot answer now
        └── Damaged            one sealed value does not open; names its place

A message never holds a secret: whoever raises names the field, not its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ZtpError(Exception):
    """Root of our errors. `str(error)` is one line for a person, whatever was quoted in it."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


class Refused(ZtpError):
    """The request is understood and will not be done."""


class BadValue(Refused):
    """A value that a field must not hold.

    `field` is the dotted name an administrator knows: `settings.rtp_dscp`, `lines.1.password`.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason

    def within(self, prefix: str) -> BadValue:
        """The same refusal with the field named from further out."""
        return BadValue(f"{prefix}.{self.field}", self.reason)


class NotFound(Refused):
    """Nothing of that name."""


class Conflict(Refused):
    """It exists already, or something still uses it."""


class InUse(Conflict):
    """Phones still use it. `phones` are the first that the one who asks may see: `id`, `hardware_id`, `name`."""

    def __init__(self, what: str, count: int, phones: Sequence[Mapping[str, str]]) -> None:
        named = ", ".join(phone["hardware_id"] or phone["id"] for phone in phones)
        some = f": {named}{', …' if len(phones) < count else ''}" if named else ""
        super().__init__(f"{what} in use by {count} {'phone' if count == 1 else 'phones'}{some}")
        self.count = count
        self.phones = list(phones)


class Stale(Refused):
    """A change was made of something that is another by now: read it again."""


class Forbidden(Refused):
    """The one who asks has not the permission, at a site or anywhere."""

    def __init__(self, permission: str, site: str = "") -> None:
        where = f" at site {site}" if site else ""
        super().__init__(f"needs the permission {permission}{where}")
        self.permission = permission


class LoginRefused(Refused):
    """Not let in: the same for every reason."""


class TooMany(Refused):
    """Asked too often, or too many ask at once. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ImportRefused(Refused):
    """A file of many rows that was not imported, because of the rows named in `problems`. `rows` says what was found
    of each row, in the words of whoever read them."""

    def __init__(self, file: str, problems: Sequence[str], rows: Sequence[Any] = ()) -> None:
        noun = "problem" if len(problems) == 1 else "problems"
        super().__init__(f"{file}: {len(problems)} {noun}, nothing imported")
        self.problems = list(problems)
        self.rows = rows


class Misconfigured(ZtpError):
    """The server cannot start or go on like this; the message names the file, port or folder."""


class ForgeableProxy(Misconfigured):
    """A proxy hands on what a phone says of itself: anybody could be any phone."""


class DataUnavailable(Misconfigured):
    """The data folder or database cannot be opened now: locked, damaged, gone, away, or on a disk that takes nothing.
    That may be another thing in a moment; phones get their last good files meanwhile."""


class TemplateError(ZtpError):
    """A template or vendor.toml that cannot be used.

    `file` is relative to the templates folder (`acme/desk/settings.cfg.j2`); `line` counts from 1, 0 when unknown.
    """

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class StoreUnavailable(ZtpError):
    """The database cannot answer now; nothing is known about the data."""


class Damaged(StoreUnavailable):
    """A sealed value does not open: its row was damaged, or moved, or the key is missing. The message names its place;
    everything else can be read."""
