"""The hardware ID of a phone: its MAC address, or the host name of a softphone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ztp_server.errors import BadValue

# What people and phones write: 0004f2aabbcc, 00:04:F2:AA:BB:CC, 00-04-…, 0004.f2aa.bbcc, 0004F2-AABBCC.
MAC_PATTERN = r"[0-9A-Fa-f]{2}(?:[:.-]?[0-9A-Fa-f]{2}){5}"
_MAC = re.compile(MAC_PATTERN)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True)
class HardwareId:
    """A normalised hardware ID: 12 lower-case hex digits, or a lower-case FQDN without its trailing dot."""

    value: str

    @classmethod
    def parse(cls, text: str) -> HardwareId:
        """Read a MAC in any notation, or an FQDN. Raises BadValue for anything else."""
        text = text.strip()
        mac = normalise_mac(text)
        if mac:
            return cls(mac)
        if _MAC.fullmatch(text):
            raise BadValue("hardware_id", f"{text} is not the address of one device")
        name = text.removesuffix(".").lower()
        labels = name.split(".")
        if len(labels) > 1 and len(name) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit():
            return cls(name)
        raise BadValue("hardware_id", f"{text[:64]!r} is neither a MAC address (12 hex digits) nor a host name")

    @property
    def is_mac(self) -> bool:
        return len(self.value) == 12 and "." not in self.value

    def __str__(self) -> str:
        return self.value


def normalise_mac(text: str) -> str | None:
    """A device's MAC as 12 lower-case hex digits; None for other text and for group or all-zero addresses.

    The all-zero address is no device: `000000000000.cfg` is a name that every phone may ask for.
    """
    if not _MAC.fullmatch(text):
        return None
    digits = re.sub("[^0-9a-f]", "", text.lower())
    is_group = int(digits[1], 16) & 1
    return None if is_group or digits == "000000000000" else digits
