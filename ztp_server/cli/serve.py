"""ztp serve"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any

import click

from ztp_server.cli.admin_options import admin_options
from ztp_server.cli.common import data_options
from ztp_server.cli.listener_options import listener_options, read_listeners
from ztp_server.config import Address, AdminOptions, DataOptions, ServeOptions, parse_proxies

_STARTED = time.monotonic()


def _listener(option: str, default: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    name = option.removeprefix("--").replace("-", "_").upper()
    return click.option(
        option, default=default, envvar=f"ZTP_{name}", show_default=True, metavar="HOST:PORT|off", help=what
    )


@click.command()
@_listener("--phone-http", "0.0.0.0:8080", "Phones, plain HTTP: first knock and old firmware.")
@_listener("--phone-https", "0.0.0.0:8443", "Phones, HTTPS.")
@_listener("--phone-mtls", "0.0.0.0:8444", "Phones, HTTPS with their factory certificate.")
@_listener("--admin", "127.0.0.1:8000", "Administrators: REST at /api/, /healthz, /metrics.")
@listener_options
@click.option(
    "--public-name",
    default="",
    envvar="ZTP_PUBLIC_NAME",
    help="Name or address phones know this server by.  [default: the host's own]",
)
@click.option(
    "--ntp-server", default="", envvar="ZTP_NTP_SERVER", help="Time server a phone is told of at its first knock."
)
@click.option(
    "--trusted-proxies",
    default="",
    envvar="ZTP_TRUSTED_PROXIES",
    metavar="CIDRS",
    help="Proxies whose X-Forwarded-For is believed.",
)
@click.option(
    "--demo", is_flag=True, envvar="ZTP_DEMO", help="Demonstration data and phones, trusted on this machine only."
)
@click.option(
    "--log",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    envvar="ZTP_LOG",
    show_default=True,
)
@data_options
@admin_options
@click.pass_context
def serve(
    ctx: click.Context, /, data: DataOptions, admin_door: AdminOptions, phone_http: str, phone_https: str, phone_mtls: str, admin: str,
    public_name: str, ntp_server: str, trusted_proxies: str, demo: bool, log: str, **listeners: str,
) -> None:  # fmt: skip
    """Serve phones until SIGTERM or Ctrl-C."""
    as_json = log == "json" or (log == "auto" and not sys.stderr.isatty())
    options = ServeOptions(
        data=data,
        phone_http=Address.parse("--phone-http", phone_http),
        phone_https=Address.parse("--phone-https", phone_https),
        phone_mtls=Address.parse("--phone-mtls", phone_mtls),
        admin=Address.parse("--admin", admin),
        public_name=public_name,
        ntp_server=ntp_server,
        trusted_proxies=parse_proxies(trusted_proxies),
        admin_door=admin_door,
        demo=demo,
        json_log=as_json,
        **read_listeners(**listeners),
    )
    from ztp_server.log import set_up

    set_up(as_json=as_json)
    asyncio.run(ctx.obj(options, _say_where))


def _say_where(app: Any) -> None:
    """Where phones and the administrator connect, and what to try first."""
    click.echo(f"Phones:         {'  '.join(app.address.server.urls.values())}")
    for kind, url in app.doors.other_urls().items():
        legacy = app.options.legacy
        ends = f"  (until {legacy.until}, {legacy.days_left(date.today())} days)" if kind == "legacy" else ""
        click.echo(f"{f'Phones {kind}:':<16}{url}{ends}")
    if app.admin_url:
        click.echo(f"Administrator:  {app.admin_url}/api/  /healthz  /metrics")
    if not app.services.store.is_open:
        _say_closed(app)
    if app.address.is_local and not app.options.demo:
        click.echo(
            "warning: this host has no name that phones could use, so none but those on it are served; give --public-name NAME-OR-ADDRESS",
            err=True,
        )
    click.echo(f"CA for phones:  {app.options.data.data / 'tls' / 'ca.pem'}")
    for problem in app.services.templates.snapshot.problems:
        click.echo(f"template left out: {problem.file}:{problem.line}: {problem.reason}", err=True)
    if app.options.demo:
        _say_demo(app)
    if app.first_token:
        _say_first(app)
    click.echo(f"Ready after {time.monotonic() - _STARTED:.2f} s. Stop with Ctrl-C.")
    sys.stdout.flush()


def _say_closed(app: Any) -> None:
    """What is served without a database, and what mends it."""
    with suppress(OSError):  # standard error may lie on the disk that is full
        click.echo(
            f"warning: {app.services.store.closed_because}\n"
            "warning: serving without it: phones that prove themselves get the last files they were given, everybody\n"
            "warning: else 503. It is tried again every few seconds. `ztp doctor` says what is wrong; `ztp restore`\n"
            "warning: makes a new data folder out of a backup.",
            err=True,
        )


def _say_first(app: Any) -> None:
    """How the first account is made, here or from a browser's machine."""
    body = f'{{"token": "{app.first_token}", "id": "ana", "name": "Ana", "password": "…"}}'
    click.echo("\nThere is no account yet. Make the first one, which may do everything:")
    click.echo(f"  ztp account add ana --role admin --data {app.options.data.data}")
    click.echo("or with this token, within 24 hours and once:")
    trust = f"--cacert {app.options.data.data}/tls/ca.pem " if app.admin_url.startswith("https:") else ""
    click.echo(
        f"  curl -sS {trust}-H 'Content-Type: application/json' {app.admin_url}/api/v1/accounts/first -d '{body}'\n"
    )


def _say_demo(app: Any) -> None:
    """One command a listener that boots the demonstration phone with most to show, with curl."""
    from ztp_server.services.demo import demo_devices

    data, urls = app.options.data.data, app.address.server.urls
    devices = demo_devices(app.services, data)
    if not devices:
        return
    device = max(devices, key=lambda device: len(device.phone.line_keys))
    rules = [rule for rule in device.vendor.file if rule.serve == "phone" and rule.placeholders == ["mac"]]
    names = ",".join(rule.pattern.replace("{mac}", device.phone.mac) for rule in rules)
    certificate = f"--cert {device.certificate} --key {device.key} "
    click.echo(f"\nBoot the demonstration phone {device.phone.mac} ({device.phone.name}):")
    for kind, flags in (
        ("http", ""),
        ("https", f"--cacert {data}/tls/ca.pem "),
        ("mtls", f"--cacert {data}/tls/ca.pem {certificate}"),
    ):
        if kind in urls:
            click.echo(f"  curl -sS {flags}'{urls[kind]}{{{names}}}'")
    click.echo()
