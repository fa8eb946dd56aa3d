"""Is anybody believed too easily, kept out, or trying to get in?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from ztp_server.domain.diagnosis import Finding, Level, ok
from ztp_server.domain.site import PRIVATE_NETWORKS, Network
from ztp_server.services.doctor_patient import Check, Patient

DAY = timedelta(days=1)
# A desk has one phone, a home two or three. More phones than this behind one address came through something.
_MOST_BEHIND_ONE = 8
# Public networks larger than a provider gives one customer (RFC 6177: 48 bits for a site).
_PUBLIC_BITS = {4: 24, 6: 48}
_NAMED = 5
_MANY_FAILED_LOGINS = 20
_PROOFS, _LIMITS, _UNKNOWN = "docs/how-to/proofs.md", "docs/how-to/limits.md", "docs/how-to/unknown-phones.md"
_SITES = "docs/how-to/sites.md"
_LISTENERS, _HISTORY = "docs/how-to/listeners.md", "docs/how-to/history.md"
_TEMPLATES, _FIRMWARE = "docs/how-to/own-templates.md", "docs/how-to/firmware.md"
_CERTIFICATES = "docs/how-to/tls-and-client-certificates.md"

# Events of the last day that somebody should look at, and what to do about them.
TELLING: Mapping[str, tuple[Level, str]] = {
    "enumeration.suspected": ("warning", f"keep that network out: {_LIMITS}"),
    "proof.refused": ("warning", f"somebody showed what was used already: {_PROOFS}"),
    "certificate.changed": ("warning", f"if that phone was not repaired, deny the new certificate: {_CERTIFICATES}"),
    "certificate.unknown_block": ("advice", f"see that it is a phone of yours: {_CERTIFICATES}"),
    "proxy.forgeable": ("failure", f"let the proxy set both headers in every server block: {_LISTENERS}"),
    "proxy.header_forged": ("warning", f"somebody but the proxy reaches that listener: {_LISTENERS}"),
    "proxy.certificate_refused": ("advice", f"see what the proxy hands on: {_LISTENERS}"),
    "ca.changed": ("warning", f"if nobody of you did that, take the file away: {_CERTIFICATES}"),
    "ca.found": ("advice", "if nobody of you did that, take the file away: ztp audit list --action ca.added"),
    "secret.damaged": ("failure", "set that value anew: docs/how-to/keys.md"),
    "template.failed": ("failure", f"mend it, then: ztp templates check ({_TEMPLATES})"),
    "template.left_out": ("warning", f"mend it, then: ztp templates check ({_TEMPLATES})"),
    "phone.failed": ("failure", "ztp phone why HARDWARE-ID"),
    "firmware.damaged": ("failure", f"add the image again: {_FIRMWARE}"),
    "firmware.step_missing": ("advice", f"add the images on the way: {_FIRMWARE}"),
    "last_good.not_written": ("warning", "see that the data folder can be written: df, ls -ld DATA"),
    "last_good.unreadable": ("warning", "the server makes it anew; see the log for what was wrong with it"),
    "overrides.refused": ("advice", "docs/how-to/user-changes.md"),
    "approval_rule.passed_over": ("advice", f"approve it by hand, or change the rule: {_UNKNOWN}"),
    "listener.ended": ("warning", f"these phones are cut off: {_LISTENERS}"),
}


async def sites(patient: Patient) -> Sequence[Finding]:
    """Where an address is a proof, it is one of that place."""
    async with patient.records() as records:
        believed = [row for row in await records.sites() if "network" in row.proofs]
    found = []
    for row in believed:
        networks = [ip_network(text) for text in row.networks]
        narrow = (
            f"ztp site edit {row.id} --set networks=10.1.0.0/16, or without network: --set proofs=certificate,token"
        )
        public = [str(network) for network in networks if _is_wide_and_public(network)]
        if public:
            what = f"site {row.id}: who comes from {', '.join(public)} and knows a MAC gets that phone's secrets"
            found.append(Finding("failure", what, f"{narrow}: {_PROOFS}"))
        elif set(PRIVATE_NETWORKS) <= set(row.networks):
            what = f"site {row.id} believes every private address, of this and any other place"
            found.append(Finding("advice", what, f"{narrow}: {_PROOFS}"))
    return _some(found) or ok(f"{len(believed)} sites believe an address, each of its own networks")


async def plain_http(patient: Patient) -> Sequence[Finding]:
    """Passwords go over plain HTTP only where somebody wants that."""
    serving = patient.serving
    if serving and "http" not in serving.listeners:
        return ok("the listener http is off")
    async with patient.records() as records:
        plain = [row.id for row in await records.sites() if row.plain_secrets]
    if not plain:
        return ok("no site gives secrets over plain HTTP")
    what = f"over plain HTTP, which anybody on the way reads, secrets are given at: {_list(plain)}"
    return [
        Finding("advice", what, f"where all phones speak TLS: ztp site edit SITE --set plain_secrets=off ({_SITES})")
    ]


async def shared_addresses(patient: Patient) -> Sequence[Finding]:
    """Behind a proxy or address translation all phones look like one place; so does who tries their MACs there."""
    async with patient.records() as records:
        crowded = await records.addresses(patient.now - DAY, _MOST_BEHIND_ONE)
        believed = {row.id: row.networks for row in await records.sites() if "network" in row.proofs}
    proxies = patient.serving.trusted_proxies if patient.serving else ()
    found = []
    for address, count in crowded.items():
        where = [site for site, networks in believed.items() if _lies_in(address, networks)]
        if not where:
            continue
        what = f"{count} phones came from {address} within a day, which is a proof at {_list(where)}"
        if _lies_in(address, proxies):
            advice = (
                f"this trusted proxy sends no X-Forwarded-For: let it, and replace what a phone sends: {_LISTENERS}"
            )
        else:
            otherwise = "if it translates addresses, let other proofs count there"
            advice = f"if it is a proxy, name it in --trusted-proxies; {otherwise}: {_PROOFS}"
        found.append(Finding("warning", what, advice))
    return _some(found) or ok(f"no address that is a proof presents more than {_MOST_BEHIND_ONE} phones")


async def blocked(patient: Patient) -> Sequence[Finding]:
    """Phones that nothing can prove get nothing."""
    async with patient.records() as records:
        phones = await records.blocked()
    if not phones:
        return ok("none")
    what = f"{len(phones)} phones are blocked and get nothing: {_list(phones)}"
    return [Finding("advice", what, f"if it was not meant for ever: ztp phone unblock HARDWARE-ID ({_PROOFS})")]


async def windows(patient: Patient) -> Sequence[Finding]:
    """A window is for the hour in which a phone is unpacked."""
    async with patient.records() as records:
        rows = await records.windows(patient.now, patient.now - DAY)
    if not rows:
        return ok("none is open for more than a day")
    named = _list([row.hardware_id for row in rows])
    what = f"windows open for more than a day, in which whoever comes first is believed: {named}"
    return [
        Finding("warning", what, f"ztp phone window close HARDWARE-ID, and open it when the phone is there: {_PROOFS}")
    ]


async def approval_rules(patient: Patient) -> Sequence[Finding]:
    """Rules that let phones in by themselves end."""
    async with patient.records() as records:
        rows = await records.open_rules()
    if not rows:
        return ok("none is without an end")
    what = f"rules that approve phones and never end: {_list([f'{row.id} (proof {row.proof})' for row in rows])}"
    return [Finding("advice", what, f"ztp approval-rule edit RULE --until TIME, or remove it: {_UNKNOWN}")]


async def denied(patient: Patient) -> Sequence[Finding]:
    """Somebody still has a phone whose certificate was denied."""
    async with patient.records() as records:
        rows = await records.denied_in_use(patient.now - DAY)
    found = [
        Finding(
            "warning",
            f"denied certificate {row.sha256[:16]} ({row.subject}) was shown within a day, from {row.address or '?'}",
            f"look for that phone there: {_CERTIFICATES}",
        )
        for row in rows
    ]
    return _some(found) or ok("none was shown within a day")


async def events(patient: Patient) -> Sequence[Finding]:
    """What the server reported within a day and somebody should look at."""
    async with patient.records() as records:
        seen = await records.events(patient.now - DAY)
        failed = await records.failed_logins(patient.now - DAY)
    found = list(_telling(seen))
    if failed >= _MANY_FAILED_LOGINS:
        what = f"{failed} log-ins of administrators failed within a day"
        found.append(Finding("warning", what, "ztp audit list --action login.failed; docs/how-to/administrators.md"))
    return found or ok(f"of {sum(one.count for one in seen.values())} events none has to be looked at")


def _telling(seen: Mapping[str, Any]) -> Iterator[Finding]:
    for action, (level, advice) in TELLING.items():
        if one := seen.get(action):
            often = f"{one.count} times, lately " if one.count > 1 else ""
            yield Finding(level, f"{action}: {often}{one.subject} {one.reason}".rstrip(), advice)


def _is_wide_and_public(network: Network) -> bool:
    if network.prefixlen == 0:
        return True
    return not network.is_private and network.prefixlen < _PUBLIC_BITS[network.version]


def _lies_in(address: str, networks: Sequence[str]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _some(found: list[Finding]) -> list[Finding]:
    """The worst first, and not thousands."""
    if len(found) <= 2 * _NAMED:
        return found
    worst = sorted(found, key=lambda finding: finding.level != "failure")[: 2 * _NAMED]
    return [*worst, Finding(worst[-1].level, f"{len(found) - len(worst)} more like these", worst[-1].advice)]


CHECKS = (
    Check("sites", "networks of sites", sites, "database"),
    Check("plain-http", "secrets over plain HTTP", plain_http, "database"),
    Check("shared-addresses", "many phones behind one address", shared_addresses, "database"),
    Check("blocked", "blocked phones", blocked, "database"),
    Check("windows", "windows", windows, "database"),
    Check("approval-rules", "rules that approve phones", approval_rules, "database"),
    Check("denied-certificates", "denied certificates", denied, "database"),
    Check("events", "events of the last day", events, "database"),
)
