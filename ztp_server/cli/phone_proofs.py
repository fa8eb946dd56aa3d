"""ztp phone proofs, token, window, digest, block, unblock"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from ztp_server.cli.common import (
    data_options,
    from_file,
    local_actor,
    show_json,
    show_table,
    warn,
    with_services,
)
from ztp_server.cli.phone_bulk import open_many, selection_options
from ztp_server.config import DataOptions
from ztp_server.domain.moment import parse_minutes, shown_moment

_reason_option = click.option("--reason", default="", help="Why: it stands in the audit.")
_json_option = click.option("--json", "as_json", is_flag=True)


@click.command("proofs")
@click.argument("phone", metavar="PHONE")
@_json_option
@data_options
def proofs(phone: str, as_json: bool, data: DataOptions) -> None:
    """What a phone can prove itself with: which proofs count, its tokens, window and Digest user. Nothing secret."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.proof_views import proofs_view

        return proofs_view(await services.phone_proofs.show(local_actor(), phone))

    found = with_services(data, view)
    if as_json:
        return show_json(found)
    show_table(("What", "Value"), _rows(found))


@click.command("token")
@click.argument("phone", metavar="PHONE")
@click.option("--kind", type=click.Choice(["bootstrap", "steady"]), default="bootstrap", show_default=True,
              help="bootstrap: brings it here the first time; steady: stands in its files.")  # fmt: skip
@click.option("--remove", is_flag=True, help="Take the token away instead.")
@_reason_option
@_json_option
@data_options
def token(phone: str, kind: str, remove: bool, reason: str, as_json: bool, data: DataOptions) -> None:
    """Make a token and print the address with it, this once: for DHCP option 66 or 160 of that phone, a redirect service
    or a QR code. It takes the place of the phone's earlier one of that kind."""
    if remove:
        with_services(data, lambda s: s.phone_proofs.remove_token(local_actor(), phone, kind, reason))
        return

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.proof_views import made_token_view

        return made_token_view(await services.phone_proofs.new_token(local_actor(), phone, kind, reason))

    made = with_services(data, view)
    warn(made["warnings"])
    if as_json:
        return show_json(made)
    for address in made["addresses"]:
        click.echo(address)


@click.group("window")
def window() -> None:
    """Provisioning windows: for some time, the first that asks in a phone's name is believed."""


@window.command("open")
@selection_options
@click.option("--for", "length", default="60m", show_default=True, metavar="60m", help="How long: 60m, 2h, 1d.")
@_reason_option
@_json_option
@data_options
def open_window(
    phones: Sequence[str], filters: Sequence[str], yes: bool, length: str, reason: str, as_json: bool,
    data: DataOptions,
) -> None:  # fmt: skip
    """Open a window for a phone, and say how it will prove itself when it is closed. It closes when the phone proves
    itself so, or at its end. For several it is a job."""
    minutes = parse_minutes("--for", length)
    if len(phones) != 1 or filters:
        if as_json:
            raise click.UsageError("--json is for one phone")
        return open_many(phones, filters, yes, minutes, reason, data)
    (phone,) = phones

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.proof_views import opened_view

        return opened_view(await services.phone_proofs.open_window(local_actor(), phone, minutes, reason))

    opened = with_services(data, view)
    warn(opened["warnings"])
    if as_json:
        return show_json(opened)
    click.echo(f"open until {_at(opened['until'])}; afterwards the phone proves itself {opened['afterwards']['text']}")


@window.command("close")
@click.argument("phone", metavar="PHONE")
@_reason_option
@data_options
def close_window(phone: str, reason: str, data: DataOptions) -> None:
    """Close a phone's window now."""
    with_services(data, lambda services: services.phone_proofs.close_window(local_actor(), phone, reason))


@click.command("digest")
@click.argument("phone", metavar="PHONE")
@click.option("--user", default="", help="As whom it answers.  [default: its MAC]")
@click.option("--password", default="", metavar="@FILE", help="The password it holds.  [default: one is made]")
@click.option("--remove", is_flag=True, help="Take user and password away instead.")
@click.option("--reveal", is_flag=True, help="Show what it has instead; needs --reason.")
@_reason_option
@_json_option
@data_options
def digest(
    phone: str, user: str, password: str, remove: bool, reveal: bool, reason: str, as_json: bool, data: DataOptions
) -> None:
    """Give a phone a user and password for HTTP Digest and print both, this once. They take the place of those it had."""
    if remove + reveal + bool(user or password) > 1:
        raise click.UsageError("--remove, --reveal and a new user or password are different things")
    if remove:
        with_services(data, lambda s: s.phone_proofs.remove_digest(local_actor(), phone, reason))
        return
    new_password = from_file(password)

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.proof_views import made_digest_view

        if reveal:
            return made_digest_view(await services.phone_proofs.reveal_digest(local_actor(), phone, reason))
        made = await services.phone_proofs.set_digest(local_actor(), phone, user, new_password, reason)
        return made_digest_view(made)

    found = with_services(data, view)
    warn(found["warnings"])
    if as_json:
        return show_json(found)
    show_table(("User", "Password"), [(found["user"], found["password"])])


@click.command("block")
@click.argument("phone", metavar="PHONE")
@_reason_option
@data_options
def block(phone: str, reason: str, data: DataOptions) -> None:
    """Give a phone nothing any more, whatever it shows: it is answered as an unknown one. Its tokens, window and Digest
    password are gone for good."""
    with_services(data, lambda services: services.phone_proofs.block(local_actor(), phone, reason))


@click.command("unblock")
@click.argument("phone", metavar="PHONE")
@_reason_option
@data_options
def unblock(phone: str, reason: str, data: DataOptions) -> None:
    """Let the proofs of its site count again for a phone that was blocked. What it had is not given back."""
    with_services(data, lambda services: services.phone_proofs.unblock(local_actor(), phone, reason))


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    counted = "none: it is blocked" if found["blocked"] else ", ".join(found["proofs"]) or "none"
    yield "Proofs that count", f"{counted} (by {found['source']})"
    for one in found["tokens"]:
        yield (
            f"{one['kind'].capitalize()} token",
            f"made by {one['created_by']} at {_at(one['created_at'])}{_used(one)}",
        )
    if found["window"]:
        open_one = found["window"]
        text = f"open until {_at(open_one['until'])}, by {open_one['opened_by']} at {_at(open_one['opened_at'])}"
        yield "Window", text + _used(open_one)
    if found["digest"]:
        has = found["digest"]
        yield "Digest user", f"{has['user']}, set by {has['created_by']} at {_at(has['created_at'])}"
    yield "Proves itself later", found["afterwards"]["text"]


def _used(one: dict[str, Any]) -> str:
    if not one["first_used_at"]:
        return ", not used yet"
    return f", first used at {_at(one['first_used_at'])} from {one['address'] or 'an address that is not known'}"


def _at(moment: str) -> str:
    return shown_moment(datetime.fromisoformat(moment))
