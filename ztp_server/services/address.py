"""Where phones find this server, and which door each kind of phone should come back to."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ztp_server.domain.proof import counted_proofs, token_path
from ztp_server.domain.site import Site
from ztp_server.domain.support import speaks_tls
from ztp_server.domain.template_context import Server
from ztp_server.domain.vendor import Family, Model, Vendor
from ztp_server.store import Store

_META = "address"
# Where the listeners are unless told otherwise.
DEFAULT_PORTS = {"http": 8080, "https": 8443, "mtls": 8444}
# No phone takes a longer address for sure.
_LONGEST = 255
_TOKEN_PATH = len(token_path("x" * 48))


@dataclass
class ServerAddress:
    """`server` is what templates are told; `trusted_makers` are the vendors of which a CA is loaded, so that their
    phones can come back with their factory certificate. Replaced as a whole when certificates change. CAs of
    demonstration phones count where `is_demo`. `logins` are the prefixes by listener below which phones may log in, the
    best first (domain/login_place.py)."""

    server: Server
    trusted_makers: Set[str] = field(default_factory=frozenset)
    is_demo: bool = False
    logins: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether phones elsewhere could not come back: the server has no name but `localhost`."""
        return any("://localhost:" in url for url in self.server.urls.values())

    def steady_url(self, vendor: Vendor, family: Family, model: Model | None = None, running: str = "") -> str:
        """The listener that the family names, or plain HTTP for a phone to which TLS would be a dead end; else the one
        with client certificates, if it has them and the maker's CA is known; else HTTPS."""
        if family.steady in self.server.urls:
            return self.server.urls[family.steady]
        if model and not speaks_tls(family, model, running) and "http" in self.server.urls:
            return self.server.urls["http"]
        if family.factory_certificate and vendor.id in self.trusted_makers and "mtls" in self.server.urls:
            return self.server.urls["mtls"]
        return self.server.urls.get("https") or self.server.urls.get("mtls") or self.server.urls.get("http", "")

    def phone_url(
        self,
        vendor: Vendor,
        family: Family,
        model: Model,
        site: Site,
        settings: Mapping[str, Any],
        running: str,
        proofs: tuple[str, ...] | None = None,
        token: str = "",
        logs_in: bool = False,
    ) -> str:
        """The steady address of one phone: its own setting goes first. It ends with the phone's steady token, if it has
        one, unless that setting names another server; else with where it `logs_in`, if it does and that is a place of
        its own. `proofs` are those that count for the phone, None: those of its site. A phone is not sent to a
        listener that gives it nothing: the one with client certificates where they are no proof of it, plain HTTP where
        that gives no secrets. There a phone that gets this file came over TLS, whatever is said of its kind."""
        urls, counted = self.server.urls, counted_proofs(proofs, site.proofs)
        if told := settings["provisioning_url"]:
            takes = token and "token" in counted and self.takes_token(told, site)
            return told + token_path(token) if takes else str(told)
        steady = self.steady_url(vendor, family, model, running)
        if steady == urls.get("http") and not site.plain_secrets:
            steady = urls.get("https") or urls.get("mtls") or steady
        if steady == urls.get("mtls") and "certificate" not in counted:
            steady = urls.get("https", steady)
        if token and "token" in counted:
            return steady + token_path(token)
        kind, _ = self._own_place(steady)
        return steady + next(iter(self.logins.get(kind, ())), "") if logs_in else steady

    def takes_token(self, url: str, site: Site) -> bool:
        """Whether an address that somebody set names this server, and a token behind it would be a proof there."""
        kind, _ = self._own_place(url)
        takes = kind == "https" or (kind == "http" and site.plain_secrets)
        return takes and len(url) + _TOKEN_PATH <= _LONGEST

    def asks_login(self, url: str) -> bool:
        """Whether who comes to this address can log in there."""
        kind, path = self._own_place(url)
        prefixes = self.logins.get(kind, ())
        return "" in prefixes or path in prefixes

    def takes_certificate(self, url: str) -> bool:
        """Whether this is the address of the listener with client certificates."""
        return self._own_place(url)[0] == "mtls"

    def _own_place(self, url: str) -> tuple[str, str]:
        """Which listener of this server an address leads to, and the prefix behind it; nothing when to none."""
        asked = _origin(url)
        for kind, own in self.server.urls.items():
            if _origin(own) == asked:
                path = urlsplit(url).path.lstrip("/")
                return (kind, path) if path in ("", *self.logins.get(kind, ())) else ("", "")
        return "", ""


@lru_cache(maxsize=1024)
def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address, however they are written; of no server for a port there is none of, which
    was accepted once."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme, (parts.hostname or "").rstrip("."), port


async def last_address(store: Store) -> ServerAddress:
    """The address this data was last served under, so that tools beside the server speak of the same one."""
    async with store.read() as session:
        text = await session.meta.get(_META)
    if text is None:
        return presumed_address()
    saved = json.loads(text)
    server, makers = Server(**saved["server"]), frozenset(saved["trusted_makers"])
    return ServerAddress(server, makers, saved.get("is_demo", False), saved.get("logins", {}))


def presumed_address() -> ServerAddress:
    """What a server with default options will call itself, before it was ever started. It has no CA yet."""
    urls = {
        kind: f"{'http' if kind == 'http' else 'https'}://{socket.getfqdn()}:{port}/"
        for kind, port in DEFAULT_PORTS.items()
    }
    return ServerAddress(Server(urls, ""))


async def keep_address(store: Store, address: ServerAddress) -> None:
    """Write the address down for `last_address`, unless it stands there already."""
    makers = sorted(address.trusted_makers)
    saved = {"server": asdict(address.server), "trusted_makers": makers, "is_demo": address.is_demo}
    saved |= {"logins": {kind: list(prefixes) for kind, prefixes in address.logins.items()}}
    text = json.dumps(saved, sort_keys=True)
    async with store.read() as session:
        known = await session.meta.get(_META)
    if known != text:
        async with store.write() as session:
            await session.meta.set(_META, text)
