"""Where phones find this server, and which door each kind of phone should come back to."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field
from typing import Any

from ztp_server.domain.proof import counted_proofs, token_path
from ztp_server.domain.site import Site
from ztp_server.domain.support import speaks_tls
from ztp_server.domain.template_context import Server
from ztp_server.domain.vendor import Family, Model, Vendor
from ztp_server.store import Store

_META = "address"
# Where the listeners are unless told otherwise.
DEFAULT_PORTS = {"http": 8080, "https": 8443, "mtls": 8444}


@dataclass
class ServerAddress:
    """`server` is what templates are told; `trusted_makers` are the vendors of which a CA is loaded, so that their
    phones can come back with their factory certificate. Replaced as a whole when certificates change. CAs of
    demonstration phones count where `is_demo`."""

    server: Server
    trusted_makers: Set[str] = field(default_factory=frozenset)
    is_demo: bool = False

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
    ) -> str:
        """The steady address of one phone: its own setting goes first, else it ends with the phone's steady token, if
        it has one. `proofs` are those that count for the phone, None: those of its site. A phone is not sent to a
        listener that gives it nothing: the one with client certificates where they are no proof of it, plain HTTP where
        that gives no secrets. There a phone that gets this file came over TLS, whatever is said of its kind."""
        urls, counted = self.server.urls, counted_proofs(proofs, site.proofs)
        steady = self.steady_url(vendor, family, model, running)
        if steady == urls.get("http") and not site.plain_secrets:
            steady = urls.get("https") or urls.get("mtls") or steady
        if steady == urls.get("mtls") and "certificate" not in counted:
            steady = urls.get("https", steady)
        if token and "token" in counted:
            steady += token_path(token)
        return settings["provisioning_url"] or steady


async def last_address(store: Store) -> ServerAddress:
    """The address this data was last served under, so that tools beside the server speak of the same one."""
    async with store.read() as session:
        text = await session.meta.get(_META)
    if text is None:
        return ServerAddress(_presumed())
    saved = json.loads(text)
    return ServerAddress(Server(**saved["server"]), frozenset(saved["trusted_makers"]), saved.get("is_demo", False))


def _presumed() -> Server:
    """What a server with default options will call itself, before it was ever started. It has no CA yet."""
    urls = {
        kind: f"{'http' if kind == 'http' else 'https'}://{socket.getfqdn()}:{port}/"
        for kind, port in DEFAULT_PORTS.items()
    }
    return Server(urls, "")


async def keep_address(store: Store, address: ServerAddress) -> None:
    """Write the address down for `last_address`, unless it stands there already."""
    makers = sorted(address.trusted_makers)
    saved = {"server": asdict(address.server), "trusted_makers": makers, "is_demo": address.is_demo}
    text = json.dumps(saved, sort_keys=True)
    async with store.read() as session:
        known = await session.meta.get(_META)
    if known != text:
        async with store.write() as session:
            await session.meta.set(_META, text)
