"""Options: flags > ZTP_* environment > TOML file (`--config`) > default. The doors read them, app.py uses them."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ztp_server.domain.site import Network, parse_networks
from ztp_server.errors import BadValue, Misconfigured

if TYPE_CHECKING:
    from ztp_server.pki.makers import MakerFolders

OFF = "off"
_ANY = ("0.0.0.0", "::")
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
    secret_key: Path | None = None

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
    def makers(self) -> MakerFolders:
        """The folders with makers' CAs."""
        from ztp_server.pki.makers import DEMO_CERTS, MakerFolders

        return MakerFolders(shipped_folder("certs"), self.own_certs, self.data / DEMO_CERTS)


@dataclass(frozen=True)
class LegacyListener:
    """TLS as old phones speak it, for phones of `networks`; `until` is its last day. Raises Misconfigured."""

    address: Address
    networks: tuple[Network, ...]
    until: date

    def __post_init__(self) -> None:
        if not self.networks:
            raise Misconfigured("--phone-legacy: --legacy-networks must say where the old phones are")

    def days_left(self, today: date) -> int:
        """Days after today on which it still serves; negative when its time is over."""
        return (self.until - today).days


@dataclass(frozen=True)
class ExpiredListener:
    """Client certificates whose time is over, from phones of `networks`. Raises Misconfigured."""

    address: Address
    networks: tuple[Network, ...]

    def __post_init__(self) -> None:
        if not self.networks:
            raise Misconfigured("--phone-expired: --expired-networks must say where these phones are")


@dataclass(frozen=True)
class ProxiedListener:
    """Plain HTTP from a proxy that spoke TLS with the phone. `header` has the phone's certificate, if the proxy asks
    for one; `probe` is the proxy's own URL, by which it is found out that nobody else can set the header. Raises
    Misconfigured."""

    address: Address
    header: str = ""
    probe: str = ""

    def __post_init__(self) -> None:
        if self.header and not re.fullmatch("[A-Za-z][A-Za-z0-9-]{0,63}", self.header):
            raise Misconfigured("--proxy-certificates: a header's name is letters, digits and hyphens")
        if bool(self.header) != bool(self.probe):
            raise Misconfigured("--proxy-certificates and --proxy-probe go together: a proxy is believed once tried")
        if self.probe and not re.fullmatch(r"https://[^\s/?#]+(/[^\s?#]*)?", self.probe):
            raise Misconfigured("--proxy-probe: not the https:// URL that phones use")


@dataclass(frozen=True)
class OidcOptions:
    """Where administrators may log in besides; without an issuer, nowhere. Raises Misconfigured."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    auto_role: str = ""
    allow_private: bool = False

    def __post_init__(self) -> None:
        if bool(self.issuer) != bool(self.client_id):
            raise Misconfigured("--oidc-issuer and --oidc-client-id go together")
        if not self.issuer and (self.client_secret or self.auto_role or self.allow_private):
            raise Misconfigured("--oidc-issuer: missing, and the other --oidc options are of no use without it")


@dataclass(frozen=True)
class AdminOptions:
    """How administrators come in: over TLS (`auto`: when the listener leaves this machine), with which certificate
    (none given: the server's own), under which names besides the public one. Raises Misconfigured."""

    tls: str = "auto"
    insecure: bool = False
    certificate: Path | None = None
    key: Path | None = None
    names: tuple[str, ...] = ()
    oidc: OidcOptions = field(default_factory=OidcOptions)

    def __post_init__(self) -> None:
        if bool(self.certificate) != bool(self.key):
            raise Misconfigured("--admin-certificate and --admin-key go together")

    def uses_tls(self, address: Address) -> bool:
        """Raises Misconfigured where passwords would go over a network in the clear and nobody said that they may."""
        leaves = not is_loopback(address.host)
        if self.tls == "off" and leaves and not self.insecure:
            raise Misconfigured(
                f"--admin-tls off: --admin {address} leaves this machine, and passwords would be sent in the clear; "
                "leave --admin-tls out, or give --admin-insecure behind a proxy that speaks HTTPS"
            )
        return self.tls == "on" or (self.tls == "auto" and leaves and not self.insecure)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener at this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == LOCALHOST


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
    # Listeners where those say by the PROXY protocol whose connection they pass through.
    proxy_protocol: tuple[str, ...] = ()
    admin_door: AdminOptions = AdminOptions()
    legacy: LegacyListener | None = None
    expired: ExpiredListener | None = None
    proxied: ProxiedListener | None = None
    # Where a phone may prove itself by HTTP Digest, and by Basic, as LoginPlace spells it: a listener, `https:/d/`.
    digest: tuple[str, ...] = ()
    basic: tuple[str, ...] = ()
    demo: bool = False
    json_log: bool = True
    # Names the server certificate must carry beside the public one.
    own_names: tuple[str, ...] = field(default=("localhost", "127.0.0.1", "::1"))

    def __post_init__(self) -> None:
        if self.admin:
            self.admin_door.uses_tls(self.admin)
        for option, given in (("--phone-proxied", self.proxied), ("--proxy-protocol", self.proxy_protocol)):
            if given and not self.trusted_proxies:
                raise Misconfigured(f"{option}: --trusted-proxies must say which addresses are proxies")

    @property
    def admin_host(self) -> str:
        """The one address administrators come in by; empty where it is any of this machine's, or none."""
        return self.admin.host if self.admin and self.admin.host not in _ANY else ""

    @property
    def admin_uses_tls(self) -> bool:
        return self.admin is not None and self.admin_door.uses_tls(self.admin)

    def facts(self) -> dict[str, Any]:
        """What is written down of them for the doctor (services/serving.py); no secret."""
        own = (self.admin_door.certificate, self.admin_door.key)
        certificate, key = (str(path.absolute()) if path else "" for path in own)
        legacy, expired = self.legacy, self.expired
        return {
            "demo": self.demo,
            "admin_tls": self.admin_uses_tls,
            "admin_certificate": certificate,
            "admin_key": key,
            "legacy_networks": tuple(map(str, legacy.networks)) if legacy else (),
            "legacy_until": str(legacy.until) if legacy else "",
            "expired_networks": tuple(map(str, expired.networks)) if expired else (),
            "trusted_proxies": tuple(map(str, self.trusted_proxies)),
        }

    @property
    def name(self) -> str:
        """The name or address in the URLs that phones are given: as told, the one address listened on, or the host's
        own name when others can have it. `localhost` says that no phone elsewhere can be served."""
        if self.public_name or self.demo:
            return self.public_name or LOCALHOST
        hosts = {a.host for a in (self.phone_http, self.phone_https, self.phone_mtls) if a}.difference(_ANY)
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
    """`--trusted-proxies`. Raises Misconfigured."""
    return parse_cidrs("--trusted-proxies", text)


def parse_cidrs(option: str, text: str) -> tuple[Network, ...]:
    """CIDRs, separated by commas. Raises Misconfigured naming the option."""
    try:
        networks = parse_networks([part.strip() for part in text.split(",") if part.strip()])
    except BadValue as error:
        raise Misconfigured(f"{option}: {error.reason}") from None
    return tuple(map(ipaddress.ip_network, networks))
