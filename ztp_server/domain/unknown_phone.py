"""A phone that asked for its files and is none of ours: what it says of itself, and what was decided about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

from ztp_server.domain.site import is_address

# Of the names it asked for, so many are kept.
MOST_FILES = 8
# A name that nobody has to be afraid of; it is what phones ask for.
_FILE = re.compile(r"[A-Za-z0-9._/+~{}-]{1,128}")
_SHA256 = re.compile("[0-9a-f]{64}")
_MOST_COUNTED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class UnknownPhone:
    """`vendor` and `model` (ids of the catalogue) and `firmware` are what its User-Agent says, or what its MAC and the
    names tell of the vendor; nothing of it is proven. `certificate` is the SHA-256 of the factory certificate that it
    showed, `certified` the MAC in that. `denied_by` says who wants to hear no more of it; `why` says why, or what kept
    it from becoming a phone by a rule."""

    mac: str
    first_at: datetime
    last_at: datetime
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    address: str = ""
    certificate: str = ""
    certified: str = ""
    files: tuple[str, ...] = ()
    count: int = 1
    denied_by: str = ""
    why: str = ""

    @property
    def state(self) -> str:
        return "denied" if self.denied_by else "waiting"

    @property
    def is_certified(self) -> bool:
        """Whether it showed the factory certificate of this MAC."""
        return self.certified == self.mac

    def then(self, later: UnknownPhone) -> UnknownPhone:
        """This one, which asked again. Once it has shown its own certificate, what somebody says without one from
        elsewhere counts as no word of it."""
        counted = replace(
            self,
            last_at=max(self.last_at, later.last_at),
            count=min(self.count + later.count, _MOST_COUNTED),
            files=tuple(dict.fromkeys((*self.files, *later.files)))[:MOST_FILES],
        )
        moved = later.address != self.address
        if moved and self.is_certified and not later.is_certified:
            return counted
        # A certificate belongs to the address from which it was shown.
        shown = later if later.certificate or moved else self
        return replace(
            counted,
            vendor=later.vendor or self.vendor,
            model=later.model or self.model,
            firmware=later.firmware or self.firmware,
            address=later.address,
            certificate=shown.certificate,
            certified=shown.certified,
        )

    def harmless(self) -> UnknownPhone:
        """The same without anything that is not of its kind: everything here was said by somebody unknown."""
        return replace(
            self,
            address=self.address if is_address(self.address) and len(self.address) <= 64 else "",
            certificate=self.certificate if _SHA256.fullmatch(self.certificate) else "",
            certified=self.certified if _SHA256.fullmatch(self.certificate) else "",
            firmware=self.firmware if _FILE.fullmatch(self.firmware) and len(self.firmware) <= 64 else "",
            files=tuple(file for file in self.files if _FILE.fullmatch(file))[:MOST_FILES],
        )
