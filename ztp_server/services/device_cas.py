"""The makers' CAs on whose word a phone's factory certificate counts: which there are, adding and removing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ztp_server.domain.access import Actor
from ztp_server.domain.denied_certificate import parse_sha256
from ztp_server.domain.vendor import Vendor
from ztp_server.errors import BadValue, Conflict, Misconfigured, NotFound
from ztp_server.pki.ca_files import ca_path, put_back, take_out, write_cas
from ztp_server.pki.extensions import is_ca
from ztp_server.pki.makers import (
    EXPIRED_CERTS,
    LEGACY_CERTS,
    DeviceAuthority,
    MakerFolders,
    authorities_of_files,
    parse_certificates,
)
from ztp_server.pki.strength import key_name
from ztp_server.services.address import ServerAddress
from ztp_server.services.edits import checked_reason
from ztp_server.services.templates import Templates
from ztp_server.store import Store

P = ParamSpec("P")
T = TypeVar("T")

# The listener on which the word of a CA counts, and the folder below the vendors' where such CAs lie.
_FOLDERS = {"mtls": "", "legacy": LEGACY_CERTS, "expired": EXPIRED_CERTS}
LISTENERS = tuple(_FOLDERS)
# No bundle of a maker is larger.
MOST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class DeviceCa:
    """A CA of a maker. `sha256` is its pin, of the certificate itself. `listener` is where its word counts; `problem`
    why it does not at present, `remark` what is worth knowing. `file` is where it lies, `own` whether an administrator
    put it there."""

    vendor: str
    sha256: str
    subject: str
    issuer: str
    key: str
    not_after: datetime
    listener: str
    problem: str
    remark: str
    file: str
    own: bool


@dataclass(frozen=True, slots=True)
class Maker:
    """A maker whose phones have factory certificates: the common names of its CAs, where it publishes them (empty: not
    known), and how many of them are here and count."""

    vendor: str
    name: str
    issuers: tuple[str, ...]
    published_at: str
    cas: int


class DeviceCas:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress, folders: MakerFolders) -> None:
        self._store = store
        self._templates = templates
        self._address = address
        self._folders = folders

    async def all(self, who: Actor) -> list[DeviceCa]:
        """Every CA, also those whose word does not count, once for each file it lies in. Raises Forbidden, and Conflict
        naming a file that cannot be read."""
        who.require("trust:view")
        return await _told(self._found)

    async def get(self, who: Actor, sha256: str) -> list[DeviceCa]:
        """The CA with a pin, or whose pin begins so, once for each file it lies in. Raises NotFound, also when several
        begin so, Forbidden, and Conflict."""
        beginning = sha256.strip().replace(":", "").lower()
        found = [ca for ca in await self.all(who) if ca.sha256.startswith(beginning)]
        if len({ca.sha256 for ca in found}) != 1:
            raise NotFound(f"{'more than one' if found else 'no'} CA {sha256.strip()[:64]!r}")
        return found

    async def makers(self, who: Actor) -> list[Maker]:
        """The makers whose phones have factory certificates, with and without a CA here."""
        found = await self.all(who)
        counts = [vendor for vendor, _ in {(ca.vendor, ca.sha256) for ca in found if not ca.problem}]
        vendors = [vendor for vendor in self._templates.catalog.vendors.values() if vendor.certificate]
        return [
            Maker(v.id, v.name, v.certificate.issuers, v.certificate.published_at, counts.count(v.id))
            for v in vendors
            if v.certificate
        ]

    async def add(
        self,
        who: Actor,
        vendor: str,
        content: bytes,
        *,
        listener: str = "mtls",
        any_name: bool = False,
        reason: str = "",
    ) -> list[DeviceCa]:
        """Trust the CAs in a file (PEM, any number, or one in DER) for the phones of a vendor. With `any_name` their
        names may be others than the maker's CAs are known by. Raises BadValue naming what is wrong, Conflict for one
        that is there already, Forbidden; then none is added."""
        who.require("trust:edit")
        reason = checked_reason(reason)
        maker = self._maker(vendor)
        certificates = _read(content)
        for certificate in certificates:
            _check(certificate, maker, listener, any_name)
        folder = self._folders.own / _FOLDERS[listener] / vendor
        new = [DeviceAuthority(vendor, "", certificate) for certificate in certificates]
        paths = [ca_path(folder, authority) for authority in new]
        written: list[Path] = []
        try:
            async with self._store.write() as session:
                await _told(self._refuse_present, new, paths, listener)
                for authority in new:
                    record = _record(authority, listener)
                    await session.audit.add(who, "ca.added", f"ca:{authority.sha256}", after=record, reason=reason)
                written = paths
                await _told(write_cas, folder, new)
        except BaseException:
            # What no audit tells of must let in nobody.
            for path in written:
                with suppress(OSError):
                    path.unlink()
            raise
        return [_shown(authority, listener, str(path), own=True) for authority, path in zip(new, paths, strict=True)]

    async def remove(self, who: Actor, sha256: str, *, listener: str = "", reason: str = "") -> None:
        """Trust a CA no more, on one listener or everywhere. Raises BadValue, NotFound, Forbidden, and Conflict for one
        that came with the program or stands in a file with others, which only an editor can take out."""
        who.require("trust:edit")
        sha256, reason = parse_sha256("sha256", sha256), checked_reason(reason)
        taken: dict[Path, bytes] = {}
        try:
            async with self._store.write() as session:
                cas = await _told(self._found)
                wanted = [ca for ca in cas if ca.sha256 == sha256 and listener in ("", ca.listener)]
                if not wanted:
                    raise NotFound(f"no CA {sha256}")
                for ca in wanted:
                    if not ca.own:
                        raise Conflict(f"{ca.file} is not yours to remove")
                    beside = [other for other in cas if other.file == ca.file and other.sha256 != sha256]
                    if beside:
                        raise Conflict(f"{ca.file} holds {len(beside)} more; take it out there by hand")
                for ca in wanted:
                    before = {"vendor": ca.vendor, "subject": ca.subject, "listener": ca.listener}
                    await session.audit.add(who, "ca.removed", f"ca:{sha256}", before=before, reason=reason)
                taken = await _told(take_out, sorted({Path(ca.file) for ca in wanted}))
        except BaseException:
            await asyncio.to_thread(put_back, taken)
            raise

    def _refuse_present(self, new: Sequence[DeviceAuthority], paths: Sequence[Path], listener: str) -> None:
        there = {ca.sha256: ca.file for ca in self._found() if ca.listener == listener}
        for authority, path in zip(new, paths, strict=True):
            file = there.get(authority.sha256) or (path.exists() and path)
            if file:
                raise Conflict(f"CA {authority.sha256} is there already, in {file}")

    def _maker(self, vendor: str) -> Vendor:
        found = self._templates.catalog.vendors.get(vendor)
        known = [v.id for v in self._templates.catalog.vendors.values() if v.certificate]
        if found is None or found.certificate is None:
            there = ", ".join(known)
            raise BadValue("vendor", f"{vendor[:64]!r} is none with factory certificates; there are: {there}")
        return found

    def _found(self) -> list[DeviceCa]:
        return [
            _shown(authority, listener, authority.file, own=folder == self._folders.own)
            for folder in self._folders.counted(self._address.is_demo)
            for listener, below in _FOLDERS.items()
            for authority in authorities_of_files([folder / below])
        ]


async def _told(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Work on files, in a thread. Raises Conflict for what stands in its way on the disk: who asked can mend it."""
    try:
        return await asyncio.to_thread(work, *given, **named)
    except Misconfigured as error:
        raise Conflict(str(error)) from None


