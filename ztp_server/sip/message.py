"""SIP messages (RFC 3261): bytes → message within bounds, and message → bytes without a way to slip a header in.

The grammar is sipmessage's, but for what is read by patterns of our own: authentication headers, for which it takes
cubic time (see `digest`), and addresses and Via, since it does not know a host like `pbx1`, which RFC 3261 allows, and
writes their parameters other than it read them, which no dialog survives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sipmessage

from ztp_server.errors import BadValue, ZtpError

LARGEST = 65_535
LARGEST_HEAD = 16_384
LONGEST_LINE = 8192
MOST_LINES = 128
LARGEST_CSEQ = 2**31 - 1
# What RFC 3261, section 8.1.1.7 lets every branch begin with that is unique.
COOKIE = "z9hG4bK"

_ONCE = ("Call-ID", "CSeq", "From", "To")
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
_FOLD = re.compile(rb"\r\n[ \t]+")
_SPACED_COLON = re.compile(rb"\A([^ \t:]+)[ \t]+:")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL_TEXT = re.compile("[\x00-\x08\x0a-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]")
_HOST = r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,255}"
_URI = re.compile(rf"sips?:(?:[^\s@<>\"\\]{{1,255}}@)?(?:{_HOST})(?::[0-9]{{1,5}})?(?:[;?][^\s<>\"\\]{{0,512}})?")
# One way to read each: no input makes them try another for long.
_ADDRESS = re.compile(r'(?:(?:"(?:[^"\\]|\\.)*"\s*|[^"<>,;]*)<([^<>\s"]+)>|([^\s<>,;"?]+))\s*((?:;.*)?)')
_TAG = re.compile(r';\s*tag\s*=\s*([^\s;,"]+)', re.IGNORECASE)
_VIA = re.compile(rf"SIP\s*/\s*2\.0\s*/\s*([A-Za-z]{{1,8}})\s+({_HOST})\s*(?::\s*([0-9]{{1,5}}))?\s*((?:;.*)?)", re.I)
_BRANCH = re.compile(r';\s*branch\s*=\s*([^\s;,"]+)', re.IGNORECASE)
_RPORT = re.compile(r";\s*rport\s*(?=;|$)", re.IGNORECASE)

Message = sipmessage.Request | sipmessage.Response


class Malformed(ZtpError):
    """What came is no SIP message, or one beyond our bounds. Repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class NameAddress:
    """What a From, To, Contact or Record-Route header names. `uri` and `tag` are as they were written."""

    uri: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Via:
    """Where an answer goes. `port` is 0 where none stands; `rport` asks for the port that is seen (RFC 3581)."""

    host: str
    port: int
    branch: str
    rport: bool


def parse(raw: bytes) -> Message:
    """One message, with nothing behind it but the body. Raises Malformed."""
    head, end, body = raw.partition(b"\r\n\r\n")
    if not end or len(raw) > LARGEST or len(head) > LARGEST_HEAD:
        raise Malformed("no end of the headers, or too long")
    lines = _FOLD.sub(b" ", head).split(b"\r\n")
    if len(lines) > MOST_LINES or any(len(line) > LONGEST_LINE or _CONTROL.search(line) for line in lines):
        raise Malformed("too many lines, one too long, or a control character")
    # HCOLON: spaces may stand before the colon (RFC 3261, section 25.1).
    named = [_SPACED_COLON.sub(rb"\1:", line) for line in lines]
    try:
        found = sipmessage.Message.parse(b"\r\n".join(named) + b"\r\n\r\n" + body)
        _check(found)
    except (ValueError, KeyError, TypeError, IndexError):
        # TypeError: a parameter called `self` goes into sipmessage as an argument of that name.
        raise Malformed("not a SIP message") from None
    return found


