"""Time as the user agent sees it: an asyncio event loop is such a clock, and tests have one that they move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol


class Timer(Protocol):
    """Something that will happen, unless cancelled."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Seconds from any beginning, and what is to happen after some of them."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer: ...


@dataclass(frozen=True, slots=True)
class Intervals:
    """How long things take, in seconds. `t1` and `t2` are those of RFC 3261, table 4."""

    t1: float = 0.5
    t2: float = 4.0
    connect: float = 10.0
    # A message that began must be there whole after this long.
    whole_message: float = 30.0
    keepalive: float = 30.0
    idle: float = 60.0
    # Between tries to get a subscription back that fails again and again.
    most_pause: float = 30.0

    @property
    def give_up(self) -> float:
        """Timers F, J and N: 64 times T1."""
        return 64 * self.t1


@asynccontextmanager
async def limited(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """What is done inside takes so long at most. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer = clock.call_later(seconds, lambda: limit.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
