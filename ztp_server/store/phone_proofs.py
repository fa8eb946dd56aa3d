"""Tokens, provisioning windows and Digest credentials of phones."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.phone import Phone
from ztp_server.domain.proof import DigestCredential, PhoneProofs, PhoneToken, ProvisioningWindow, TokenKind
from ztp_server.errors import Conflict
from ztp_server.store import places
from ztp_server.store.changes import record
from ztp_server.store.schema import phones
from ztp_server.store.schema_trust import digest_credentials, phone_tokens, provisioning_windows
from ztp_server.store.vault import Vault

# Rows of one statement: well under SQLite's limit of 32,766 parameters.
_BATCH = 1000
# Characters of a token that show it was made here: 45 bits.
_CHECK = 9


async def drop_proofs(connection: AsyncConnection, hardware_ids: Mapping[str, str]) -> None:
    """Take everything made for some phones from them, given as hardware IDs by id: whoever stands for them from now on
    has nothing of it. They are few enough for one statement."""
    dropped = 0
    for table in (phone_tokens, provisioning_windows, digest_credentials):
        if hardware_ids:
            own = table.c.phone_id.in_(list(hardware_ids))
            dropped += (await connection.execute(sa.delete(table).where(own))).rowcount
    if dropped:
        await record(connection, "proof", sorted(hardware_ids.values()))


class PhoneProofStore:
    """Every change is told to other processes as one of kind `proof`, with the phone's hardware ID as its key."""

    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def of_phone(self, phone_id: str, *, with_password: bool = True) -> PhoneProofs:
        """All that a phone has, in one query. Raises Damaged when its password does not open; `with_password` off
        leaves it empty."""
        rows = (await self._connection.execute(_ALL_OF_PHONE, {"of_phone": phone_id})).all()
        tokens = {row.t_kind: PhoneToken(**_part(row, "t")) for row in rows if row.t_kind}
        window = next((ProvisioningWindow(**_part(row, "w")) for row in rows if row.w_phone_id), None)
        digest = next((DigestCredential(**_part(row, "d")) for row in rows if row.d_phone_id), None)
        if digest:
            digest = replace(digest, password=self._opened(digest) if with_password else "")
        return PhoneProofs(tokens.get("bootstrap"), tokens.get("steady"), window, digest)

    async def count(self, phone: Phone, proofs: tuple[str, ...] | None) -> None:
        """Set which proofs count for a phone (None: those of its site), touching nothing else of its record. One that
        is blocked loses what was made for it."""
        values = {"proofs": None if proofs is None else list(proofs), "revision": phone.revision + 1}
        await self._connection.execute(sa.update(phones).where(phones.c.id == phone.id).values(values))
        await record(self._connection, "phone", [phone.hardware_id])
        if proofs == ():
            await drop_proofs(self._connection, {phone.id: phone.hardware_id})

    async def owner_of_token(self, token_hash: str) -> str:
        """The hardware ID of the phone whose token that is, empty when it is nobody's."""
        return await self._owner(phone_tokens, phone_tokens.c.hash == token_hash)

    async def owner_of_digest_user(self, user: str) -> str:
        """The hardware ID of the phone that proves itself with this user, empty when it is nobody's."""
        return await self._owner(digest_credentials, digest_credentials.c.user == user)

    async def digest_users(self, of: Collection[str] | None = None) -> AsyncIterator[list[str]]:
        """The users of all phones, or of those with these hardware IDs, some thousand at a time."""
        query = sa.select(digest_credentials.c.user).order_by(digest_credentials.c.user).limit(10 * _BATCH)
        if of is not None:
            query = query.join_from(digest_credentials, phones).where(phones.c.hardware_id.in_(list(of)))
        last = ""
        while found := list((await self._connection.scalars(query.where(digest_credentials.c.user > last))).all()):
            yield found
            last = found[-1]

    async def open_windows(
        self, now: datetime, of: Collection[str] | None = None
    ) -> AsyncIterator[dict[str, datetime]]:
        """Until when windows are open, by hardware ID; all of them, or those of these hardware IDs; some thousand
        at a time."""
        own = provisioning_windows.c
        query = sa.select(own.phone_id, own.until, phones.c.hardware_id).join_from(provisioning_windows, phones)
        query = query.where(own.until > now).order_by(own.phone_id).limit(4 * _BATCH)
        if of is not None:
            query = query.where(phones.c.hardware_id.in_(list(of)))
        last, is_whole = "", True
        while is_whole:
            rows = (await self._connection.execute(query.where(own.phone_id > last))).all()
            yield {row.hardware_id: row.until for row in rows}
            last, is_whole = rows[-1].phone_id if rows else "", len(rows) == 4 * _BATCH

    def token(self, token: PhoneToken) -> str:
        """The token itself: 192 bits in 39 letters and digits, and nine more by which one that was made up is found
        out without asking the database."""
        made = self._vault.token(f"{token.phone_id}/{token.kind}/{token.number}")
        return made + _check(self._vault, made)

    async def put_token(self, token: PhoneToken) -> None:
        """Keep a token instead of the phone's earlier one of its kind."""
        own = sa.and_(phone_tokens.c.phone_id == token.phone_id, phone_tokens.c.kind == token.kind)
        await self._connection.execute(sa.delete(phone_tokens).where(own))
        await self._connection.execute(sa.insert(phone_tokens).values(asdict(token)))
        if token.kind == "steady":
            await self._other_files(token.phone_id)
        await self._tell(token.phone_id)

    async def add_many(self, tokens: Sequence[PhoneToken], windows: Sequence[ProvisioningWindow]) -> None:
        """Keep tokens and windows of phones that have none of that kind: those just added."""
        for table, rows in ((phone_tokens, tokens), (provisioning_windows, windows)):
            for start in range(0, len(rows), _BATCH):
                part = [asdict(row) for row in rows[start : start + _BATCH]]
                await self._connection.execute(sa.insert(table), part)
        own = sorted({token.phone_id for token in tokens} | {window.phone_id for window in windows})
        for start in range(0, len(own), _BATCH):
            query = sa.select(phones.c.hardware_id).where(phones.c.id.in_(own[start : start + _BATCH]))
            found = (await self._connection.execute(query)).scalars()
            await record(self._connection, "proof", [hardware_id or "" for hardware_id in found])

    async def remove_token(self, phone_id: str, kind: TokenKind) -> bool:
        """Returns whether there was one."""
        own = sa.and_(phone_tokens.c.phone_id == phone_id, phone_tokens.c.kind == kind)
        removed = await self._removed(phone_tokens, own, phone_id)
        if removed and kind == "steady":
            await self._other_files(phone_id)
        return removed

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
        query = sa.select(digest_credentials.c.phone_id).where(digest_credentials.c.user == credential.user)
        if (await self._connection.execute(query)).scalar() not in (None, credential.phone_id):
            raise Conflict(f"another phone proves itself as {credential.user!r}")
        own = digest_credentials.c.phone_id == credential.phone_id
        await self._connection.execute(sa.delete(digest_credentials).where(own))
        sealed = self._vault.seal(credential.password, places.digest_credential(credential.phone_id))
        row = asdict(credential) | {"password": sealed}
        await self._connection.execute(sa.insert(digest_credentials).values(row))
        await self._other_files(credential.phone_id)
        await self._tell(credential.phone_id)

    async def remove_digest(self, phone_id: str) -> bool:
        """Returns whether there was one."""
        removed = await self._removed(digest_credentials, digest_credentials.c.phone_id == phone_id, phone_id)
        if removed:
            await self._other_files(phone_id)
        return removed

    async def forget_windows(self, until: datetime, most: int) -> int:
        """Remove at most so many windows that were closed by a time; returns how many."""
        old = sa.select(provisioning_windows.c.phone_id).where(provisioning_windows.c.until <= until).limit(most)
        gone = sa.delete(provisioning_windows).where(provisioning_windows.c.phone_id.in_(old))
        return (await self._connection.execute(gone)).rowcount

    async def use_first(self, found: PhoneToken | ProvisioningWindow, address: str, at: datetime) -> str:
        """Bind a token or window to the address that used it first, unless it is bound. Returns the address it is bound
        to: of two who come at once, one is too late."""
        table = phone_tokens if isinstance(found, PhoneToken) else provisioning_windows
        # One that was made instead meanwhile is another.
        if isinstance(found, PhoneToken):
            own = phone_tokens.c.hash == found.hash
        else:
            own = sa.and_(table.c.phone_id == found.phone_id, table.c.opened_at == found.opened_at)
        unused = sa.update(table).where(own, table.c.first_used_at.is_(None))
        if (await self._connection.execute(unused.values(first_used_at=at, address=address))).rowcount:
            await self._tell(found.phone_id)
        bound = (await self._connection.execute(sa.select(table.c.address).where(own))).scalar()
        return str(bound or "")

    async def _other_files(self, phone_id: str) -> None:
        """Steady token and Digest password stand in a phone's files: with others, those that it has are of
        yesterday."""
        newer = sa.update(phones).where(phones.c.id == phone_id).values(revision=phones.c.revision + 1)
        await self._connection.execute(newer)

    async def _owner(self, table: sa.Table, condition: sa.ColumnElement[bool]) -> str:
        query = sa.select(phones.c.hardware_id).join_from(table, phones).where(condition)
        return (await self._connection.execute(query)).scalar() or ""

    def _opened(self, one: DigestCredential) -> str:
        return self._vault.open(one.password, places.digest_credential(one.phone_id))

    async def _removed(self, table: sa.Table, own: sa.ColumnElement[bool], phone_id: str) -> bool:
        if not (await self._connection.execute(sa.delete(table).where(own))).rowcount:
            return False
        await self._tell(phone_id)
        return True

    async def _tell(self, phone_id: str) -> None:
        query = sa.select(phones.c.hardware_id).where(phones.c.id == phone_id)
        hardware_id = (await self._connection.execute(query)).scalar()
        await record(self._connection, "proof", [hardware_id or ""])


