"""HTTP Digest (RFC 7616) and Basic (RFC 7617): what a phone is asked, and what of its answer is worth looking at.

A nonce holds its time and a code over that and the address it was made for, so that nothing is kept of those who never
answer. Of those who do, the count of each nonce is kept, so that no request counts twice. All this belongs to one
process: a nonce of another is as stale as one of yesterday, and the phone is given a fresh one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ztp_server.domain.login_place import LoginPlace
from ztp_server.domain.request import Listener, Login

REALM = "phones"
# RFC 7616 puts the algorithm first that is liked best. It is MD5 because firmware on libcurl before 7.57 looks at the
# first challenge alone, and gives up at an algorithm it does not know.
ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}
NONCE_SECONDS = 60
# Nonces whose counts are kept: about 200 bytes each.
MOST_NONCES = 16_384
_LONGEST_HEADER = 2048
_LONGEST_NAME = 64
_CODE = 18
_NONCE = 40

_PARAMETER = re.compile(r'[ \t]*([A-Za-z*]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))[ \t]*(?:,|$)')
_NEEDED = ("username", "realm", "nonce", "uri", "response", "qop", "nc", "cnonce")
_ABSOLUTE_FORM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


class Nonces:
    """Made and counted. `clock` is in seconds, from any beginning."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._numbers = itertools.count()
        self._counts: OrderedDict[str, int] = OrderedDict()
        # What was made up to here counts no more: its counts were dropped to make room.
        self._floor = -1

    def make(self, address: str) -> str:
        """A fresh nonce for who asks from this address: 40 characters."""
        stamp = self._now().to_bytes(8) + (next(self._numbers) % 2**32).to_bytes(4)
        return base64.urlsafe_b64encode(stamp + self._code(stamp, address)).decode()

    def holds(self, nonce: str, address: str, count: int) -> bool:
        """Whether this is a nonce of ours for this address, young enough, with a count that was not used yet."""
        try:
            raw = base64.urlsafe_b64decode(nonce.encode("ascii"))
        except (ValueError, binascii.Error):
            return False
        stamp, code = raw[:12], raw[12:]
        if len(nonce) != _NONCE or len(raw) != 12 + _CODE or not hmac.compare_digest(code, self._code(stamp, address)):
            return False
        made = int.from_bytes(stamp[:8])
        is_young = self._floor < made and self._now() - made <= NONCE_SECONDS * 1_000_000
        return is_young and count > self._counts.get(nonce, 0)

    def use(self, nonce: str, count: int) -> bool:
        """Count a nonce up; False when that count was used meanwhile."""
        if count <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = count
        self._counts.move_to_end(nonce)
        if len(self._counts) > MOST_NONCES:
            dropped, _ = self._counts.popitem(last=False)
            self._floor = max(self._floor, int.from_bytes(base64.urlsafe_b64decode(dropped)[:8]))
        return True

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def _code(self, stamp: bytes, address: str) -> bytes:
        return hmac.digest(self._key, stamp + address.encode(), "sha256")[:_CODE]


@dataclass(frozen=True, slots=True)
class Answered:
    """What an Authorization header comes to: a login to be looked at, or nothing; `stale` when all it takes is to say
    the same again with another nonce."""

    login: Login | None = None
    stale: bool = False


NOTHING, _STALE = Answered(), Answered(stale=True)


@dataclass(frozen=True, slots=True)
class Asking:
    """How one may log in where a request goes. `prefix` stands before the name there, and whatever follows it takes a
    login or another proof."""

    digest: bool = False
    basic: bool = False
    prefix: str = ""

    def __bool__(self) -> bool:
        return self.digest or self.basic


_NOT_ASKED = Asking()


