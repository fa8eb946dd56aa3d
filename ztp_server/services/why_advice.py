"""What to do about a phone that does not get what it should, by what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ztp_server.domain.attempt import Attempt
from ztp_server.domain.moment import shown_moment
from ztp_server.domain.proof import PhoneToken, ProvisioningWindow
from ztp_server.domain.request import CERTIFICATE_LISTENERS
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
    if looked.known.phone.proofs == ():
        yield f"if it may come again: ztp phone unblock {looked.mac}"
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
    elif last.listener in CERTIFICATE_LISTENERS:
        yield (
            f"the certificate it has was {looked.denied}; if it may come again: ztp certificate allow SHA256 "
            "(ztp certificate list has it)"
            if looked.denied
            else "it showed no certificate that counts as its own: see certs/ for its maker's CA, and the site's proofs"
        )
    elif not last.address:
        yield "a proxy hides its address: see --trusted-proxies"
    elif known.proofs.window and known.proofs.window.until > datetime.now(UTC):
        yield from _by_window(looked, known.proofs.window, last)
    elif known.proofs.bootstrap and "token" in known.counted:
        yield _by_bootstrap_token(looked, known.proofs.bootstrap, last)
    elif "network" in known.counted and not lies_in(last.address, networks_of(site)):
        networks = ",".join([*site.networks, _network_of(last.address)])
        yield (
            f"it asked from {last.address}, outside the site's networks: if that is where the phone is, "
            f"ztp site edit {site.id} --set networks={networks}"
        )
        yield from _let_in(looked)
    else:
        if last.status == 200:
            yield (
                f"it was given the bootstrap file at {shown_moment(last.last_at)} and has not come back to "
                f"{known.shown_url} since: see that it resolves that name, reaches that port, has the right time, and "
                "trusts this server's CA"
            )
        if "network" not in known.counted:
            yield from _let_in(looked)


def _by_window(looked: Looked, window: ProvisioningWindow, last: Attempt) -> Iterator[str]:
    """A window is open, and the phone was not believed all the same."""
    if window.address and window.address != last.address:
        yield _taken("window", window.address, last, f"open another one: ztp phone window open {looked.mac}")
    elif last.last_at < window.opened_at:
        yield "it has not asked since its window was opened: restart it"


def _by_bootstrap_token(looked: Looked, token: PhoneToken, last: Attempt) -> str:
    """It was made a token, and was not believed all the same."""
    new_one = f"make another one: ztp phone token {looked.mac}"
    if token.address and token.address != last.address:
        return _taken("bootstrap token", token.address, last, new_one)
    return (
        "it asked without its bootstrap token: see that DHCP option 66 or 160 of this phone, or the redirect service, "
        f"has the whole address; to be shown one again, {new_one}"
    )


def _taken(what: str, address: str, last: Attempt, instead: str) -> str:
    there = f"somebody at {address} has used its {what}, and it asks from {last.address}"
    return f"{there}: if that is the phone, {instead}"


def _let_in(looked: Looked) -> Iterator[str]:
    """Ways for a phone without a proof, by what counts for it."""
    assert looked.known
    if "window" in looked.known.counted:
        yield f"if it is the phone that asks now, let it in for an hour: ztp phone window open {looked.mac}"
    elif "token" in looked.known.counted:
        yield f"give it an address with a token: ztp phone token {looked.mac}"


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
