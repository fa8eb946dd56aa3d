"""The options of `ztp serve` that are about the door of administrators: TLS, names, logging in elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ztp_server.config import AdminOptions, OidcOptions
from ztp_server.errors import Misconfigured

_PATH = click.Path(path_type=Path)


def _option(option: str, what: str, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(option, envvar=f"ZTP_{option.removeprefix('--').replace('-', '_').upper()}", help=what, **more)


_OPTIONS = (
    _option("--admin-tls", "HTTPS for administrators; auto: where --admin leaves this machine.", default="auto",
            type=click.Choice(["auto", "on", "off"]), show_default=True),
    _option("--admin-insecure", "Plain HTTP for administrators beyond this machine: behind a proxy with HTTPS.", is_flag=True),
    _option("--admin-certificate", "PEM file, chain included.  [default: the server's own]", type=_PATH),
    _option("--admin-key", "PEM file of its key, with mode 600.", type=_PATH),
    _option("--admin-names", "More names, separated by commas, by which administrators ask for this server.", default="",
            metavar="NAMES"),
    _option("--oidc-issuer", "Administrators may log in at this provider of OpenID Connect.", default="", metavar="URL"),
    _option("--oidc-client-id", "Who this server is to the provider.", default="", metavar="ID"),
    _option("--oidc-client-secret-file", "File with its secret, if the provider gave one.", type=_PATH),
    _option("--oidc-auto-role", "Role of whoever the provider knows and nobody gave an account.", default="", metavar="ROLE"),
    _option("--oidc-allow-private", "The provider may have a private address, and speak plain HTTP.", is_flag=True),
)  # fmt: skip


def admin_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options. They arrive as one argument, `admin_door`. Raises Misconfigured naming one."""

    @wraps(command)
    def call(
        *args: Any, admin_tls: str, admin_insecure: bool, admin_certificate: Path | None, admin_key: Path | None,
        admin_names: str, oidc_issuer: str, oidc_client_id: str, oidc_client_secret_file: Path | None,
        oidc_auto_role: str, oidc_allow_private: bool, **rest: Any,
    ) -> Any:  # fmt: skip
        oidc = OidcOptions(
            oidc_issuer, oidc_client_id, _secret(oidc_client_secret_file), oidc_auto_role, oidc_allow_private
        )
        names = tuple(name.strip() for name in admin_names.split(",") if name.strip())
        door = AdminOptions(admin_tls, admin_insecure, admin_certificate, admin_key, names, oidc)
        return command(*args, admin_door=door, **rest)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call


def _secret(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise Misconfigured(f"--oidc-client-secret-file {file}: {reason}") from None
