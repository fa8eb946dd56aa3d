"""What the commands share: where the data is, how values are written, how errors end."""

from __future__ import annotations

import asyncio
import csv
import getpass
import json
import sys
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from ztp_server.config import DataOptions, shipped_folder
from ztp_server.domain.access import Actor
from ztp_server.errors import BadValue, ForgeableProxy, ImportRefused, ZtpError

T = TypeVar("T")

# One file serves every command, so each must know what the others read.
OPTION_NAMES = frozenset(
    {
        *("data", "database", "templates", "certs", "secret_key", "demo", "log", "ntp_server", "public_name"),
        *("phone_http", "phone_https", "phone_mtls", "admin", "trusted_proxies"),
        *("phone_legacy", "legacy_networks", "legacy_until", "phone_expired", "expired_networks"),
        *("admin_tls", "admin_insecure", "admin_certificate", "admin_key", "admin_names", "oidc_issuer"),
        *("oidc_client_id", "oidc_client_secret_file", "oidc_auto_role", "oidc_allow_private"),
        *("phone_proxied", "proxy_certificates", "proxy_probe", "proxy_protocol", "digest", "basic"),
    }
)

_PATH = click.Path(path_type=Path)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options every command has. They arrive as one argument, `data`. Errors of ours become one line and exit 1."""

    @wraps(command)
    def call(
        *args: Any,
        data: Path,
        database: str,
        templates: Path | None,
        certs: Path | None,
        secret_key: Path | None,
        **rest: Any,
    ) -> Any:
        try:
            return command(*args, data=DataOptions(data, database, templates, certs, secret_key), **rest)
        except ImportRefused as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            _fail(error)
        except ZtpError as error:
            _fail(error)

    for option in (
        click.option("--config", type=_PATH, envvar="ZTP_CONFIG", is_eager=True, expose_value=False, callback=_read_config,
                     help="TOML file with options (their long names, _ for -)."),
        click.option("--secret-key", type=_PATH, envvar="ZTP_SECRET_KEY", help="The key of secrets.  [default: DATA/secret.key]"),
        click.option("--certs", type=_PATH, envvar="ZTP_CERTS", help="Makers' CAs, one folder a vendor.  [default: DATA/certs]"),
        click.option("--templates", type=_PATH, envvar="ZTP_TEMPLATES", help="Your own templates.  [default: DATA/templates]"),
        click.option("--database", default="", envvar="ZTP_DATABASE", help="Database URL.  [default: SQLite in DATA]"),
        click.option("--data", type=_PATH, default=Path("var"), envvar="ZTP_DATA", show_default="./var", help="Data folder."),
    ):  # fmt: skip
        call = option(call)
    return call


def _fail(error: ZtpError) -> None:
    click.echo(f"ztp: {error}", err=True)
    raise SystemExit(2 if isinstance(error, ForgeableProxy) else 1)


def _read_config(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """The file's values stand below flags and environment: click asks its default map last."""
    if path is None:
        return
    try:
        ctx.default_map = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise click.UsageError(f"--config {path}: {error}") from None
    unknown = sorted(set(ctx.default_map) - OPTION_NAMES)
    if unknown:
        raise click.UsageError(f"--config {path}: unknown option {unknown[0]!r}")


def with_services(data: DataOptions, work: Callable[[Any], Awaitable[T]]) -> T:
    """Open the services, do the work, close them."""

    async def run() -> T:
        from ztp_server.services.last_good_writer import keep_up
        from ztp_server.services.opening import open_services

        is_new = not data.data.exists()
        services = await open_services(
            data.data, data.database_url, shipped_folder("templates"), data.own_templates, data.makers, data.secret_key
        )
        if is_new:
            warn([f"{data.data} was not there and is made; if your phones are elsewhere, give --data or ZTP_DATA"])
        try:
            return await work(services)
        finally:
            await keep_up(services.store, services.templates, services.last_good)
            await services.close()

    return asyncio.run(run())


def warn(warnings: Iterable[str]) -> None:
    """Say on stderr what was done all the same."""
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def local_actor() -> Actor:
    """Who is asking, on the command line: the operating system's user."""
    try:
        return Actor.trusted(f"local:{getpass.getuser()}")
    except (KeyError, OSError):
        return Actor.trusted("local")


def read_changes(assignments: Iterable[str], unset: Iterable[str]) -> dict[str, Any]:
    """`--set name=value` and `--unset name` as changes; None means: inherit it again."""
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise click.BadParameter(f"{assignment!r} is not name=value", param_hint="--set")
        changes[name.strip()] = from_file(value)
    return changes | dict.fromkeys(unset)


def read_filters(texts: Iterable[str]) -> dict[str, list[str]]:
    """`--filter name=value`, repeated, as filters of a list of phones."""
    filters: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not name=value", param_hint="--filter")
        filters.setdefault(name.strip().replace("-", "_"), []).append(value)
    return filters


def from_file(value: str) -> str:
    """A value, or with `@FILE` (`@-`: standard input) what stands there, so that secrets stay out of argv.
    A value that begins with @ itself is written @@."""
    if not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    try:
        return sys.stdin.read().rstrip("\r\n") if value == "@-" else Path(value[1:]).read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise BadValue(value, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise BadValue(value, str(error)) from None


def read_fields(option: str, text: str, known: Sequence[str]) -> dict[str, str]:
    """`user=1001,"display_name=Sales, Madrid"` (CSV quoting) as a dictionary."""
    fields: dict[str, str] = {}
    for number, cell in enumerate(_cells(option, text), 1):
        name, equals, value = cell.partition("=")
        if not equals or name not in known:
            # Not quoted: it may be the piece of a password behind a comma.
            known_names = ", ".join(known)
            raise click.BadParameter(f"field {number} is no name=value with one of {known_names}", param_hint=option)
        if name in fields:
            raise click.BadParameter(f"{name} stands there twice", param_hint=option)
        fields[name] = from_file(value)
    return fields


def _cells(option: str, text: str) -> list[str]:
    """The cells of one CSV row. A line break is a character of its cell, whose field will refuse it by name."""
    hidden = text.replace("\n", "\ue00a").replace("\r", "\ue00d")
    try:
        cells = next(csv.reader([hidden], skipinitialspace=True), [])
    except csv.Error as error:
        raise click.BadParameter(str(error), param_hint=option) from None
    return [cell.replace("\ue00a", "\n").replace("\ue00d", "\r") for cell in cells]


def show_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table as wide as the terminal, or plain tab-separated lines when nobody looks at it."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(_cell(value) for value in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for number, title in enumerate(columns):
        # What names the row stays whole: it is copied into the next command. The rest is folded, never cut off.
        table.add_column(title, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    Console().print(table)


def spelled(value: Any) -> Any:
    """A switch as `--set` takes it; any other value as it is."""
    return ("on" if value else "off") if isinstance(value, bool) else value


def _cell(value: Any) -> str:
    """Text for a terminal: what could move its cursor or begin another cell is escaped."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(map(_cell, value))
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
