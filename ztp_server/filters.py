"""The filters a phone template may use: computations every maker needs, none that only one does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----", re.DOTALL)


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


def join(values: Sequence[str | int], separator: str = "") -> str:
    """Texts and numbers in one text. Raises TypeError for anything else."""
    if not all(isinstance(value, (str, int)) for value in values):
        raise TypeError("join takes texts and numbers")
    return separator.join(map(str, values))


def _as_list(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


FILTERS: Mapping[str, Callable[..., Any]] = {
    "certificates": certificates,
    "first_day": first_day,
    "host": host,
    "join": join,
    "length": len,
    "lower": str.lower,
    "port": port,
    "ranks": ranks,
    "tos_byte": tos_byte,
    "upper": str.upper,
    "window_end": window_end,
    "window_seconds": window_seconds,
    "window_start": window_start,
}
