"""How often one may ask: token buckets, in memory, of a bounded number."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

# Requests a second, and how many at once after a pause: for each actor, and for failed authentication of each address.
ACTOR_RATE, ACTOR_BURST = 50.0, 200.0
FAILURE_RATE, FAILURE_BURST = 1.0, 30.0
# Of what a machine asks for each of its own clients: 500 a second.
MACHINE_WEIGHT = 0.1
# Requests that are worked on at a time, of all. Each may hold one of the 15 connections to the database, and phones
# need some of them.
AT_ONCE = 8
_MOST_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Buckets:
    """A bucket for each key. Of too many keys the one that was longest not heard of is forgotten."""

    def __init__(self, rate: float, burst: float, most: int = _MOST_BUCKETS) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float, weight: float = 1.0) -> float:
        """0 when this one may go on at `now` (seconds of any clock that does not go back), else the seconds to wait.
        `weight` is less than 1 for what may be asked more often."""
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens < weight:
            return (weight - bucket.tokens) / self._rate
        bucket.tokens -= weight
        return 0.0
