"""Requests in the name of a phone that prove nothing: how many of one source are taken notice of, and when they look as
if somebody tries MACs to see which are ours.

None of this changes an answer. A phone with a proof is never counted, so nothing here can hinder it, whatever others
behind its address do.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable

from ztp_server.domain.request import PhoneRequest
from ztp_server.domain.source import network_of
from ztp_server.errors import StoreUnavailable
from ztp_server.metrics import Metrics
from ztp_server.services.enumeration import Enumeration
from ztp_server.services.hardware_ids import HardwareIds

# Failures at once and then an hour that are written down. A boot of five hundred unknown phones fits in, so that all of
# them come into the list of unknown phones.
OF_ADDRESS = 4000
OF_NETWORK = 16_000
MOST_REMEMBERED = 16_384
# No refusal leaves earlier: what was looked up meanwhile is not to be told from how long it took.
FLOOR_SECONDS = 0.03
# Some milliseconds more are drawn, and waited for on their own: the kernel's timers go by whole ones, and a processor
# wakes later the longer it slept, so that the end of one long wait would tell when it began.
_DRAWN_SECONDS = (0.002, 0.02)

Report = Callable[[str, str, str], None]


class Failures:
    """Asked once for each failure."""

    def __init__(self, hardware_ids: HardwareIds, report: Report, metrics: Metrics) -> None:
        self._hardware_ids = hardware_ids
        self._metrics = metrics
        self._addresses = _Buckets(OF_ADDRESS)
        self._networks = _Buckets(OF_NETWORK)
        self._enumeration = Enumeration(report, metrics)

    async def failed(self, request: PhoneRequest, mac: str, started: float) -> bool:
        """Whether this one is to be written down; `started` is when the request came (`time.perf_counter`)."""
        address, is_ours = request.address, await self._may_be_ours(mac)
        if not is_ours:
            self._enumeration.saw(address, mac)
        # A phone that is going to log in asks once without.
        is_noted = is_ours and request.may_log_in and request.login is None
        if not is_noted:
            is_noted = self._addresses.take(address) and self._networks.take(network_of(address))
            self._metrics.failures.labels("yes" if is_noted else "no").inc()
        await leave_late(started)
        return is_noted

    async def _may_be_ours(self, mac: str) -> bool:
        try:
            return await self._hardware_ids.may_be(mac)
        except StoreUnavailable:
            return True


async def leave_late(started: float) -> None:
    """Wait until a refusal of what was asked at `started` (`time.perf_counter`) may leave."""
    floor = started + FLOOR_SECONDS
    for leaves in (floor, floor + random.uniform(*_DRAWN_SECONDS)):
        await asyncio.sleep(leaves - time.perf_counter())


class _Buckets:
    """So many at once, refilled evenly over an hour; of the sources, those that came last are remembered."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, source: str) -> bool:
        now = time.monotonic()
        left, at = self._left.pop(source, (float(self._size), now))
        left = min(self._size, left + (now - at) * self._size / 3600)
        self._left[source] = (max(left - 1, 0.0), now)
        if len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        return left >= 1
