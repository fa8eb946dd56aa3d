"""OpenID Connect: people who log in at a provider elsewhere (OpenID Connect Core 1.0, section 3.1; RFC 7636).

Authorization code with PKCE. The library joserfc verifies the ID token's signature and times; which keys, which
algorithms and which claims count stands here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import structlog

from ztp_server.domain.account import checked_external_id
from ztp_server.errors import BadValue, LoginRefused, Misconfigured
from ztp_server.outbound import Outbound, OutboundRefused

REFUSAL = "the provider's answer is not good; log in again"
# Signatures with a key that only the provider has: never `none`, never one whose key we know too.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# What a provider says of itself and its keys is asked anew after so long; keys that are not among those known, sooner.
_KEEP_SECONDS, _KEYS_AGAIN_SECONDS = 3600.0, 60.0
# How far a provider's clock may be from ours.
_LEEWAY_SECONDS = 60

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are to a provider. Without a secret PKCE alone shows that the one who began also ends."""

    issuer: str
    client_id: str
    client_secret: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A log-in under way: what must come back, or is to be shown then."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is to a provider: `https://idp.example.net#4711`, and what they are called."""

    external_id: str
    name: str


@dataclass(frozen=True, slots=True)
class _Provider:
    authorize: str
    token: str
    keys_url: str
    in_form: bool
    keys: Any
    at: float


class Oidc:
    """One provider. Raises Misconfigured when the library is missing or the issuer is no URL that may be asked."""

    def __init__(self, client: Client, outbound: Outbound) -> None:
        try:
            import joserfc.jwt  # noqa: F401
        except ImportError:
            raise Misconfigured("--oidc-issuer needs the package joserfc: pip install 'ztp-server[oidc]'") from None
        try:
            outbound.check_url(client.issuer)
        except OutboundRefused as error:
            raise Misconfigured(f"--oidc-issuer: {error}") from None
        self._client = client
        self._outbound = outbound
        self._provider: _Provider | None = None
        self._asking = asyncio.Lock()

    async def begin(self, redirect_uri: str) -> tuple[str, Begun]:
        """Where to send a browser, and what to remember until it comes back. Raises OutboundRefused."""
        provider = await self._known()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        begun = Begun(state, nonce, verifier, redirect_uri)
        asked = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid profile",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": _challenge(begun.verifier),
            "code_challenge_method": "S256",
        }
        return f"{provider.authorize}{'&' if '?' in provider.authorize else '?'}{urlencode(asked)}", begun

    async def finish(self, begun: Begun, code: str) -> Identity:
        """Who came back with this code. Raises LoginRefused, and OutboundRefused."""
        provider = await self._known()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun.redirect_uri,
            "code_verifier": begun.verifier,
        }
        client, headers = self._client, {}
        if client.client_secret and not provider.in_form:
            pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"  # RFC 6749, section 2.3.1
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client.client_id}
            form |= {"client_secret": client.client_secret} if client.client_secret else {}
        answer = await self._outbound.post(provider.token, form, headers)
        id_token = answer.get("id_token") if isinstance(answer, dict) else None
        if not isinstance(id_token, str):
            raise _refused("no id_token")
        return self._identity(await self._claims(id_token, begun.nonce))

    async def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        """What a verified ID token says (Core, section 3.1.3.7). Raises LoginRefused."""
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError

        own = self._client.client_id
        wanted = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._client.issuer},
            aud={"essential": True, "value": own},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            try:
                token = jwt.decode(id_token, (await self._known()).keys, algorithms=_ALGORITHMS)
            except InvalidKeyIdError:
                token = jwt.decode(id_token, (await self._known(fresh=True)).keys, algorithms=_ALGORITHMS)
            wanted.validate(token.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _refused(f"{type(error).__name__}: {error}") from None
        claims = token.claims
        shared = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if shared else own) != own:
            raise _refused("azp names another client")
        return claims

    def _identity(self, claims: dict[str, Any]) -> Identity:
        try:
            external_id = checked_external_id(f"{self._client.issuer}#{claims['sub']}")
        except BadValue as error:
            raise _refused(str(error)) from None
        return Identity(external_id, str(claims.get("name") or claims.get("preferred_username") or claims["sub"]))

    async def _known(self, *, fresh: bool = False) -> _Provider:
        """What the provider says of itself, asked for when it is not known, too old, or lacks a key."""
        async with self._asking:
            known, now = self._provider, time.monotonic()
            if known and now - known.at < (_KEYS_AGAIN_SECONDS if fresh else _KEEP_SECONDS):
                return known
            self._provider = await self._discovered(now)
            return self._provider

    async def _discovered(self, now: float) -> _Provider:
        issuer = self._client.issuer
        said = await self._outbound.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if not isinstance(said, dict) or not all(isinstance(said.get(name), str) for name in names):
            raise OutboundRefused(f"{issuer} does not say where its {', '.join(names)} are")
        if said.get("issuer") != issuer:  # another one's description would bring another one's keys
            raise OutboundRefused(f"{issuer} calls itself otherwise; --oidc-issuer must be what it calls itself")
        authorize, token, keys_url = (self._outbound.check_url(said[name]) for name in names)
        methods = said.get("token_endpoint_auth_methods_supported")
        in_form = isinstance(methods, list) and "client_secret_basic" not in methods
        return _Provider(authorize, token, keys_url, in_form, _keys(await self._outbound.get(keys_url), issuer), now)


def _keys(said: Any, issuer: str) -> Any:
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        return KeySet.import_key_set(said)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise OutboundRefused(f"{issuer} has no keys that can be read: {type(error).__name__}") from None


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _refused(reason: str) -> LoginRefused:
    """What is wrong stands in the log; the one who asks is told that something is."""
    log.warning("oidc.refused", reason=reason)
    return LoginRefused(REFUSAL)
