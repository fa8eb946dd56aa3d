"""What to do about a phone that does not get what it should, by what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ztp_server.domain.attempt import Attempt
from ztp_server.domain.moment import shown_moment
from ztp_server.domain.why import WouldGet
from ztp_server.services.address import ServerAddress
from ztp_server.services.fleet import lies_in
from ztp_server.services.own_files import networks_of
from ztp_server.services.why_findings import Looked


def advice(looked: Looked, answers: Sequence[WouldGet], address: ServerAddress) -> Iterator[str]:
    """One sentence for each thing to be done, the most likely first; none when all is well."""
    if looked.phone is None:
        mac = looked.mac
        yield f"bring it back: ztp phone restore {mac}" if looked.removed else _add(mac)
        return
    if looked.known is None:
        return
    failed = [answer for answer in answers if answer.status == 503]
    if failed:
        yield f"mend what fails: {failed[0].text}; until then the phone keeps what it has"
    if not looked.attempts:
        yield _never_asked(address)
        return
    yield from _by_last(looked, looked.attempts[0], address)


def _add(mac: str) -> str:
    return f"add it: ztp phone add --hardware-id {mac} --model MODEL --site SITE --base-settings BASE-SETTINGS"


def _never_asked(address: ServerAddress) -> str:
    url = address.server.urls.get("http") or next(iter(address.server.urls.values()), "")
    return (
        f"nothing was ever asked in its name: see that DHCP option 66 or 160 is {url} in the phone's VLAN, that the "
        "phone was restarted since, and that it reaches this address and port"
    )


def _by_last(looked: Looked, last: Attempt, address: ServerAddress) -> Iterator[str]:
    known, site = looked.known, looked.site
    assert known and site
    if last.status == 503:
        yield f"its last request failed here: {last.reason}"
    elif last.proof and not last.reason:
        yield from _stopped_short(looked)
    elif last.listener == "mtls":
        yield "it showed no certificate that counts as its own: see certs/ for its maker's CA, and the site's proofs"
    elif not last.address:
        yield "a proxy hides its address: see --trusted-proxies"
    elif "network" in site.proofs and not lies_in(last.address, networks_of(site)):
        networks = ",".join([*site.networks, _network_of(last.address)])
        yield (
            f"it asked from {last.address}, outside the site's networks: if that is where the phone is, "
            f"ztp site edit {site.id} --set networks={networks}"
        )
    elif last.status == 200:
        yield (
            f"it was given the bootstrap file at {shown_moment(last.last_at)} and has not come back to "
            f"{known.steady_url} since: see that it resolves that name, reaches that port, has the right time, and "
            "trusts this server's CA"
        )


def _stopped_short(looked: Looked) -> Iterator[str]:
    """A phone that was proven, but does not come any more."""
    last = looked.attempts[0]
    poll = last.made_of.poll if last.made_of else 0
    if poll and (datetime.now(UTC) - last.last_at).total_seconds() > 2 * poll:
        when = shown_moment(last.last_at)
        yield f"it was last here at {when} and should have come every {poll} s: is it switched on?"


def _network_of(address: str) -> str:
    """What to add to a site's networks for one address: exactly that, for who adds more should know what."""
    return f"{address}/{128 if ':' in address else 32}"
