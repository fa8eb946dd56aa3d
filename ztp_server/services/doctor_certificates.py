"""Do our certificates last and say the right names, and whose word do we take for phones?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from ztp_server.domain.diagnosis import Finding, ok
from ztp_server.errors import Misconfigured
from ztp_server.pki.makers import EXPIRED_CERTS, LEGACY_CERTS, authorities_of_files
from ztp_server.pki.pair import Pair, is_issued_by, read_certificate
from ztp_server.services.ca_pins import META, changes_of, pins_of
from ztp_server.services.doctor_patient import Check, Patient

_PAGE = "docs/how-to/tls-and-client-certificates.md"
_FOLDERS = {"mtls": "", "legacy": LEGACY_CERTS, "expired": EXPIRED_CERTS}
# Days before an end on which it is spoken of: our CA is on every phone, which takes a visit to each.
_CA_DAYS, _SERVER_DAYS, _OWN_DAYS = 180, 14, 30


def own_ca(patient: Patient) -> Sequence[Finding]:
    """The CA that phones were told to trust."""
    file = patient.installation.data / "tls" / "ca.pem"
    if not file.exists():
        return ok("none was made yet: a server makes it when it starts")
    certificate = read_certificate(file)
    advice = f"a new CA has to be brought to every phone while the old one is good: {_PAGE}"
    return _lasting(patient.now, certificate, str(file), _CA_DAYS, advice)


def server_certificate(patient: Patient) -> Sequence[Finding]:
    """What phones are shown: how long it is good, and whether it says the names they come by."""
    folder = patient.installation.data / "tls"
    file = folder / "server.pem"
    if not file.exists():
        return ok("none was made yet: a server makes it when it starts")
    certificate = read_certificate(file)
    days, advice = _OWN_DAYS, f"put a new one with its key there: {_PAGE}"
    if _is_renewed(folder, certificate):
        days, advice = _SERVER_DAYS, "a server renews it 30 days before its end; restart it and look at its log"
    found = list(_lasting(patient.now, certificate, str(file), days, advice))
    names = _names(certificate)
    missing = sorted(host for host in _hosts(patient) if not {host, f"*.{host.partition('.')[2]}"} & names)
    if missing:
        what = f"{file} does not say {', '.join(missing)}, by which phones are told to come"
        found.append(Finding("failure", what, f"restart the server, or have one issued with that name: {_PAGE}"))
    return found


def admin_certificate(patient: Patient) -> Sequence[Finding]:
    """What administrators' browsers are shown."""
    serving = patient.serving
    assert serving
    if not serving.admin_tls:
        return ok("administrators come in without TLS, see the door of administrators")
    if not serving.admin_certificate:
        return ok("it is the one that phones see")
    files = Path(serving.admin_certificate), Path(serving.admin_key)
    advice = f"put a new one with its key there, or leave out --admin-certificate: {_PAGE}"
    try:
        pair = Pair.read(*files)
    except Misconfigured as error:
        return [Finding("failure", str(error), advice)]
    if pair is None:
        return [Finding("failure", f"{files[0]} and {files[1]} are missing", advice)]
    return _lasting(patient.now, pair.certificate, str(files[0]), _OWN_DAYS, advice)


def makers_cas(patient: Patient) -> Sequence[Finding]:
    """The CAs of makers: which count, which do not, and which will not for long."""
    makers = patient.installation.makers
    is_demo = bool(patient.serving and patient.serving.demo)
    found, counted = list[Finding](), 0
    for listener, below in _FOLDERS.items():
        for authority in authorities_of_files([folder / below for folder in makers.counted(is_demo)]):
            problem = authority.problem(listener, patient.now)
            remove = f"ztp ca remove {authority.sha256[:16]}, or add what the maker has now: ztp ca add"
            if problem:
                found.append(Finding("warning", f"{authority.file} does not count: {problem}", remove))
                continue
            counted += 1
            days = (authority.certificate.not_valid_after_utc - patient.now).days
            if days < _CA_DAYS and listener != "expired":
                what = f"{authority.file} ends in {days} days; its phones then count on the listener expired alone"
                found.append(Finding("advice", what, "docs/how-to/listeners.md"))
    return [*found, *_said(patient, counted)]


