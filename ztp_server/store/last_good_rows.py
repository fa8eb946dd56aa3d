"""Kept phones, sites and files as the bytes that are sealed."""

from __future__ import annotations

import hmac
import json
import zlib
from dataclasses import asdict
from typing import Any

from ztp_server.domain.attempt import MadeOf
from ztp_server.domain.kept_phone import KeptFile, KeptPhone, KeptSite
from ztp_server.domain.request import PhoneFile


def written(kept: KeptPhone | KeptSite) -> bytes:
    return json.dumps(asdict(kept)).encode()


def read_phone(content: bytes) -> KeptPhone:
    found: dict[str, Any] = json.loads(content)
    proofs = found["proofs"]
    return KeptPhone(**{**found, "proofs": None if proofs is None else tuple(proofs)})


def read_site(content: bytes) -> KeptSite:
    found: dict[str, Any] = json.loads(content)
    return KeptSite(**{**found, "networks": tuple(found["networks"]), "proofs": tuple(found["proofs"])})


def packed(made: KeptFile) -> bytes:
    """A file with what an answer says of it, compressed: quickly, for thousands may be written at once."""
    return zlib.compress(_head(made) + b"\n" + made.file.body, 1)


def unpacked(content: bytes) -> PhoneFile:
    head, _, body = zlib.decompress(content).partition(b"\n")
    said: dict[str, Any] = json.loads(head)
    return PhoneFile(body, said["content_type"], said["etag"], made_of=MadeOf.read(said["made_of"]))


def tag_of(key: bytes, made: KeptFile) -> bytes:
    """What tells whether a file is kept already; without the key it says nothing of what is in it."""
    return hmac.digest(key, made.owner.encode() + b"\n" + _head(made), "sha256")[:16]


def _head(made: KeptFile) -> bytes:
    file = made.file
    said = {"content_type": file.content_type, "etag": file.etag}
    return json.dumps(said | {"made_of": file.made_of.as_dict() if file.made_of else {}}).encode()
