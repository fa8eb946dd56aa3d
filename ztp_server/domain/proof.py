"""What shows that a request comes from a phone, beside its certificate and its address."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ztp_server.errors import BadValue

# Kinds of proof, the strongest first.
PROOFS = ("certificate", "token", "window", "digest", "network")

TokenKind = Literal["bootstrap", "steady"]


@dataclass(frozen=True, slots=True)
class PhoneToken:
    """A token in the path of a phone's requests. `hash` is its SHA-256; the token itself is derived anew from `number`
    (Vault.token) where it has to be written into a file. A bootstrap token brings a phone here the first time and dies
    when the steady one is used; it is bound to the `address` that used it first. The steady one stands in the files."""

    phone_id: str
    kind: TokenKind
    hash: str
    number: str
    created_by: str
    created_at: datetime
    first_used_at: datetime | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class ProvisioningWindow:
    """A time in which the first to ask in a phone's name is believed, and from then on only its `address`. It closes
    when the phone first uses a proof of its own."""

    phone_id: str
    opened_by: str
    opened_at: datetime
    until: datetime
    first_used_at: datetime | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class DigestCredential:
    """What a phone answers HTTP Digest with."""

    phone_id: str
    user: str
    password: str = field(repr=False)
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PhoneProofs:
    """All that a phone can prove itself with, as far as an administrator made it."""

    bootstrap: PhoneToken | None = None
    steady: PhoneToken | None = None
    window: ProvisioningWindow | None = None
    digest: DigestCredential | None = None


def parse_proofs(texts: list[str]) -> tuple[str, ...]:
    """Names of proofs that count, the strongest first, each once. Raises BadValue for an unknown one."""
    for text in texts:
        if text not in PROOFS:
            raise BadValue("proofs", f"{text[:64]!r} is none of {', '.join(PROOFS)}")
    return tuple(name for name in PROOFS if name in texts)


def read_proofs(text: str) -> tuple[str, ...] | None:
    """The proofs of a phone as people write them: `certificate,token`; `site` for those of its site (None); `none` for
    none at all, which blocks the phone. Raises BadValue."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["site"]:
        return None
    if names == ["none"]:
        return ()
    if not names:
        raise BadValue("proofs", f"must be some of {', '.join(PROOFS)}, or site, or none")
    return parse_proofs(names)


def spelled_proofs(proofs: Sequence[str] | None) -> str:
    """The proofs of a phone as `read_proofs` takes them."""
    return "site" if proofs is None else ",".join(proofs) or "none"


def counted_proofs(own: tuple[str, ...] | None, of_site: tuple[str, ...]) -> tuple[str, ...]:
    """The proofs that count for a phone: its own, or those of its site."""
    return of_site if own is None else own


def token_hash(token: str) -> str:
    """What is kept of a token: 192 bits cannot be guessed, so that a plain digest is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_path(token: str) -> str:
    """What stands between the address of a listener and the name of a file."""
    return f"t/{token}/"