def demo_cas(patient: Patient) -> Sequence[Finding]:
    """A CA of demonstration phones, whose key lies on this disk, must count for nobody else's."""
    makers = patient.installation.makers
    demo = {authority.sha256 for authority in authorities_of_files([makers.demo])}
    real = [
        authority
        for below in _FOLDERS.values()
        for authority in authorities_of_files([makers.shipped / below, makers.own / below])
        if authority.sha256 in demo
    ]
    if not real:
        return ok(
            f"{len(demo)} CAs of demonstration phones, which count with --demo alone" if demo else "there is none"
        )
    return [
        Finding(
            "failure",
            f"{authority.file} is a CA of the demonstration: who has its key can be any phone",
            f"rm {authority.file}",
        )
        for authority in real
    ]


async def changed_cas(patient: Patient) -> Sequence[Finding]:
    """Files of CAs are what they were when a server last looked."""
    async with patient.records() as records:
        text = await records.meta(META)
    if text is None:
        return ok("no server has looked at them yet")
    makers = patient.installation.makers
    is_demo = bool(patient.serving and patient.serving.demo)
    changed = list(changes_of(json.loads(text), pins_of(makers.counted(is_demo))))
    advice = "if nobody of you did that, take it out before a server is started; see ztp audit list --action ca.added"
    return [Finding("warning", f"{file} {reason}", advice) for _, file, reason in changed] or ok("none has changed")


def _said(patient: Patient, counted: int) -> Iterator[Finding]:
    if counted:
        yield Finding("ok", f"{counted} CAs of makers count")
    elif patient.serving and "mtls" in patient.serving.listeners:
        what = "no CA of a maker counts, so no phone can prove itself with its factory certificate"
        yield Finding("advice", what, f"ztp ca list says where each maker publishes its CA: {_PAGE}")
    else:
        yield Finding("ok", "none, and no listener asks for factory certificates")


def _lasting(now: datetime, certificate: x509.Certificate, file: str, enough: int, advice: str) -> Sequence[Finding]:
    left = certificate.not_valid_after_utc - now
    if now < certificate.not_valid_before_utc:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        return [Finding("failure", f"{file} is not good before {begins}", f"set the clock right; else {advice}")]
    if left <= timedelta(0):
        return [Finding("failure", f"{file} ended on {certificate.not_valid_after_utc:%Y-%m-%d}", advice)]
    if left < timedelta(days=enough):
        return [Finding("warning", f"{file} ends in {left.days} days", advice)]
    return ok(f"{file} is good for {left.days} days")


def _is_renewed(folder: Path, certificate: x509.Certificate) -> bool:
    """Whether our own CA issued it, so that a server makes it anew by itself."""
    ca, key = folder / "ca.pem", folder / "ca.key"
    return ca.exists() and key.exists() and is_issued_by(certificate, read_certificate(ca))


def _hosts(patient: Patient) -> set[str]:
    """The names in the TLS addresses that phones are told to come back to."""
    urls = patient.serving.urls.values() if patient.serving else ()
    return {_plain(urlsplit(url).hostname or "") for url in urls if url.startswith("https:")} - {""}


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    names = {name.lower() for name in found.get_values_for_type(x509.DNSName)}
    return names | {_plain(str(address)) for address in found.get_values_for_type(x509.IPAddress)}


def _plain(host: str) -> str:
    """A host in one spelling."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


CHECKS = (
    Check("own-ca", "our CA", own_ca),
    Check("server-certificate", "certificate that phones see", server_certificate),
    Check("admin-certificate", "certificate that administrators see", admin_certificate, "serving"),
    Check("makers-cas", "CAs of makers", makers_cas),
    Check("demo-cas", "CAs of the demonstration", demo_cas),
    Check("changed-cas", "changes of CAs", changed_cas, "database"),
)
