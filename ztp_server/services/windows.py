"""Provisioning windows and tokens as they are made, one or thousands in a transaction of somebody else."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.domain.proof import (
    PhoneProofs,
    PhoneToken,
    ProvisioningWindow,
    TokenKind,
    token_hash,
)
from ztp_server.domain.site import Site
from ztp_server.errors import BadValue
from ztp_server.services.address import ServerAddress
from ztp_server.services.lasting_proof import (
    LastingProof,
    comes_with_certificate,
    lasting_proof,
    require_proof,
    token_counts,
)
from ztp_server.store import Session

MOST_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Opened:
    """A window that was opened, and how the phone proves itself when it is closed."""

    window: ProvisioningWindow
    afterwards: LastingProof
    steady_made: bool = False

    @property
    def warnings(self) -> list[str]:
        """What is to be said where nothing but an address, or nothing at all, proves it then."""
        if self.afterwards.is_sure:
            return []
        return [f"proofs: once the window is closed the phone proves itself {self.afterwards.text}"]


def checked_minutes(minutes: int, *, field: str = "minutes", least: int = 1) -> int:
    """For how long a window is opened. Raises BadValue."""
    if not least <= minutes <= MOST_MINUTES:
        raise BadValue(field, f"must be {least} to {MOST_MINUTES} minutes")
    return minutes


def fresh_token(session: Session, who: Actor, phone: Phone, kind: TokenKind) -> tuple[PhoneToken, str]:
    """A token that is not kept yet, and what is shown of it this once."""
    token = PhoneToken(phone.id, kind, "", secrets.token_hex(16), who.name[:255], datetime.now(UTC))
    text = session.phone_proofs.token(token)
    return replace(token, hash=token_hash(text)), text


def steady_for(
    session: Session,
    catalog: Catalog,
    address: ServerAddress,
    who: Actor,
    phone: Phone,
    site: Site,
    base: BaseSettings,
    has: PhoneProofs,
    running: str = "",
) -> PhoneToken | None:
    """A steady token for a phone that will need one: its files tell it, so that nobody has to. None for one that has
    it already, or will come with its factory certificate, or where tokens do not count."""  # fmt: skip
    if has.steady or not token_counts(address, phone, site, base):
        return None
    if comes_with_certificate(catalog, address, phone, site, base, running):
        return None
    return fresh_token(session, who, phone, "steady")[0]


class Windows:
    """Opens windows for one actor, in one session."""

    def __init__(
        self, session: Session, catalog: Catalog, address: ServerAddress, who: Actor, minutes: int, reason: str = ""
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._address = address
        self._who = who
        self._reason = reason
        self._bases: dict[str, BaseSettings] = {}
        now = datetime.now(UTC)
        self._opened_at, self.until = now, now + timedelta(minutes=minutes)

    async def open(self, phone: Phone, site: Site, running: str = "") -> Opened:
        """Open a window instead of the phone's earlier one, and make it a steady token if it needs one. Raises NotFound
        for a phone that is given no files, and BadValue when windows do not count."""
        require_proof(phone, site, "window")
        has = await self._session.phone_proofs.of_phone(phone.id, with_password=False)
        opened, steady = await self._planned(phone, site, has, running)
        if steady:
            await self._session.phone_proofs.put_token(steady)
        await self._session.phone_proofs.put_window(opened.window)
        await self._session.audit.add_all(self._who, self._entries(phone, opened, has.window))
        return opened

    async def open_new(self, phones: Sequence[tuple[Phone, Site]]) -> None:
        """Open windows for phones that were just added."""
        windows, tokens, entries = [], [], []
        for phone, site in phones:
            opened, steady = await self._planned(phone, site, PhoneProofs(), "")
            windows.append(opened.window)
            tokens += [steady] if steady else []
            entries += self._entries(phone, opened, None)
        await self._session.phone_proofs.add_many(tokens, windows)
        await self._session.audit.add_all(self._who, entries)

    async def _planned(
        self, phone: Phone, site: Site, has: PhoneProofs, running: str
    ) -> tuple[Opened, PhoneToken | None]:
        base = self._bases.get(phone.base_settings)
        if base is None:
            base = self._bases[phone.base_settings] = await self._session.base_settings.get(phone.base_settings)
        steady = steady_for(self._session, self._catalog, self._address, self._who, phone, site, base, has, running)
        will_have = replace(has, steady=has.steady or steady)
        afterwards = lasting_proof(self._catalog, self._address, phone, site, base, will_have, running)
        window = ProvisioningWindow(phone.id, self._who.name[:255], self._opened_at, self.until)
        return Opened(window, afterwards, steady_made=steady is not None), steady

    def _entries(self, phone: Phone, opened: Opened, before: ProvisioningWindow | None) -> list[AuditEntry]:
        was = {"until": before.until.isoformat()} if before else {}
        now = {"until": self.until.isoformat()}
        entries = [AuditEntry("window.opened", phone.hardware_id, was, now, self._reason)]
        if opened.steady_made:
            entries.append(token_made(phone, "steady", self._reason))
        return entries


def token_made(phone: Phone, kind: TokenKind, reason: str) -> AuditEntry:
    """What the audit says of a token, which is not the token."""
    return AuditEntry("phone_token.made", phone.hardware_id, {}, {"kind": kind}, reason)
