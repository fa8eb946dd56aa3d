"""Does the server answer, and on no more than it should?"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from ztp_server import __version__
from ztp_server.domain.diagnosis import Finding, ok
from ztp_server.pki.pair import read_certificate
from ztp_server.services.doctor_patient import Check, Patient
from ztp_server.services.serving import Serving

_SECONDS = 5.0
_LISTENERS, _ADMINISTRATORS = "docs/how-to/listeners.md", "docs/how-to/administrators.md"
# Days before its end on which the listener of old phones is spoken of.
_DAYS = 90
# A network of more addresses than this is no place where old phones stand, or a proxy: it is anybody's.
_WIDE = 2**16
# Files a server should be able to open: all seats taken by the first 1280 phones, and beyond that three for each phone
# that boots with all the others, until it takes no more connections (phone_http/bounds.py).
_FEW_FILES, _MOST_FILES = 4096, 16_640


async def server(patient: Patient) -> Sequence[Finding]:
    """Whether it runs, and is this program."""
    serving = patient.serving
    start = f"ztp serve --data {patient.installation.data}, or: systemctl start ztp"
    if serving is None:
        return [Finding("advice", "no server was started with this data yet", start)]
    if serving.stopped_at:
        return [Finding("advice", f"the server was stopped at {serving.stopped_at}", start)]
    answers = await asyncio.gather(*(_problem(patient, kind) for kind in serving.listeners))
    if serving.listeners and all(answers):
        what = f"the server that was started at {serving.started_at} answers nowhere, and nobody stopped it"
        return [Finding("failure", what, f"see why it ended: journalctl -u ztp; then {start}")]
    if serving.version != __version__:
        what = f"the server that runs is ztp {serving.version}, this is {__version__}"
        return [Finding("warning", what, "restart it: systemctl restart ztp")]
    return ok(f"ztp {serving.version} serves since {serving.started_at}")


async def listeners(patient: Patient) -> Sequence[Finding]:
    """Each listener takes connections, and those with TLS show the certificate that lies on the disk."""
    serving = patient.serving
    assert serving
    if serving.stopped_at:
        return ok("the server is stopped, see server")
    found = []
    problems = {kind: await _problem(patient, kind) for kind in serving.listeners}
    if all(problems.values()):
        return ok("none answers, see server")
    for kind, address in serving.listeners.items():
        if problem := problems[kind]:
            advice = f"look for {address} in the log of the server, and at what else listens there: ss -ltnp"
            found.append(Finding("failure", f"{kind} {address}: {problem}", advice))
    return found or ok(f"all answer: {', '.join(f'{kind} {a}' for kind, a in serving.listeners.items())}")


def legacy(patient: Patient) -> Sequence[Finding]:
    """The listener of old phones ends some day, and is for few."""
    serving = patient.serving
    assert serving
    if "legacy" not in serving.listeners:
        return ok("off")
    days = (date.fromisoformat(serving.legacy_until) - patient.now.date()).days
    replaced = f"replace these phones, or say a later day with --legacy-until: {_LISTENERS}"
    found = list(_wide(serving.legacy_networks, "--legacy-networks", "TLS 1.0 with old ciphers is spoken with"))
    if days < 0:
        found.append(
            Finding("failure", f"--legacy-until {serving.legacy_until} is over: these phones are cut off", replaced)
        )
    elif days <= _DAYS:
        found.append(Finding("warning", f"--legacy-until {serving.legacy_until} is in {days} days", replaced))
    return found or ok(f"until {serving.legacy_until}, for {', '.join(serving.legacy_networks)}")


def expired(patient: Patient) -> Sequence[Finding]:
    """So is the one of certificates whose time is over."""
    serving = patient.serving
    assert serving
    if "expired" not in serving.listeners:
        return ok("off")
    found = _wide(serving.expired_networks, "--expired-networks", "certificates whose time is over are believed from")
    return found or ok(f"for {', '.join(serving.expired_networks)}")


def proxies(patient: Patient) -> Sequence[Finding]:
    """A proxy says where a phone is, and maybe who: who is taken for one says so too."""
    serving = patient.serving
    assert serving
    if not serving.trusted_proxies:
        return ok("no proxy is trusted")
    found = _wide(serving.trusted_proxies, "--trusted-proxies", "where a phone is, is taken on the word of")
    return found or ok(f"trusted: {', '.join(serving.trusted_proxies)}")


def admin_door(patient: Patient) -> Sequence[Finding]:
    """Passwords of administrators go over no network in the clear."""
    serving = patient.serving
    assert serving
    address = serving.listeners.get("admin", "")
    if not address:
        return ok("off: administrators use the command line")
    if serving.admin_tls or _is_loopback(address):
        return ok(f"{address}{', TLS' if serving.admin_tls else ', this machine alone'}")
    what = f"--admin-insecure: {address} takes passwords in the clear from other machines"
    return [Finding("warning", what, f"see that only your HTTPS proxy can connect, or leave it out: {_ADMINISTRATORS}")]


async def open_files(patient: Patient) -> Sequence[Finding]:
    """Each connection is an open file, and all phones of a building boot together."""
    serving = patient.serving
    assert serving
    phones = 0
    if patient.database:
        async with patient.records() as records:
            phones = await records.phones()
    wanted = min(max(_FEW_FILES, 3 * phones + 256), _MOST_FILES)
    if serving.files >= wanted:
        return ok(f"{serving.files} for {phones} phones")
    what = f"the server may open {serving.files} files, and {phones} phones that boot together need {wanted}"
    return [Finding("warning", what, f"LimitNOFILE={_MOST_FILES} in its unit, or ulimit -n {_MOST_FILES}")]


async def _problem(patient: Patient, kind: str) -> str:
    """Why a listener does not answer as it should; empty when it does."""
    serving = patient.serving
    assert serving
    host, _, port = serving.listeners[kind].rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
    tls = _is_tls(serving, kind)
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port), ssl=_unverified() if tls else None)
    except (OSError, TimeoutError, ssl.SSLError) as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return f"cannot be connected to ({reason})"
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) if tls else b""
    finally:
        writer.transport.abort()
    file = _certificate(patient, kind)
    if tls and file.exists() and read_certificate(file).public_bytes(Encoding.DER) != shown:
        return f"shows another certificate than the one in {file}"
    return ""


def _is_tls(serving: Serving, kind: str) -> bool:
    """Not of listeners that hang up on this machine before they say anything."""
    return kind in ("https", "mtls") or (kind == "admin" and serving.admin_tls)


def _certificate(patient: Patient, kind: str) -> Path:
    serving = patient.serving
    assert serving
    if kind == "admin" and serving.admin_certificate:
        return Path(serving.admin_certificate)
    return patient.installation.data / "tls" / "server.pem"


def _unverified() -> ssl.SSLContext:
    """What is shown is compared with what lies on the disk instead."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _wide(networks: Sequence[str], option: str, power: str) -> list[Finding]:
    wide = [network for network in networks if ip_network(network).num_addresses > _WIDE]
    what = f"{option} {', '.join(wide)}: {power} that many addresses"
    return [Finding("warning", what, f"name the networks where they are, and no more: {_LISTENERS}")] if wide else []


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


CHECKS = (
    Check("server", "the server", server),
    Check("listeners", "listeners", listeners, "serving"),
    Check("admin-door", "door of administrators", admin_door, "serving"),
    Check("legacy-listener", "listener of old phones", legacy, "serving"),
    Check("expired-listener", "listener of expired certificates", expired, "serving"),
    Check("proxies", "trusted proxies", proxies, "serving"),
    Check("open-files", "files the server may open", open_files, "serving"),
)
