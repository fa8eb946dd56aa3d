"""What a phone asks and what it is given, in no protocol's terms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ztp_server.domain.attempt import MadeOf

# `legacy` is TLS as old phones speak it, `expired` takes certificates whose time is over, and behind `proxied` a proxy
# spoke TLS with the phone.
Listener = Literal["http", "https", "mtls", "legacy", "expired", "proxied"]
CERTIFICATE_LISTENERS = ("mtls", "expired")


@dataclass(frozen=True, slots=True)
class Certified:
    """Whose factory certificate a connection showed, and its SHA-256."""

    vendor: str
    mac: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """A user name that was shown, and whether a password is the one it was shown with."""

    user: str
    fits: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class PhoneRequest:
    """`path` is decoded once and has no leading slash; `address` is the phone's own, or empty when a proxy hides it.
    `token` stood before the path. Where one `may_log_in`, `login` is who was named, if the rest of it was in order;
    where one `must_log_in`, nothing at all is given without a proof.

    `read` gives the body of an upload of at most so many bytes, or None when it is larger. `demands_certificate` is for
    a listener that asks for certificates only when it has CAs. `refused` says why a certificate that was shown counts
    as none; the phone is not told.
    """

    path: str
    method: str = "GET"
    user_agent: str = ""
    certificate: Certified | None = None
    address: str = ""
    listener: Listener = "http"
    read: Callable[[int], Awaitable[bytes | None]] | None = None
    demands_certificate: bool = False
    refused: str = ""
    token: str = field(default="", repr=False)
    login: Login | None = None
    may_log_in: bool = False
    must_log_in: bool = False

    @property
    def by_certificate(self) -> bool:
        """Whether nothing but the certificate proves anything: the listener demands one, or one was shown."""
        demanded = self.demands_certificate or self.listener in CERTIFICATE_LISTENERS
        return demanded or self.certificate is not None or self.refused != ""


@dataclass(frozen=True, slots=True)
class PhoneFile:
    """A whole, checked file. `kind` says what it is, for the log: `phone`, `bootstrap`, `public` or `upload`; `made_of`
    what a phone's own was made of."""

    body: bytes
    content_type: str
    etag: str
    kind: str = "phone"
    made_of: MadeOf | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file on disk whose bytes were verified: firmware, or a plain file of a vendor folder."""

    path: Path
    kind: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where a phone should ask instead."""

    location: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An upload is on disk for good. `created` when there was none of that name."""

    created: bool


@dataclass(frozen=True, slots=True)
class TooLarge:
    """An upload over its limit; nothing was kept."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not for this phone, or not there: the phone is told the same for every reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """Not without a proof, and a login would be one: the same for a phone that is known and one that is not."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """We failed, and have nothing good to give instead; the phone keeps what it has."""

    reason: str


Answer = PhoneFile | StoredFile | Redirect | Kept | TooLarge | Refusal | Challenge | Unavailable


def unproven(request: PhoneRequest, reason: str) -> Refusal | Challenge:
    """The answer to who showed no proof."""
    return Challenge(reason) if request.may_log_in else Refusal(reason)


@dataclass(slots=True)
class Outcome:
    """An answer with what was learnt on the way, for the log and the check-in. `file` is the name of a file of the
    phone's own in canonical spelling, when a rule of its maker has one; `why` says why another one is given instead.
    `firmware` is what the User-Agent says, `running` what a proven phone last said it runs, in this request or an
    earlier one."""

    answer: Answer
    mac: str = ""
    model: str = ""
    vendor: str = ""
    proof: str = ""
    firmware: str = ""
    running: str = ""
    file: str = ""
    why: str = ""

    @property
    def status(self) -> int:
        """The outcome as HTTP numbers it (RFC 9110, section 15), whatever protocol was spoken."""
        if isinstance(self.answer, Kept):
            return 201 if self.answer.created else 204
        return _STATUS[type(self.answer)]


_STATUS: dict[type, int] = {
    PhoneFile: 200,
    StoredFile: 200,
    Redirect: 302,
    Refusal: 404,
    Challenge: 401,
    TooLarge: 413,
    Unavailable: 503,
}
