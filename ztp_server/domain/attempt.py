"""What phones asked for: attempts alike that followed each other as one run, and what a given file was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What a file of a phone was made of. `phone` is its id, `templates` a digest of its maker's folder, `firmware` the
    version it is offered and `firmware_wanted` the one it is to reach. `inputs` names all that it shares with other
    phones, `names` are further files of its own that this one tells it to fetch, `poll` is how often it is to ask
    again, in seconds (0: never). `problem` says what went wrong although a file could be given."""

    phone: str = ""
    phone_revision: int = 0
    site: str = ""
    site_revision: int = 0
    base_settings: str = ""
    base_settings_revision: int = 0
    templates: str = ""
    firmware: str = ""
    firmware_wanted: str = ""
    inputs: str = ""
    names: tuple[str, ...] = ()
    poll: int = 0
    problem: str = ""

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> MadeOf | None:
        """What `as_dict` made, by this version or another; None of nothing."""
        known = {name: kept[name] for name in _MADE_OF if name in kept}
        return cls(**known | {"names": tuple(known.get("names", ()))}) if known else None

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, without what is empty."""
        found = {name: getattr(self, name) for name in _MADE_OF}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items() if v}


_MADE_OF = tuple(field.name for field in fields(MadeOf))


@dataclass(slots=True)
class Attempt:
    """A phone asked for a file of its own `count` times and was answered alike. `status` is the answer as HTTP numbers
    it, `reason` why it was refused or given something else than its own file. Without a `proof` somebody asked in the
    phone's name; address, certificate (SHA-256) and firmware are then those of the last one. `milliseconds` is how long
    the last answer took. `seq` belongs to the store, `model` is the phone's."""

    mac: str
    file: str
    first_at: datetime
    last_at: datetime
    status: int
    reason: str = ""
    etag: str = ""
    address: str = ""
    listener: str = ""
    proof: str = ""
    certificate: str = ""
    firmware: str = ""
    milliseconds: int = 0
    made_of: MadeOf | None = None
    count: int = 1
    model: str = ""
    seq: int = 0

    def is_like(self, other: Attempt) -> bool:
        """Whether the other is more of the same. In another's name anybody can ask, from anywhere."""
        same = (
            self.status == other.status
            and self.etag == other.etag
            and self.reason == other.reason
            and self.listener == other.listener
            and self.proof == other.proof
        )
        if not same or not self.proof:
            return same
        return (
            self.address == other.address and self.firmware == other.firmware and self.certificate == other.certificate
        )

    def take(self, other: Attempt) -> None:
        """Count another one as more of this run: what is not alike is that of the later one."""
        self.last_at, self.count = other.last_at, self.count + other.count
        self.address, self.certificate, self.firmware = other.address, other.certificate, other.firmware
        self.milliseconds, self.made_of = other.milliseconds, other.made_of


@dataclass(frozen=True, slots=True)
class Given:
    """A file that a phone was given, last at `at`. `size` is in bytes, without secrets, and None when the bytes are not
    kept."""

    file: str
    etag: str
    at: datetime
    size: int | None
