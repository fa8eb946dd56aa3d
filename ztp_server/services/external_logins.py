"""Accounts of people who have shown elsewhere who they are."""

from __future__ import annotations

import hashlib

from ztp_server.domain.access import Actor
from ztp_server.domain.account import Account, RoleGrant, Token
from ztp_server.domain.text import forbidden_character
from ztp_server.errors import LoginRefused, Misconfigured, NotFound
from ztp_server.services.logins import Logins, enter
from ztp_server.services.oidc import Identity
from ztp_server.store import Session, Store

_REFUSAL = "the provider knows you, and nobody has given you an account here"
_REASON = "OpenID Connect"


class ExternalLogins:
    """Opens sessions of the accounts that an administrator linked. `auto_role` is what anybody else whom the provider
    knows is given, with an account; empty: nothing."""

    def __init__(self, store: Store, logins: Logins, auto_role: str = "") -> None:
        self._store = store
        self._logins = logins
        self._auto_role = auto_role

    async def check(self) -> None:
        """Raises Misconfigured for a role that there is not, or that could give itself more."""
        if self._auto_role:
            async with self._store.read() as session:
                await self._role(session)

    async def enter(self, identity: Identity, address: str) -> tuple[str, Token]:
        """A session of somebody's account, and its text. Raises LoginRefused."""
        async with self._store.write() as session:
            account = await session.accounts.external(identity.external_id)
            # The first account is an administrator's, who would be kept from making it by somebody else's.
            if account is None and self._auto_role and await session.accounts.any():
                account = await self._make(session, identity, address)
            if account is not None and account.enabled:
                return await enter(session, account.id, address, _REASON)
        self._logins.failures.failed(f"account:{account.id}" if account else "account", address)
        raise LoginRefused(_REFUSAL)

    async def _role(self, session: Session) -> str:
        try:
            role = await session.roles.get(self._auto_role)
        except NotFound:
            raise Misconfigured(f"--oidc-auto-role: no role {self._auto_role}") from None
        if "accounts:edit" in role.allowed:
            raise Misconfigured(f"--oidc-auto-role: {role.id} may change accounts; that role is given by people only")
        return role.id

    async def _make(self, session: Session, identity: Identity, address: str) -> Account:
        """An account under a name that nobody else can take, whatever they call themselves at the provider."""
        digest = hashlib.sha256(identity.external_id.encode()).hexdigest()[:16]
        name = "".join(c for c in identity.name if forbidden_character(c) is None).strip()[:255]
        roles = (RoleGrant(await self._role(session)),)
        new = Account(f"oidc-{digest}", name or "?", roles=roles, external_id=identity.external_id)
        kept = await session.accounts.add(new, "")
        await session.idempotency.forget_all(f"account:{kept.id}")
        who = Actor(f"account:{kept.id}", (), address)
        after = {"name": kept.name, "roles": [self._auto_role], "external_id": kept.external_id}
        await session.audit.add(who, "account.added", who.name, after=after, reason=_REASON)
        return kept
