"""A provider of OpenID Connect on loopback, with real keys, that can be told to lie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "ztp", "s3cret & more"


@dataclass
class Provider:
    """`claims` are laid over those of the next token, None takes one away; `sign` makes it."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    keys: list[RSAKey] = field(default_factory=lambda: [RSAKey.generate_key(2048, {"kid": "one"})])
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sign: str = "RS256"

    def log_in(self, url: str, **more: str) -> str:
        """What a browser brings back from the provider's page: the query of the callback."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == CLIENT and "openid" in asked["scope"]
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked | more
        return f"?state={asked['state']}&code={code}"

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "4711", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce}
        claims = {k: v for k, v in {**claims, "name": "Ana <b>é😀", **self.claims}.items() if v is not None}
        if self.sign in ("none", "HS256"):  # by hand: the library makes neither
            parts = ({"alg": self.sign, "kid": "one"}, claims)
            signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
            # Keyed with what everybody knows: the public key.
            code = hmac.digest(self.keys[0].as_pem(private=False), signed.encode(), "sha256")
            return f"{signed}.{_base64(code) if self.sign == 'HS256' else ''}"
        if self.sign == "other key":
            stranger = RSAKey.generate_key(2048, {"kid": "one"})
            return jwt.encode({"alg": "RS256", "kid": "one"}, claims, stranger)
        return jwt.encode({"alg": self.sign, "kid": self.keys[-1].kid or ""}, claims, self.keys[-1])

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/.well-known/openid-configuration":
            endpoints = {name: f"{self.issuer}/{name}" for name in ("authorization_endpoint", "token_endpoint")}
            said = {"issuer": self.issuer, **endpoints, "jwks_uri": f"{self.issuer}/keys", **self.discovery}
            return web.json_response(said)
        if request.path == "/keys":
            return web.json_response(KeySet(list(self.keys)).as_dict(private=False))
        return await self._token(request)

    async def _token(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked = self.codes.pop(form.get("code", ""), None)
        pair = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        proven = pair == "ztp:s3cret+%26+more" or (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        if asked is None or not proven or asked["redirect_uri"] != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if _base64(digest) != asked["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(
            {"access_token": "x", "token_type": "Bearer", "id_token": self.id_token(asked["nonce"])}
        )


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    found = Provider()
    runner = web.ServerRunner(web.Server(found.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