def is_token(vault: Vault, text: str) -> bool:
    """Whether this is a token that was made for some phone, maybe one that is gone."""
    made, check = text[:-_CHECK], text[-_CHECK:]
    return text.isascii() and hmac.compare_digest(_check(vault, made), check)


def _check(vault: Vault, made: str) -> str:
    return vault.token(f"check/{made}")[:_CHECK]


def _part(row: sa.Row[Any], prefix: str) -> dict[str, Any]:
    return {name[2:]: value for name, value in row._mapping.items() if name.startswith(f"{prefix}_")}


def _labelled(table: sa.Table, prefix: str) -> list[sa.Label[Any]]:
    return [column.label(f"{prefix}_{column.name}") for column in table.columns]


# A row for each token, or one.
_ALL_OF_PHONE = (
    sa.select(*_labelled(phone_tokens, "t"), *_labelled(provisioning_windows, "w"), *_labelled(digest_credentials, "d"))
    .select_from(phones)
    .outerjoin(phone_tokens, phone_tokens.c.phone_id == phones.c.id)
    .outerjoin(provisioning_windows, provisioning_windows.c.phone_id == phones.c.id)
    .outerjoin(digest_credentials, digest_credentials.c.phone_id == phones.c.id)
    .where(phones.c.id == sa.bindparam("of_phone"))
)
