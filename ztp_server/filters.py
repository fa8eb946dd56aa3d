"""The filters a phone template may use: computations every maker needs, none that only one does."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----", re.DOTALL)

_CRYPT_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def tos_byte(dscp: int) -> int:
    """The IP type-of-service byte of a DSCP value (RFC 2474, section 3: the upper six bits)."""
    return dscp << 2


def ranks(codecs: Sequence[str], names: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Every codec name of the maker with its rank, 1 the most wanted, 0 off. A codec may have several names (rates)."""
    wanted = [name for codec in codecs for name in _as_list(names[codec])]
    known = [name for spelled in names.values() for name in _as_list(spelled)]
    return [(name, wanted.index(name) + 1 if name in wanted else 0) for name in known]


def first_day(week: int) -> int:
    """The day of the month on which the week-th seven days begin: 1, 8, 15, 22, 29."""
    return (week - 1) * 7 + 1


def certificates(pem: str) -> list[str]:
    """The certificates of a PEM text, one by one."""
    return _CERTIFICATE.findall(pem)


def window_start(window: str) -> str:
    """`01:00` of the daily window `01:00-05:00`."""
    return window.partition("-")[0]


def window_end(window: str) -> str:
    return window.partition("-")[2]


def window_seconds(window: str) -> int:
    """How long a daily window lasts; one that ends before it begins runs over midnight."""
    start, end = (int(hours) * 3600 + int(minutes) * 60 for hours, minutes in (t.split(":") for t in window.split("-")))
    return (end - start) % 86_400


def spread_seconds(period: int, mac: str) -> int:
    """A delay of less than `period` seconds: the same for a phone each time, evenly spread over phones by their MAC.

    For makers whose phones do not spread by themselves what they all do every `period`.
    """
    # Makers number their phones one after the other, so that the MAC itself would not spread them.
    digest = hashlib.sha256(mac.lower().encode()).digest()
    return int.from_bytes(digest[:8], "big") * period >> 64


def moment_in(window: str, mac: str) -> str:
    """The minute of a daily window (`02:37` of `01:00-05:00`) that is a phone's own, see `spread_seconds`."""
    hours, minutes = map(int, window_start(window).split(":"))
    moment = (hours * 60 + minutes + spread_seconds(window_seconds(window) // 60, mac)) % 1440
    return f"{moment // 60:02}:{moment % 60:02}"


def host(address: str) -> str:
    """The host of `host:port`, `[address]:port` or `host`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def port(address: str, default: int = 0) -> int:
    """The port of `host:port`, or the default."""
    rest = address.partition("]")[2] if address.startswith("[") else address
    text = "" if rest.count(":") > 1 else rest.partition(":")[2]
    return int(text) if text else default


def before(text: str, separator: str) -> str:
    """What stands before the last of a separator; nothing when there is none."""
    return text.rpartition(separator)[0]


def after(text: str, separator: str) -> str:
    """What stands after the last of a separator; the whole when there is none."""
    return text.rpartition(separator)[2]


def uri_user(text: str) -> str:
    """A user as it may stand in a SIP address (RFC 3261, 25.1): what is not allowed there as %xx."""
    return quote(text, safe="-_.!~*'()&=+$,;?/")


def uri_host(address: str) -> str:
    """A host as it stands in a URI, an IPv6 address in brackets (RFC 3261, 25.1)."""
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def quoted(text: str) -> str:
    """A quoted-string of SIP, with its quotes (RFC 3261, 25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def join(values: Sequence[str | int], separator: str = "") -> str:
    """Texts and numbers in one text. Raises TypeError for anything else."""
    if not all(isinstance(value, (str, int)) for value in values):
        raise TypeError("join takes texts and numbers")
    return separator.join(map(str, values))


def md5_crypt(password: str, seed: str) -> str:
    """A password as `$1$salt$hash` (`openssl passwd -1`), for phones that keep it so. The salt follows from `seed`,
    such as a MAC, and the password: the same input gives the same bytes."""
    salt = _crypt_digits(hashlib.sha256(f"{seed}\0{password}".encode()).digest(), 8).encode()
    return f"$1${salt.decode()}${_crypt_digits(_md5_crypt_digest(password.encode(), salt), 22)}"


def _md5_crypt_digest(password: bytes, salt: bytes) -> bytes:
    """The algorithm of Poul-Henning Kamp, FreeBSD 2.0 (lib/libcrypt), which every crypt(3) has."""
    digest = _md5(password, salt, password)
    length = len(password)
    bits = b"".join(password[:1] if not length >> bit & 1 else b"\0" for bit in range(length.bit_length()))
    digest = _md5(password, b"$1$", salt, (digest * (length // 16 + 1))[:length], bits)
    for turn in range(1000):
        digest = _md5(
            password if turn % 2 else digest,
            salt if turn % 3 else b"",
            password if turn % 7 else b"",
            digest if turn % 2 else password,
        )
    return bytes(digest[i] for i in (11, 4, 10, 5, 3, 9, 15, 2, 8, 14, 1, 7, 13, 0, 6, 12))


def _md5(*parts: bytes) -> bytes:
    return hashlib.md5(b"".join(parts), usedforsecurity=False).digest()


def _crypt_digits(data: bytes, count: int) -> str:
    """The lowest six bits first, in the alphabet of crypt(3)."""
    number = int.from_bytes(data, "big")
    return "".join(_CRYPT_ALPHABET[number >> 6 * place & 63] for place in range(count))


def _as_list(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


FILTERS: Mapping[str, Callable[..., Any]] = {
    "after": after,
    "before": before,
    "certificates": certificates,
    "first_day": first_day,
    "host": host,
    "join": join,
    "length": len,
    "lower": str.lower,
    "md5_crypt": md5_crypt,
    "moment_in": moment_in,
    "port": port,
    "quoted": quoted,
    "ranks": ranks,
    "spread_seconds": spread_seconds,
    "tos_byte": tos_byte,
    "upper": str.upper,
    "uri_host": uri_host,
    "uri_user": uri_user,
    "window_end": window_end,
    "window_seconds": window_seconds,
    "window_start": window_start,
}
