"""ztp account"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from ztp_server.cli.access import given_roles, role_options, shown_roles, whole_list
from ztp_server.cli.common import data_options, from_file, local_actor, show_json, show_table, with_services
from ztp_server.config import DataOptions


@click.group()
def account() -> None:
    """Logins of people, with what they may do and where."""


password_option = click.option(
    "--password", default=None, metavar="@FILE", help="The password (@FILE, @-); asked for when it is left out."
)


oidc_option = click.option(
    "--oidc", default=None, metavar="ISSUER#SUBJECT", help="Who it is to the provider of --oidc-issuer, who logs it in."
)


@account.command("add")
@click.argument("account_id", metavar="ID")
@click.option("--name", default="", help="Whose it is.  [default: ID]")
@password_option
@oidc_option
@role_options
@data_options
def add(
    account_id: str,
    name: str,
    password: str | None,
    oidc: str | None,
    roles: Sequence[str],
    sites: Sequence[str],
    data: DataOptions,
) -> None:
    """Add an account. With --oidc it needs no password."""
    given = given_roles(roles, sites)
    secret = "" if oidc and password is None else _password(password)
    with_services(
        data, lambda s: s.accounts.add(local_actor(), account_id, name, secret, given, external_id=oidc or "")
    )


@account.command("edit")
@click.argument("account_id", metavar="ID")
@click.option("--name", default=None)
@click.option("--enable/--disable", "enabled", default=None, help="Whether it can log in.")
@oidc_option
@role_options
@data_options
def edit(
    account_id: str,
    name: str | None,
    enabled: bool | None,
    oidc: str | None,
    roles: Sequence[str],
    sites: Sequence[str],
    data: DataOptions,
) -> None:
    """Change an account. Roles that are given take the place of those it has. It counts from the next request on.
    --oidc "" takes the link to the provider away."""
    changes: dict[str, Any] = {
        "name": name,
        "enabled": enabled,
        "roles": given_roles(roles, sites) or None,
        "external_id": oidc,
    }
    with_services(data, lambda s: s.accounts.edit(local_actor(), account_id, **changes))


@account.command("password")
@click.argument("account_id", metavar="ID")
@password_option
@data_options
def set_password(account_id: str, password: str | None, data: DataOptions) -> None:
    """Give an account another password; whoever is logged in with the old one is logged out."""
    secret = _password(password)
    with_services(data, lambda s: s.accounts.set_password(local_actor(), account_id, secret))


@account.command("remove")
@click.argument("account_id", metavar="ID")
@data_options
def remove(account_id: str, data: DataOptions) -> None:
    """Remove an account. Tokens it made for programs stay: ztp token list says which."""
    with_services(data, lambda s: s.accounts.remove(local_actor(), account_id))


@account.command("list")
@click.option("--json", "as_json", is_flag=True)
@data_options
def list_accounts(as_json: bool, data: DataOptions) -> None:
    """List accounts."""

    async def views(services: Any) -> list[dict[str, Any]]:
        from ztp_server.services.access_views import account_view

        return [account_view(one) for one in await whole_list(services.accounts)]

    accounts = with_services(data, views)
    if as_json:
        return show_json(accounts)
    rows = [(a["id"], a["name"], a["enabled"], shown_roles(a)) for a in accounts]
    show_table(("ID", "Name", "Enabled", "Roles"), rows)


@account.command("show")
@click.argument("account_id", metavar="ID")
@data_options
def show(account_id: str, data: DataOptions) -> None:
    """Show an account, with the tokens for programs that it made."""

    async def view(services: Any) -> dict[str, Any]:
        from ztp_server.services.access_views import account_with_tokens

        who = local_actor()
        found = await services.accounts.get(who, account_id)
        return account_with_tokens(found, await services.accounts.tokens_made(who, account_id))

    show_json(with_services(data, view))


def _password(given: str | None) -> str:
    if given is not None:
        return from_file(given)
    if not sys.stdin.isatty():
        raise click.UsageError("give --password @FILE, or @- for standard input")
    text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return text
