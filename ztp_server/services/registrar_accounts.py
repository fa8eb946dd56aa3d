"""The SIP accounts of phones, each checked for the registrar that is to take it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.registrar import Passwords, Registrar, SipAccount, Target
from ztp_server.domain.site import Site
from ztp_server.domain.text import is_unreadable, reason_unreadable
from ztp_server.errors import BadValue, Damaged
from ztp_server.services.connection_values import connection_values
from ztp_server.services.effective import catalog_layers


@dataclass(frozen=True)
class Places:
    """What phones share, as it is now."""

    catalog: Catalog
    sites: Mapping[str, Site]
    base_settings: Mapping[str, BaseSettings]

    def sip_server(self, phone: Phone, *, for_nobody: bool = False) -> str:
        """The SIP server of a phone's lines, of the layers that its files are made of: the last to name one wins.
        `for_nobody`: of the line it has when nobody is logged in."""
        if phone.category != "managed":
            return str(connection_values(self.catalog, phone, self.sites[phone.site])["sip_server"].value)
        model = self.catalog.models.get(phone.model)
        lower = [layer.values for layer in catalog_layers(self.catalog, model)] if model else []
        base, site = self.base_settings[phone.base_settings].settings, self.sites[phone.site]
        given = [*lower, site.settings, base, phone.settings, *([site.logged_out.settings] if for_nobody else [])]
        return str(next((values["sip_server"] for values in reversed(given) if "sip_server" in values), ""))

    def guest_line(self, phone: Phone) -> Line | None:
        """The line that a managed phone has when nobody is logged in: the same of many phones."""
        line = self.sites[phone.site].logged_out.line if phone.category == "managed" else None
        return replace(line, shared=True) if line else None


class Accounts:
    """Phones → accounts for one registrar. It remembers, in a few bytes each, whose account every user is, so that two
    phones that claim one are both named."""

    def __init__(self, registrar: Registrar, passwords: Passwords, places: Places) -> None:
        self._registrar = registrar
        self._passwords = passwords
        self._places = places
        self._owners: dict[bytes, tuple[str, int, int | None]] = {}

    def of(self, phone: Phone) -> Iterator[SipAccount]:
        """The accounts of a phone's lines and of the one it has when nobody is logged in, which has to be there before.
        Raises BadValue naming phone and field, and Damaged."""
        if not self._registrar.secrets or phone.proofs == () or phone.category == "remote":
            return  # A blocked phone registers nowhere, and a remote one elsewhere.
        for number, line in enumerate(phone.lines, 1):
            yield self._account(phone, f"lines.{number}", line, self._places.sip_server(phone))
        guest = self._places.guest_line(phone)
        if guest:
            server = self._places.sip_server(phone, for_nobody=True)
            yield self._account(phone, f"site {phone.site} logged_out.line", guest, server)

    def _account(self, phone: Phone, place: str, line: Line, server: str) -> SipAccount:
        if is_unreadable(line.password):
            raise Damaged(f"{label(phone)}: {reason_unreadable(line.password)}")
        account = SipAccount.of(phone, line, _named(phone, server))
        self._check(phone, place, account)
        return account

    def target(self, phone: Phone, extension: str) -> Target | None:
        """Where a remote phone is reached; nothing for another. Raises BadValue."""
        if phone.category != "remote":
            return None
        target = Target.of(phone, extension, _named(phone, self._places.sip_server(phone)))
        for name, value in (("name", phone.name), ("remote_address", target.address), ("user", target.user)):
            self._registrar.check(f"{label(phone)}: {name}", value, name)
        return target

    def claim(self, phone: Phone, number: int, account: SipAccount) -> bool:
        """Whether this is the first line of its account: lines that several phones share are one, if they are alike.
        Raises BadValue when the user, or the name in its digest, is another line's already."""
        same = hash((account.user, account.auth_user, account.password)) if account.shared else None
        first = self._claim(f"u{account.user}", account.domain, phone, number, "user", same)
        return self._claim(f"a{account.auth_user}", account.domain, phone, number, "auth_user", same) and first

    def claim_target(self, phone: Phone, target: Target) -> None:
        """Raise BadValue when another remote phone goes by the same extension."""
        self._claim(f"t{target.user}", target.domain, phone, 0, "user", None)

    def _claim(self, name: str, domain: str, phone: Phone, number: int, field: str, same: int | None) -> bool:
        domain = "any domain" if self._registrar.one_namespace else domain
        key = hashlib.blake2b(f"{name}\0{domain}".encode(), digest_size=16).digest()
        device, line, alike = self._owners.setdefault(key, (phone.hardware_id or phone.id, number, same))
        if (device, line) == (phone.hardware_id or phone.id, number):
            return True
        if same is not None and same == alike:
            return False
        place = f"lines.{number}.{field}" if number else field
        theirs = f"line {line} of phone {device}" if line else f"phone {device}"
        raise BadValue(f"{label(phone)}: {place}", f"{name[1:]} at {domain} is {theirs} as well")

    def _check(self, phone: Phone, place: str, account: SipAccount) -> None:
        place = f"{label(phone)}: {place}"
        if not account.password:
            raise BadValue(f"{place}.password", "is empty: anybody could register as this line")
        if ":" in account.auth_user:
            raise BadValue(f"{place}.auth_user", "holds a colon, which a digest cannot (RFC 7616, 3.4.2)")
        checked: dict[str, Any] = {
            "user": account.user,
            "auth_user": account.auth_user,
            "domain": account.domain,
            "display_name": account.display_name,
        }
        if self._passwords == "plain":
            checked["password"] = account.password
        for name, value in checked.items():
            self._registrar.check(f"{place}.{name}", value, name)


def _named(phone: Phone, server: str) -> str:
    if not server:
        raise BadValue(f"{label(phone)}: settings.sip_server", "is empty: an account needs a realm")
    return server


def label(phone: Phone) -> str:
    """What an error calls a phone."""
    return f"phone {phone.hardware_id or phone.id} {phone.name}"
