"""What is kept of a phone for a time without the database: its last good files, and what proves that somebody is it.

Nothing of it proves a phone once: bootstrap tokens and windows are bound to who used them first, which cannot be
written down then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ztp_server.domain.proof import PhoneProofs, counted_proofs
from ztp_server.domain.request import PhoneFile
from ztp_server.domain.site import Network


@dataclass(frozen=True, slots=True)
class KeptSite:
    """`networks`, `proofs` and `plain_secrets` of a site."""

    id: str
    networks: tuple[str, ...]
    proofs: tuple[str, ...]
    plain_secrets: bool


@dataclass(frozen=True, slots=True)
class KeptPhone:
    """`owner` is the id of the phone with its model, and who is on it where that is not who it belongs to: files of
    another one under the same MAC are not its own. `proofs` are those that count for it (None: those of its site),
    `steady` is the hash of its steady token."""

    hardware_id: str
    owner: str
    site: str
    vendor: str
    proofs: tuple[str, ...] | None
    steady: str = ""
    digest_user: str = ""
    digest_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a phone, by the pattern of its name."""

    mac: str
    owner: str
    name: str
    file: PhoneFile


@dataclass(frozen=True, slots=True)
class Update:
    """What is written down together. `changed` are the MACs of which something may be another now, and `phones` what
    they are (missing: nobody who is given files); files are kept for those `noted`. None of sites and denied
    certificates: they are the same. `seen` is the number of the last change in all of it."""

    seen: int
    changed: Collection[str]
    phones: Mapping[str, KeptPhone]
    files: Sequence[KeptFile]
    sites: Sequence[KeptSite] | None = None
    denied: frozenset[str] | None = None
    from_scratch: bool = False

    @property
    def noted(self) -> frozenset[str]:
        return frozenset(made.mac for made in self.files)


@dataclass(frozen=True, slots=True)
class StandingProofs:
    """A kept phone as who judges a request looks at it (services/proving.py)."""

    hardware_id: str
    vendor: str
    networks: tuple[Network, ...]
    counted: tuple[str, ...]
    proofs: PhoneProofs


def counted_of(phone: KeptPhone, site: KeptSite) -> tuple[str, ...]:
    """The names of the proofs that count for a kept phone and outlast their first use."""
    return tuple(name for name in counted_proofs(phone.proofs, site.proofs) if name != "window")
