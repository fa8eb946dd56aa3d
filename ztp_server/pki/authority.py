"""The certificates we make ourselves: the server's, from a small CA of its own, and factory ones for demo and tests."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from ztp_server.errors import Misconfigured
from ztp_server.pki.issuing import CLIENT, SERVER, certificates_pem, issue, key_pem, new_authority, new_key
from ztp_server.pki.pair import Pair, PrivateKey, read_certificate, write_files
from ztp_server.pki.subject import attribute_oid

_RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True)
class ServerFiles:
    """What a TLS listener is made of. `extra` holds a second pair, ECDSA, for clients that prefer it."""

    certificate: Path
    key: Path
    ca: Path
    extra: tuple[tuple[Path, Path], ...] = ()


def ensure_server_files(folder: Path, names: Sequence[str]) -> ServerFiles:
    """The server's certificate for `names` (host names and addresses), made at the first start with a CA of its own.

    Our certificate is made anew when it lacks a name or expires soon; an operator's own is left alone, whatever it
    says. Raises Misconfigured naming the files that are missing, broken, readable by others or do not belong together,
    or the folder that cannot be written.
    """
    wanted = [_general_name(name) for name in names]
    certificate, key, ca, ca_key = (folder / name for name in ("server.pem", "server.key", "ca.pem", "ca.key"))
    files = ServerFiles(certificate, key, ca, _second_pair(folder))
    server = Pair.read(certificate, key)
    if server and ca.exists() and not ca_key.exists():
        # An authority whose key is kept elsewhere: only its owner can renew what it issued.
        read_certificate(ca)
        return files
    authority = Pair.read(ca, ca_key) or _make_authority(ca, ca_key, f"Phone provisioning CA {secrets.token_hex(4)}")
    if server is None:
        new = new_key()
        content = _server_pem(authority, new, wanted)
        write_files(folder, (key, key_pem(new), 0o600), (certificate, content, 0o644))
    elif authority.issued(server.certificate) and _is_outdated(server.certificate, wanted):
        # The key stays: one file is replaced, so no crash can leave a pair that does not match.
        write_files(folder, (certificate, _server_pem(authority, server.key, wanted), 0o644))
    return files


def make_device_authority(folder: Path, name: str) -> tuple[Path, Path]:
    """The files (certificate, key) of an authority that issues factory certificates in a demo or test.

    An existing pair is kept. Raises Misconfigured as `ensure_server_files` does.
    """
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    if Pair.read(certificate, key) is None:
        _make_authority(certificate, key, name)
    return certificate, key


def make_device_certificate(
    ca_cert_path: Path, ca_key_path: Path, folder: Path, file_stem: str, subject: Mapping[str, str]
) -> tuple[Path, Path]:
    """The files (certificate, key) of a phone's factory certificate, with `subject` such as {"CN": "0004F2AABBCC"}.

    A pair of that authority and subject is kept while it is valid. Raises Misconfigured as `ensure_server_files` does.
    """
    authority = Pair.read(ca_cert_path, ca_key_path)
    if authority is None:
        raise Misconfigured(f"{ca_cert_path} and {ca_key_path} are missing: make the authority first")
    name = x509.Name([x509.NameAttribute(attribute_oid(attribute), value) for attribute, value in subject.items()])
    certificate, key = folder / f"{file_stem}.pem", folder / f"{file_stem}.key"
    present = Pair.read(certificate, key)
    if present is None or not _is_kept(present.certificate, authority, name):
        new = new_key()
        content = certificates_pem(issue(authority, new, name, CLIENT))
        write_files(folder, (key, key_pem(new), 0o600), (certificate, content, 0o644))
    return certificate, key


def _make_authority(certificate: Path, key: Path, name: str) -> Pair:
    pair = new_authority(name)
    files = ((key, key_pem(pair.key), 0o600), (certificate, certificates_pem(pair.certificate), 0o644))
    write_files(certificate.parent, *files)
    return pair


def _server_pem(authority: Pair, key: PrivateKey, names: Sequence[x509.GeneralName]) -> bytes:
    # Old phones compare the common name only. It holds 64 characters; what is longer stands in the alternatives alone.
    common = next((str(name.value) for name in names if len(str(name.value)) <= 64), "phone provisioning")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    return certificates_pem(issue(authority, key, subject, SERVER, names), authority.certificate)


def _second_pair(folder: Path) -> tuple[tuple[Path, Path], ...]:
    certificate, key = folder / "server-ecdsa.pem", folder / "server-ecdsa.key"
    return ((certificate, key),) if Pair.read(certificate, key) else ()


def _is_kept(certificate: x509.Certificate, authority: Pair, subject: x509.Name) -> bool:
    return certificate.subject == subject and authority.issued(certificate) and not _is_outdated(certificate)


def _is_outdated(certificate: x509.Certificate, names: Sequence[x509.GeneralName] = ()) -> bool:
    if certificate.not_valid_after_utc < datetime.now(UTC) + _RENEW_BEFORE:
        return True
    try:
        present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return bool(names)
    return not set(names) <= set(present)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.lower().removesuffix("."))
    except ValueError:
        raise Misconfigured(f"{name!r} cannot stand in a certificate; write it in ASCII (xn--…)") from None
