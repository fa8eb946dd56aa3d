"""A phone that is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from ztp_server.domain.vendor import Family, Model, Vendor
from ztp_server.simulator.failure import SimulationFailed

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class SimulatedPhone:
    """What a simulated phone is, and how it writes its own name. `mac` is 12 lower-case hex digits; without a
    `firmware` it runs something old, though none that TLS is beyond."""

    vendor: Vendor
    model: Model
    mac: str
    firmware: str = ""

    @property
    def family(self) -> Family:
        return self.vendor.family[self.model.family]

    @cached_property
    def user_agent(self) -> str:
        return self.fill(self.family.user_agent_example)

    def fill(self, pattern: str, **words: str) -> str:
        """A name of vendor.toml with this phone's own words put in. Raises SimulationFailed for a word unknown."""
        own = {
            "mac": self.mac,
            "MAC": self.mac.upper(),
            "model": self.model.user_agent,
            "part": self.model.part,
            "firmware": self.firmware or self.family.tls_firmware or "1.0.0.0",
        }
        try:
            return _PLACEHOLDER.sub(lambda found: {**own, **words}[found[1]], pattern)
        except KeyError as unknown:
            raise SimulationFailed(f"{self.vendor.id}/vendor.toml: {pattern}: no placeholder {unknown}") from None

    def is_image(self, name: str) -> bool:
        """Whether the maker calls firmware so: of that a phone wants the header first."""
        return any(rule.regex.fullmatch(name) for rule in self.vendor.firmware)
