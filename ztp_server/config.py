"""Options: flags > ZTP_* environment > TOML file (`--config`) > default. The doors read them, app.py uses them."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from ztp_server.domain.site import Network, parse_networks
from ztp_server.errors import BadValue, Misconfigured

OFF = "off"
LOCALHOST = "localhost"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens. Written `HOST:PORT`, `[IPV6]:PORT`, or `off`."""

    host: str
    port: int

    @classmethod
    def parse(cls, option: str, text: str) -> Address | None:
        """None for `off`. Raises Misconfigured naming the option."""
        if text == OFF:
            return None
        host, colon, port = text.rpartition(":")
        if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
            raise Misconfigured(f"{option}: {text!r} is not HOST:PORT or off")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class DataOptions:
    """What every command needs: where the data, the database and the administrator's own files are."""

    data: Path
    database: str = ""
    templates: Path | None = None
    certs: Path | None = None

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data.absolute() / 'ztp.db'}"

    @property
    def own_templates(self) -> Path:
        return self.templates or self.data / "templates"

    @property
    def own_certs(self) -> Path:
        return self.certs or self.data / "certs"

    @property
    def makers(self) -> list[Path]:
        """The folders with makers' CAs, those of demonstration phones among them."""
        from ztp_server.pki.makers import DEMO_CERTS

        return [shipped_folder("certs"), self.own_certs, self.data / DEMO_CERTS]


@dataclass(frozen=True)
class ServeOptions:
    """What `ztp serve` needs besides: listeners and the name phones know this server by."""

    data: DataOptions
    phone_http: Address | None
    phone_https: Address | None
    phone_mtls: Address | None
    admin: Address | None
    public_name: str = ""
    ntp_server: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    demo: bool = False
    json_log: bool = True
    # Names the server certificate must carry beside the public one.
    own_names: tuple[str, ...] = field(default=("localhost", "127.0.0.1", "::1"))

    @property
    def name(self) -> str:
        """The name or address in the URLs that phones are given: as told, the one address listened on, or the host's
        own name when others can have it. `localhost` says that no phone elsewhere can be served."""
        if self.public_name or self.demo:
            return self.public_name or LOCALHOST
        hosts = {a.host for a in (self.phone_http, self.phone_https, self.phone_mtls) if a} - {"0.0.0.0", "::"}
        if len(hosts) == 1:
            return hosts.pop()
        name = socket.getfqdn()
        return name if "." in name and not name.startswith("localhost") else LOCALHOST


def shipped_folder(name: str) -> Path:
    """A folder that comes with the program: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "shipped" / name
    return inside if inside.is_dir() else package.parent / name


def parse_proxies(text: str) -> tuple[Network, ...]:
    """`--trusted-proxies`: CIDRs, separated by commas. Raises Misconfigured."""
    try:
        networks = parse_networks([part.strip() for part in text.split(",") if part.strip()])
    except BadValue as error:
        raise Misconfigured(f"--trusted-proxies: {error.reason}") from None
    return tuple(map(ipaddress.ip_network, networks))