def _read(content: bytes) -> list[x509.Certificate]:
    if len(content) > MOST_BYTES:
        raise BadValue("certificate", f"{len(content)} bytes, at most {MOST_BYTES}")
    found = parse_certificates(content)
    if len({certificate.public_bytes(Encoding.DER) for certificate in found}) < len(found):
        raise BadValue("certificate", "the same one stands in it twice")
    return found


def _check(certificate: x509.Certificate, maker: Vendor, listener: str, any_name: bool) -> None:
    if listener not in _FOLDERS:
        raise BadValue("listener", f"{listener[:64]!r} is none of {', '.join(LISTENERS)}")
    subject = certificate.subject.rfc4514_string()
    if not is_ca(certificate):
        raise BadValue("certificate", f"{subject!r} is not a CA certificate; add the CA that issued it")
    problem = DeviceAuthority(maker.id, "", certificate).problem(listener)
    if problem:
        raise BadValue("certificate", f"{subject!r}: {problem}")
    both = (*certificate.subject, *certificate.issuer)
    names = {attribute.value for attribute in both if attribute.oid == NameOID.COMMON_NAME}
    known = maker.certificate.issuers if maker.certificate else ()
    if known and not any_name and not names & set(known):
        expected = ", ".join(known)
        reason = f"{subject!r} is no name of {maker.name}'s CAs ({expected}); if it is one all the same, allow any name"
        raise BadValue("certificate", reason)


def _shown(authority: DeviceAuthority, listener: str, file: str, *, own: bool) -> DeviceCa:
    certificate = authority.certificate
    return DeviceCa(
        vendor=authority.vendor,
        sha256=authority.sha256,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        key=key_name(certificate),
        not_after=certificate.not_valid_after_utc,
        listener=listener,
        problem=authority.problem(listener),
        remark=authority.remark,
        file=file,
        own=own,
    )


def _record(authority: DeviceAuthority, listener: str) -> dict[str, Any]:
    subject = authority.certificate.subject.rfc4514_string()
    return {"vendor": authority.vendor, "subject": subject, "listener": listener}


def ca_view(ca: DeviceCa) -> dict[str, Any]:
    """As doors show it."""
    names = ("vendor", "sha256", "subject", "issuer", "key", "listener", "problem", "remark", "file", "own")
    return {name: getattr(ca, name) for name in names} | {"not_after": ca.not_after.isoformat()}
