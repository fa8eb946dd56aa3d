"""Digest authentication of SIP (RFC 3261, section 22; RFC 7616; RFC 8760): challenges in, answers out.

Challenges are read with the standard library: sipmessage's reader takes cubic time, and stumbles over commas in quotes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.request import parse_http_list

from ztp_server.sip.message import Message

# Strongest first. The value is hashlib's name.
ALGORITHMS = {
    "SHA-512-256": "sha512_256",
    "SHA-512-256-SESS": "sha512_256",
    "SHA-256": "sha256",
    "SHA-256-SESS": "sha256",
    "MD5": "md5",
    "MD5-SESS": "md5",
}
# Which header answers which (RFC 3261, sections 22.2 and 22.3).
_ANSWERS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
_MOST_CHALLENGES = 8
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login, and for which realms: for all that ask when `realms` is None."""

    user: str
    password: str = field(repr=False)
    realms: frozenset[str] | None = None

    def serves(self, realm: str) -> bool:
        return self.realms is None or realm in self.realms


@dataclass(slots=True)
class _Challenge:
    """What is asked, who answers, and how often its nonce was used."""

    realm: str
    nonce: str
    algorithm: str
    qop: str
    given: Mapping[str, str]
    credentials: Credentials
    count: int = 0
    cnonce: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def stale(self) -> bool:
        return self.given.get("stale", "").lower() == "true"


class Login:
    """The credentials of one request after another: of a request and its repetitions, or of a whole subscription. A
    nonce is used again, counted, until it is refused."""

    def __init__(self, credentials: Sequence[Credentials]) -> None:
        self._credentials = tuple(credentials)
        self._current: dict[tuple[str, str], _Challenge] = {}
        self._tries: dict[tuple[str, str], int] = {}

    def begin(self) -> None:
        """A new request: each credential may be shown once more."""
        self._tries.clear()

    def headers(self, method: str, uri: str, body: bytes) -> list[tuple[str, str]]:
        """The headers that answer what was asked so far."""
        return [(name, _answer(asked, method, uri, body)) for (name, _), asked in self._current.items()]

    def learn(self, response: Message) -> bool:
        """Take in a 401 or 407; whether it is worth asking again. A credential is shown for a realm once, and once more
        when only the nonce was too old."""
        for answering, asked in self._asked(response):
            place = (answering, asked.realm)
            tries = self._tries.get(place, 0)
            known = self._current.get(place)
            is_fresh = asked.stale and known is not None and known.nonce != asked.nonce
            if tries == 0 or (tries == 1 and is_fresh):
                self._tries[place] = tries + 1
                self._current[place] = asked
                return True
        return False

    def is_asked(self, response: Message) -> bool:
        """Whether a response asks for what could be answered."""
        return bool(self._asked(response))

    def _asked(self, response: Message) -> list[tuple[str, _Challenge]]:
        """What could be answered of a response, each with the header that would."""
        asking, answering = _ANSWERS.get(getattr(response, "code", 0), ("", ""))
        values = response.headers.getlist(asking)[:_MOST_CHALLENGES] if asking else []
        return [(answering, asked) for asked in self._usable(values)]

    def _usable(self, values: Sequence[str]) -> list[_Challenge]:
        """What we can answer; of the challenges of one realm the strongest alone."""
        found = [asked for value in values if (asked := self._read(value))]
        found.sort(key=lambda asked: list(ALGORITHMS).index(asked.algorithm.upper()))
        strongest: dict[str, _Challenge] = {}
        for asked in found:
            strongest.setdefault(asked.realm, asked)
        return list(strongest.values())

    def _read(self, value: str) -> _Challenge | None:
        scheme, _, rest = value.strip().partition(" ")
        given = parameters(rest) if scheme.lower() == "digest" and len(value) <= _LONGEST else {}
        if not given.get("nonce") or "realm" not in given or not all(word.isprintable() for word in given.values()):
            return None
        algorithm = given.get("algorithm", "MD5")
        offered = [word.strip().lower() for word in given.get("qop", "").split(",") if word.strip()]
        qop = next((known for known in ("auth", "auth-int") if known in offered), "")
        who = next((one for one in self._credentials if one.serves(given["realm"])), None)
        if who is None or not _is_known(algorithm) or (offered and not qop):
            return None
        if algorithm.upper().endswith("-SESS") and not qop:
            # Its first part holds the client's nonce, which is sent with qop only.
            return None
        return _Challenge(given["realm"], given["nonce"], algorithm, qop, given, who)


def parameters(text: str) -> dict[str, str]:
    """The parameters of a challenge by lower-case name; of two of one name the first. Linear in the length."""
    found: dict[str, str] = {}
    for part in parse_http_list(text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if equals and name:
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            found.setdefault(name.lower(), value[1:-1] if quoted else value)
    return found


def _is_known(algorithm: str) -> bool:
    name = ALGORITHMS.get(algorithm.upper())
    return name is not None and name in hashlib.algorithms_available


def _answer(asked: _Challenge, method: str, uri: str, body: bytes) -> str:
    """The value of an Authorization header (RFC 7616, section 3.4)."""
    asked.count += 1
    count = f"{asked.count:08x}"
    name = ALGORITHMS[asked.algorithm.upper()]

    def hashed(*parts: str | bytes) -> str:
        octets = b":".join(part if isinstance(part, bytes) else part.encode("utf-8", "replace") for part in parts)
        return hashlib.new(name, octets, usedforsecurity=False).hexdigest()

    secret = hashed(asked.credentials.user, asked.realm, asked.credentials.password)
    if asked.algorithm.upper().endswith("-SESS"):
        secret = hashed(secret, asked.nonce, asked.cnonce)
    what = hashed(method, uri, hashed(body)) if asked.qop == "auth-int" else hashed(method, uri)
    between = (asked.nonce, count, asked.cnonce, asked.qop) if asked.qop else (asked.nonce,)
    fields = [
        f"username={_quoted(asked.credentials.user)}",
        f"realm={_quoted(asked.realm)}",
        f"nonce={_quoted(asked.nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{hashed(secret, *between, what)}"',
    ]
    if "algorithm" in asked.given:
        fields.append(f"algorithm={asked.algorithm}")
    if asked.qop:
        fields += [f"qop={asked.qop}", f"nc={count}", f'cnonce="{asked.cnonce}"']
    if "opaque" in asked.given:
        fields.append(f"opaque={_quoted(asked.given['opaque'])}")
    return "Digest " + ", ".join(fields)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
