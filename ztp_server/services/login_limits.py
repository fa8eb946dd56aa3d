"""How often one may fail to log in, in memory, of a bounded number of accounts and addresses."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass

from ztp_server.errors import TooMany

_MOST_KEYS = 10_000
# A burst of failures ends when nobody fails for so long, in seconds.
_QUIET = 3600.0


@dataclass(frozen=True, slots=True)
class Limit:
    """So many failures are free; from then on each makes the wait twice as long, from `first` up to `longest` s."""

    free: int
    first: float
    longest: float


# One account from one address; one address, behind which may be a whole office; one account, which others must not be
# able to close for its owner: its limit does not count where the owner has logged in from before.
_PAIR, _ADDRESS, _ACCOUNT = Limit(5, 2, 900), Limit(50, 2, 900), Limit(20, 1, 30)


@dataclass(slots=True)
class _Burst:
    failures: int = 0
    last: float = 0.0
    blocked_until: float = 0.0


class LoginLimits:
    """Counts each try as a failure before it is checked, so that many at once are no way around."""

    def __init__(self) -> None:
        self._bursts: OrderedDict[tuple[str, str], _Burst] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, account: str, address: str, now: float) -> None:
        """Take a try at `now` (seconds of a clock that does not go back). Raises TooMany."""
        keys = _keys(account, address)
        if keys[0][0] in self._known:
            del keys[2]
        wait = max(self._burst(key, now).blocked_until - now for key, _ in keys)
        if wait > 0:
            raise TooMany("too many failed log-ins; wait and try again", math.ceil(wait))
        for key, limit in keys:
            self._count(self._burst(key, now), limit, now)

    def known(self, account: str, address: str) -> None:
        """The owner of an account logs in from this address."""
        pair = _keys(account, address)[0][0]
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > _MOST_KEYS:
            self._known.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """The password was right: the account starts anew, and the address gets its try back. What strangers failed at
        stays counted where the owner was known already."""
        pair, office, login = (key for key, _ in _keys(account, address))
        for key in (pair,) if pair in self._known else (pair, login):
            self._bursts.pop(key, None)
        self.known(account, address)
        burst = self._bursts.get(office)
        if burst:
            burst.failures -= 1
            burst.blocked_until = 0.0

    def _burst(self, key: tuple[str, str], now: float) -> _Burst:
        burst = self._bursts.setdefault(key, _Burst(last=now))
        self._bursts.move_to_end(key)
        if now - burst.last > _QUIET:
            burst.failures, burst.blocked_until = 0, 0.0
        if len(self._bursts) > _MOST_KEYS:
            self._bursts.popitem(last=False)
        return burst

    def _count(self, burst: _Burst, limit: Limit, now: float) -> None:
        burst.failures += 1
        burst.last = now
        beyond = burst.failures - limit.free
        if beyond >= 0:
            burst.blocked_until = now + min(limit.longest, limit.first * 2.0 ** min(beyond, 30))


def _keys(account: str, address: str) -> list[tuple[tuple[str, str], Limit]]:
    account, network = account.casefold()[:64], _network(address)
    return [((account, network), _PAIR), (("", network), _ADDRESS), ((account, "*"), _ACCOUNT)]


def _network(address: str) -> str:
    """What one customer has: an IPv4 address, or 64 bits of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
