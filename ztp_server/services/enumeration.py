"""Somebody who tries MACs, one after the other, to see which are phones of ours."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from ztp_server.domain.source import network_of
from ztp_server.metrics import Metrics

# So many different MACs that are none of ours within one span: from one network, and from all together. Unknown phones
# that are really there are tens, on the day a building is fitted out hundreds.
FROM_ONE = 100
FROM_ALL = 1000
SPAN_SECONDS = 600.0
AGAIN_SECONDS = 3600.0
_MOST_NETWORKS = 1024
_ALL = "all networks"


class Enumeration:
    """Counts, in memory that is bounded, and reports `enumeration.suspected`: of one network once an hour."""

    def __init__(self, report: Callable[[str, str, str], None], metrics: Metrics) -> None:
        self._report = report
        self._metrics = metrics
        self._since = time.monotonic()
        self._macs: OrderedDict[str, set[int]] = OrderedDict()
        self._reported: OrderedDict[str, float] = OrderedDict()

    def saw(self, address: str, mac: str) -> None:
        """Somebody asked in the name of a MAC that is none of ours."""
        now = time.monotonic()
        if now - self._since > SPAN_SECONDS:
            self._macs.clear()
            self._since = now
        self._count(network_of(address), mac, FROM_ONE, address, now)
        self._count(_ALL, mac, FROM_ALL, address, now)

    def _count(self, network: str, mac: str, most: int, address: str, now: float) -> None:
        macs = self._macs.setdefault(network, set())
        self._macs.move_to_end(network)
        if len(self._macs) > _MOST_NETWORKS:
            self._macs.popitem(last=False)
        if len(macs) > most:
            return
        macs.add(int(mac, 16))
        if len(macs) > most and now - self._reported.get(network, -AGAIN_SECONDS) >= AGAIN_SECONDS:
            self._reported.pop(network, None)
            self._reported[network] = now
            if len(self._reported) > _MOST_NETWORKS:
                self._reported.popitem(last=False)
            self._metrics.enumerations.inc()
            minutes = round(SPAN_SECONDS / 60)
            reason = f"more than {most} MACs that are no phones of ours within {minutes} minutes, lately from "
            self._report("enumeration.suspected", network or "unknown address", reason + (address or "behind a proxy"))
