"""Tokens, provisioning windows and Digest credentials of phones."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.proof import DigestCredential, PhoneProofs, PhoneToken, ProvisioningWindow, TokenKind
from ztp_server.errors import Conflict
from ztp_server.store.changes import record
from ztp_server.store.schema import phones
from ztp_server.store.schema_trust import digest_credentials, phone_tokens, provisioning_windows
from ztp_server.store.vault import Vault


class PhoneProofStore:
    """Every change is told to other processes as one of kind `proof`, with the phone's hardware ID as its key."""

    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def of_phone(self, phone_id: str) -> PhoneProofs:
        """All that a phone has. Raises StoreUnavailable when its password does not open with this key."""
        tokens = {token.kind: token for token in await self._tokens(phone_tokens.c.phone_id == phone_id)}
        windows = await self._windows(provisioning_windows.c.phone_id == phone_id)
        digests = await self._digests(digest_credentials.c.phone_id == phone_id)
        return PhoneProofs(
            tokens.get("bootstrap"),
            tokens.get("steady"),
            windows[0] if windows else None,
            digests[0] if digests else None,
        )

    async def by_token(self, token_hash: str) -> PhoneToken | None:
        found = await self._tokens(phone_tokens.c.hash == token_hash)
        return found[0] if found else None

    async def by_digest_user(self, user: str) -> DigestCredential | None:
        """Raises StoreUnavailable when the password does not open with this key."""
        found = await self._digests(digest_credentials.c.user == user)
        return found[0] if found else None

    async def open_windows(self, now: datetime) -> dict[str, ProvisioningWindow]:
        """The windows that are open, by hardware ID."""
        query = sa.select(phones.c.hardware_id, provisioning_windows).join_from(provisioning_windows, phones)
        rows = await self._connection.execute(query.where(provisioning_windows.c.until > now))
        return {row.hardware_id: _window(row) for row in rows}

    def token(self, token: PhoneToken) -> str:
        """The token itself: 39 characters, 192 bits."""
        return self._vault.token(f"{token.phone_id}/{token.kind}/{token.number}")

    async def put_token(self, token: PhoneToken) -> None:
        """Keep a token instead of the phone's earlier one of its kind."""
        own = sa.and_(phone_tokens.c.phone_id == token.phone_id, phone_tokens.c.kind == token.kind)
        await self._connection.execute(sa.delete(phone_tokens).where(own))
        await self._connection.execute(sa.insert(phone_tokens).values(asdict(token)))
        await self._tell(token.phone_id)

    async def remove_token(self, phone_id: str, kind: TokenKind) -> bool:
        """Returns whether there was one."""
        own = sa.and_(phone_tokens.c.phone_id == phone_id, phone_tokens.c.kind == kind)
        return await self._removed(phone_tokens, own, phone_id)

    async def put_window(self, window: ProvisioningWindow) -> None:
        """Open a window instead of the phone's earlier one."""
        own = provisioning_windows.c.phone_id == window.phone_id
        await self._connection.execute(sa.delete(provisioning_windows).where(own))
        await self._connection.execute(sa.insert(provisioning_windows).values(asdict(window)))
        await self._tell(window.phone_id)

    async def close_window(self, phone_id: str) -> bool:
        """Returns whether there was one."""
        return await self._removed(provisioning_windows, provisioning_windows.c.phone_id == phone_id, phone_id)

    async def put_digest(self, credential: DigestCredential) -> None:
        """Keep a credential instead of the phone's earlier one. Raises Conflict when another phone has that user."""
        holder = await self.by_digest_user(credential.user)
        if holder and holder.phone_id != credential.phone_id:
            raise Conflict(f"another phone proves itself as {credential.user!r}")
        own = digest_credentials.c.phone_id == credential.phone_id
        await self._connection.execute(sa.delete(digest_credentials).where(own))
        sealed = self._vault.seal(credential.password, _place(credential.phone_id))
        row = asdict(credential) | {"password": sealed}
        await self._connection.execute(sa.insert(digest_credentials).values(row))
        await self._tell(credential.phone_id)

    async def remove_digest(self, phone_id: str) -> bool:
        """Returns whether there was one."""
        return await self._removed(digest_credentials, digest_credentials.c.phone_id == phone_id, phone_id)

    async def use_first(self, found: PhoneToken | ProvisioningWindow, address: str, at: datetime) -> str:
        """Bind a token or window to the address that used it first, unless it is bound. Returns the address it is bound
        to: of two who come at once, one is too late."""
        table = phone_tokens if isinstance(found, PhoneToken) else provisioning_windows
        own = table.c.phone_id == found.phone_id
        if isinstance(found, PhoneToken):
            own = sa.and_(own, phone_tokens.c.kind == found.kind)
        unused = sa.update(table).where(own, table.c.first_used_at.is_(None))
        if (await self._connection.execute(unused.values(first_used_at=at, address=address))).rowcount:
            await self._tell(found.phone_id)
        bound = (await self._connection.execute(sa.select(table.c.address).where(own))).scalar()
        return str(bound or "")

    async def _tokens(self, condition: sa.ColumnElement[bool]) -> list[PhoneToken]:
        rows = await self._connection.execute(sa.select(phone_tokens).where(condition))
        return [PhoneToken(**row._mapping) for row in rows]

    async def _windows(self, condition: sa.ColumnElement[bool]) -> list[ProvisioningWindow]:
        rows = await self._connection.execute(sa.select(provisioning_windows).where(condition))
        return [_window(row) for row in rows]

    async def _digests(self, condition: sa.ColumnElement[bool]) -> list[DigestCredential]:
        rows = await self._connection.execute(sa.select(digest_credentials).where(condition))
        found = [DigestCredential(**row._mapping) for row in rows]
        return [replace(one, password=self._vault.open(one.password, _place(one.phone_id))) for one in found]

    async def _removed(self, table: sa.Table, own: sa.ColumnElement[bool], phone_id: str) -> bool:
        if not (await self._connection.execute(sa.delete(table).where(own))).rowcount:
            return False
        await self._tell(phone_id)
        return True

    async def _tell(self, phone_id: str) -> None:
        query = sa.select(phones.c.hardware_id).where(phones.c.id == phone_id)
        hardware_id = (await self._connection.execute(query)).scalar()
        await record(self._connection, "proof", [hardware_id or ""])


def _window(row: sa.Row[Any]) -> ProvisioningWindow:
    found = row._mapping
    names = ("phone_id", "opened_by", "opened_at", "until", "first_used_at", "address")
    return ProvisioningWindow(**{name: found[name] for name in names})


def _place(phone_id: str) -> str:
    return f"digest_credentials/{phone_id}"