def _check(message: Message) -> None:
    """Raises ValueError, KeyError or Malformed when what every message must have is not there once, or does not fit."""
    if any(len(message.headers.getlist(name)) != 1 for name in _ONCE) or not message.headers.getlist("Via"):
        raise Malformed("a header that must be there once is not")
    if not all(_TOKEN.fullmatch(name) for name in names(message)):
        raise Malformed("a header without a proper name")
    if len(message.headers["Call-ID"]) > 512 or message.cseq.sequence > LARGEST_CSEQ:
        raise Malformed("a Call-ID or CSeq beyond its bounds")
    if isinstance(message, sipmessage.Request):
        if message.cseq.method != message.method:
            raise Malformed("CSeq of another method")
    elif not 100 <= message.code <= 699:
        raise Malformed("a status code beyond its bounds")
    size = length(message.headers.getlist("Content-Length"))
    if size is not None and size > len(message.body):
        raise Malformed("a body shorter than its Content-Length")
    message.body = message.body if size is None else message.body[:size]


def names(message: Message) -> list[str]:
    """The names of its headers, as first written."""
    return [str(name) for name in message.headers.keys()]  # noqa: SIM118


def length(values: Sequence[str]) -> int | None:
    """The number of Content-Length headers; None when there is none. Raises Malformed."""
    if not values:
        return None
    text = values[0].strip()
    if len(values) > 1 or not (text.isascii() and text.isdigit()) or len(text) > 8:
        raise Malformed("no proper Content-Length")
    return int(text)


def address(value: str) -> NameAddress:
    """One address with its parameters. Raises Malformed."""
    found = _ADDRESS.fullmatch(" ".join(value.split()))
    if not found:
        raise Malformed("no proper address")
    tag = _TAG.search(found[3])
    return NameAddress(found[1] or found[2], tag[1] if tag else "")


def via(message: Message) -> Via:
    """The topmost Via. Raises Malformed."""
    first = next(iter(split(message.headers.getlist("Via")[:1])), "")
    found = _VIA.fullmatch(" ".join(first.split()))
    if not found or int(found[3] or 0) > 65_535:
        raise Malformed("no proper Via")
    branch = _BRANCH.search(found[4])
    return Via(found[2], int(found[3] or 0), branch[1] if branch else "", bool(_RPORT.search(found[4])))


def with_source(value: str, host: str, port: int) -> str:
    """A Via header whose first value says where its request came from (RFC 3261, 18.2.1; RFC 3581, section 4)."""
    first, *others = split([value])
    filled, asked = _RPORT.subn(f";rport={port}", first, count=1)
    return ", ".join([f"{filled if asked else first};received={host}", *others])


def split(values: Iterable[str]) -> list[str]:
    """The members of lists, at commas that stand neither in quotes nor between angle brackets."""
    members: list[str] = []
    for value in values:
        begin, quoted, angled, escaped = 0, False, False, False
        for place, character in enumerate(value):
            if escaped:
                escaped = False
            elif quoted:
                escaped, quoted = character == "\\", character != '"'
            elif character == "," and not angled:
                members.append(value[begin:place].strip())
                begin = place + 1
            else:
                quoted, angled = character == '"', character == "<" or (angled and character != ">")
        members.append(value[begin:].strip())
    return [member for member in members if member]


def compose(first_line: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """A message as bytes, with its Content-Length. Raises BadValue for a name or value that leaves its line."""
    lines = [check_value("request", first_line)]
    for name, value in headers:
        lines.append(f"{check_name(name)}: {check_value(f'headers.{name}', value)}")
    lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join([*lines, "", ""]).encode() + body
    if len(raw) > LARGEST:
        raise BadValue("body", f"the message is longer than {LARGEST} bytes")
    return raw


def check_name(name: str) -> str:
    """A header name, method or other token. Raises BadValue."""
    if not _TOKEN.fullmatch(name):
        raise BadValue("headers", f"{name[:64]!r} is no name of a header or method")
    return name


def check_value(field: str, value: str) -> str:
    """A value that stays in its line. Raises BadValue, repeating nothing of the value."""
    if len(value) > LONGEST_LINE or _CONTROL_TEXT.search(value):
        raise BadValue(field, "too long, or holds a character that no header may hold")
    return value


def check_uri(field: str, uri: str) -> str:
    """A SIP address such as `sip:100@pbx.example` or `sips:[2001:db8::1]:5061;transport=tls`. Raises BadValue."""
    if not uri.isascii() or not uri.isprintable() or not _URI.fullmatch(uri):
        raise BadValue(field, f"{uri[:64]!r} is no SIP address such as sip:100@pbx.example")
    return uri