class Logins:
    """What is asked where. `digest` and `basic` are places as LoginPlace spells them."""

    def __init__(self, digest: Iterable[str], basic: Iterable[str], nonces: Nonces | None = None) -> None:
        self._digest = {LoginPlace.parse(text) for text in digest}
        self._basic = {LoginPlace.parse(text) for text in basic}
        self._prefixes: dict[str, set[str]] = {}
        for place in self._digest | self._basic:
            self._prefixes.setdefault(place.listener, set()).add(place.prefix)
        self._nonces = nonces or Nonces()

    def asking(self, listener: Listener, path: str | None, target: str) -> Asking:
        """What is asked of who comes for this path; None for a target that is no name, of which only what it begins
        with counts."""
        prefixes = self._prefixes.get(listener)
        if not prefixes:
            return _NOT_ASKED
        first, slash, _ = (_origin_form(target).lstrip("/") if path is None else path).partition("/")
        prefix = first + slash if slash and first + slash in prefixes else ""
        # What is asked of the whole listener is asked below a prefix as well.
        here = (LoginPlace(listener), LoginPlace(listener, prefix))
        return Asking(any(place in self._digest for place in here), any(place in self._basic for place in here), prefix)

    def read(self, asking: Asking, method: str, target: str, address: str, headers: list[str]) -> Answered:
        """What was answered. `target` is that of the request line, `headers` are those of the name Authorization."""
        if len(headers) != 1 or len(headers[0]) > _LONGEST_HEADER:
            return NOTHING
        scheme, _, rest = headers[0].partition(" ")
        if scheme.lower() == "digest" and asking.digest:
            return self._digested(method, target, address, rest)
        if scheme.lower() == "basic" and asking.basic:
            return _basic(rest)
        return NOTHING

    def challenges(self, asking: Asking, address: str, stale: bool) -> Iterator[str]:
        """The values of WWW-Authenticate, each of the same length every time."""
        if asking.digest:
            nonce, again = self._nonces.make(address), ", stale=true" if stale else ""
            for name in ALGORITHMS:
                yield f'Digest realm="{REALM}", qop="auth", algorithm={name}, nonce="{nonce}"{again}'
        if asking.basic:
            yield f'Basic realm="{REALM}", charset="UTF-8"'

    def _digested(self, method: str, target: str, address: str, text: str) -> Answered:
        given = parameters(text)
        if not given or not _is_in_order(given, target):
            return NOTHING
        nonce, count = given["nonce"], int(given["nc"], 16)
        if not self._nonces.holds(nonce, address, count):
            # Looked at before the password, so that it tells nothing of who is known.
            return _STALE
        seen: dict[str, bool] = {}

        def fits(password: str) -> bool:
            if password not in seen:
                expected = response(given, password, method)
                is_right = hmac.compare_digest(expected, given["response"].lower())
                seen[password] = is_right and self._nonces.use(nonce, count)
            return seen[password]

        return Answered(Login(given["username"], fits))


def parameters(text: str) -> Mapping[str, str]:
    """The parameters of a Digest header (RFC 9110, section 11.2), by lower-case name; empty when that is not what it
    is, or one stands there twice."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _PARAMETER.match(text, place)
        if match is None or match[1].lower() in found:
            return {}
        found[match[1].lower()] = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        place = match.end()
    return found


def response(given: Mapping[str, str], password: str, method: str) -> str:
    """What the response must be, in lower-case hex (RFC 7616, section 3.4.1)."""
    algorithm = ALGORITHMS[given.get("algorithm", "MD5").upper()]

    def hashed(*parts: str) -> str:
        text = ":".join(parts).encode("utf-8", "surrogateescape")
        return hashlib.new(algorithm, text, usedforsecurity=False).hexdigest()

    who = hashed(given["username"], given["realm"], password)
    what = hashed(method, given["uri"])
    return hashed(who, given["nonce"], given["nc"], given["cnonce"], given["qop"], what)


def _is_in_order(given: Mapping[str, str], target: str) -> bool:
    """Whether all is there, as we asked for it and about this request."""
    return (
        all(name in given for name in _NEEDED)
        and given["realm"] == REALM
        and given["qop"] == "auth"
        and given.get("algorithm", "MD5").upper() in ALGORITHMS
        and given.get("userhash", "false").lower() == "false"
        and re.fullmatch("[0-9a-fA-F]{8}", given["nc"]) is not None
        and given["response"].isascii()
        and _is_name(given["username"])
        and _origin_form(given["uri"]) == _origin_form(target)
    )


def _basic(text: str) -> Answered:
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return NOTHING
    if not colon or not _is_name(user):
        return NOTHING
    return Answered(Login(user, lambda right: hmac.compare_digest(right.encode(), password.encode())))


def _is_name(user: str) -> bool:
    """Whether this could be a user's name: bytes that are no UTF-8 come as surrogates, which no database takes."""
    return 0 < len(user) <= _LONGEST_NAME and user.isprintable()


def _origin_form(target: str) -> str:
    """A request target without the scheme and host that a proxy is told (RFC 9112, section 3.2.2)."""
    absolute = _ABSOLUTE_FORM.match(target)
    return target[absolute.end() :] if absolute else target
