"""What comes back when a phone was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ztp_server.domain.phone import Phone


@dataclass(frozen=True)
class Written:
    """A phone as it was written, what is to be said of it all the same, and passwords that were made for it, by the
    position of their line: they are shown this once."""

    phone: Phone
    warnings: Sequence[str] = ()
    passwords: Mapping[int, str] = field(default_factory=dict, repr=False)
