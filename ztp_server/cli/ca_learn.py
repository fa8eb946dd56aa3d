"""ztp ca learn"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ztp_server.cli.common import data_options, local_actor, with_services
from ztp_server.config import Address, DataOptions, parse_cidrs
from ztp_server.domain.site import Network
from ztp_server.errors import Misconfigured, Refused

if TYPE_CHECKING:
    from ztp_server.pki.capture import Shown

# Certificates told of in one run; more are no more help.
_MOST_TOLD = 1000


@click.command()
@click.option(
    "--listen", default="0.0.0.0:8446", show_default=True, metavar="HOST:PORT", help="Where the phone is sent."
)
@click.option("--minutes", type=click.IntRange(1, 120), default=15, show_default=True, help="For how long.")
@click.option("--from", "networks", default="", metavar="CIDRS", help="Listen to nobody else.  [default: all]")
@click.option(
    "--add", "vendor", default="", metavar="VENDOR", help="Add the first CA shown, without a question; needs --from."
)
@click.option(
    "--listener",
    type=click.Choice(["mtls", "legacy", "expired"]),
    default="mtls",
    show_default=True,
    help="Where the CA's word is to count.",
)
@click.option("--any-name", is_flag=True, help="Also a CA that the maker is not known to have.")
@data_options
def learn(
    data: DataOptions, listen: str, minutes: int, networks: str, vendor: str, listener: str, any_name: bool
) -> None:
    """See whose CA signed a phone's factory certificate, and trust it.

    A listener of its own, beside the server: point a phone at https://THIS-HOST:8446/. It takes any certificate,
    answers 404 to everything, and shows what it saw. Compare the CA's SHA-256 with one that you got from the maker
    before you say yes: whoever can reach this listener can show it anything.
    """
    address = Address.parse("--listen", listen)
    if address is None:
        raise click.BadParameter("a listener is needed", param_hint="--listen")
    if vendor and not networks:
        raise click.UsageError("--add takes what the first phone shows: say with --from which addresses may")
    from_networks = parse_cidrs("--from", networks)
    adding = _Adding(vendor, listener, any_name)

    async def work(services: Any) -> None:
        try:
            async with asyncio.timeout(minutes * 60):
                await _listen(services, data, address, from_networks, adding)
        except TimeoutError:
            click.echo(f"{minutes} minutes are over")

    with contextlib.suppress(KeyboardInterrupt):
        with_services(data, work)


@dataclass(frozen=True)
class _Adding:
    """What is to be added: for which vendor (empty: ask), for which listener, and whether under any name."""

    vendor: str
    listener: str
    any_name: bool


async def _listen(
    services: Any, data: DataOptions, address: Address, networks: tuple[Network, ...], adding: _Adding
) -> None:
    """Until a CA was added."""
    from ztp_server.pki.authority import ensure_server_files
    from ztp_server.pki.capture import Capture
    from ztp_server.services.fleet import lies_in

    shown: asyncio.Queue[Shown] = asyncio.Queue()
    # The server's certificate, which phones may know already.
    files = ensure_server_files(data.data / "tls", [])
    capture = Capture(files, shown.put_nowait, lambda peer: not networks or lies_in(peer, networks), most=_MOST_TOLD)
    try:
        listening = await asyncio.start_server(capture.connected, address.host, address.port)
    except OSError as error:
        raise Misconfigured(f"--listen {address}: {error.strerror}") from None
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        click.echo(f"Listening on https://{Address(address.host, port)}/. Stop with Ctrl-C.")
        sys.stdout.flush()
        asked: set[Any] = set()
        while True:
            seen = await shown.get()
            click.echo("\n".join(_told(seen, services.templates.catalog)))
            sys.stdout.flush()
            if seen.issuer and seen.issuer not in asked:
                asked.add(seen.issuer)
                if await _add(services, seen, adding):
                    return


def _told(seen: Shown, catalog: Any) -> Iterator[str]:
    """What one phone showed."""
    from ztp_server.pki.capture import fingerprint

    yield f"\nFrom {seen.address}, {seen.protocol}:"
    yield f"  subject    {_spelled(seen.leaf.subject)}"
    yield f"  SHA-256    {fingerprint(seen.leaf)}"
    yield f"  valid      {seen.leaf.not_valid_before_utc:%Y-%m-%d} to {seen.leaf.not_valid_after_utc:%Y-%m-%d}"
    macs = [f"{mac} (a block of {catalog.vendor_of_oui(mac) or 'no maker known'})" for mac in seen.macs]
    yield f"  MAC        {', '.join(macs) or 'none found'}"
    yield f"  issuer     {_spelled(seen.leaf.issuer)}"
    for certificate in seen.above:
        signed = "; it signed the phone's" if certificate == seen.issuer else ""
        yield f"  sent also  {_spelled(certificate.subject)}"
        yield f"             SHA-256 {fingerprint(certificate)}{signed}"
    if seen.issuer is None:
        yield "  The phone did not send the CA that signed its certificate: get that from the maker, and `ztp ca add` it."


def _spelled(name: Any) -> str:
    """A certificate's name (RFC 4514), with nothing in it that moves a terminal's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name.rfc4514_string())


async def _add(services: Any, seen: Shown, adding: _Adding) -> bool:
    """Add the CA that signed it, when that is wanted. Raises Refused when nobody is there to be told."""
    from ztp_server.pki.capture import pem

    assert seen.issuer is not None
    vendor = adding.vendor or await _wanted_for(seen, services.templates.catalog)
    if not vendor:
        return False
    more = {"listener": adding.listener, "any_name": adding.any_name}
    try:
        [ca] = await services.device_cas.add(local_actor(), vendor, pem(seen.issuer), **more)
    except Refused as error:
        if adding.vendor:
            raise
        click.echo(str(error), err=True)
        return False
    click.echo(f"added for {vendor}: {ca.subject}, SHA-256 {ca.sha256}, in {ca.file}")
    return True


async def _wanted_for(seen: Shown, catalog: Any) -> str:
    """The vendor to add the CA for, as the one at the terminal says; empty for none."""
    assert seen.issuer is not None
    name = _spelled(seen.issuer.subject)
    makers = (catalog.vendor_of_oui(mac) for mac in seen.macs)
    guess = next(filter(None, makers), "")
    if guess:
        answer = await _answer(f"Add CA {name} for vendor {guess}? y/N ")
        return guess if answer.lower() in ("y", "yes") else ""
    answer = await _answer(f"For which vendor is CA {name} to be added? Enter for none: ")
    return answer


async def _answer(question: str) -> str:
    """A line from the terminal, while the listener goes on; empty where nobody can answer."""
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(sys.stdin, typed.set)
    except (OSError, ValueError):
        return ""
    try:
        click.echo(question, nl=False)
        sys.stdout.flush()
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline().strip()
