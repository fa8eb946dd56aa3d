"""Who of those that connect is let in, and when: bounds on connections, by source and altogether.

A connection comes (`arrived`), speaks, waits for its turn, and gets a seat, in which TLS is spoken and then HTTP.
Sources take turns, so that one that has thousands waiting delays itself. A newcomer is not turned away for the sake of
one that says nothing: the one that was silent longest goes instead, as does the one that was idle longest when no seat
is free.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

import structlog

from ztp_server.domain.site import Network
from ztp_server.domain.source import source_of
from ztp_server.metrics import Metrics
from ztp_server.phone_http.bounds import Bounds
from ztp_server.phone_http.doorstep import Doorstep, Entry, Knock
from ztp_server.phone_http.file_limit import raise_file_limit
from ztp_server.phone_http.proxy_header import ProxyHeader
from ztp_server.phone_http.seats import Seat, Seats
from ztp_server.phone_http.sources import Source
from ztp_server.phone_http.turns import Turns
from ztp_server.services.fleet import lies_in

log = structlog.get_logger()

_SWEEP_SECONDS = 1.0
_MOMENT_SECONDS = 1.0
# After a handshake: a client that does not say goodbye is not waited for longer.
_GOODBYE_SECONDS = 3.0


class Gate:
    """Shared by all listeners: what one takes, the others lack."""

    def __init__(
        self, bounds: Bounds | None = None, metrics: Metrics | None = None, proxies: Sequence[Network] = ()
    ) -> None:
        self.bounds = bounds or Bounds()
        self._metrics = metrics or Metrics()
        self._proxies = tuple(proxies)
        self._sources: dict[str, Source] = {}
        self._doorstep = Doorstep(self._spoken, self._hung_up, self._named)
        self._ready: OrderedDict[Knock, None] = OrderedDict()
        self._turns = Turns(self.bounds)
        self._seats = Seats()
        self._sweeps = 0
        self._sweeper: asyncio.TimerHandle | None = None
        for state, count in (
            ("silent", lambda: len(self._doorstep)),
            ("ready", lambda: len(self._ready)),
            ("handshake", lambda: len(self._seats.handshakes)),
            ("open", lambda: len(self._seats)),
        ):
            self._metrics.connections.labels(state).set_function(count)

    @classmethod
    def of_process(cls, metrics: Metrics, proxies: Sequence[Network]) -> Gate:
        """One that leaves this process enough files for all else. The limit is raised as far as may be."""
        return cls(Bounds().within(raise_file_limit()), metrics, proxies)

    # ---- what happens to a connection

    def arrived(self, sock: socket.socket, address: str, entry: Entry, header: ProxyHeader | None = None) -> None:
        """A connection that was just accepted. With a `header` it is a proxy's that will say whose it is."""
        source = self._source(address)
        if not self._has_room(source):
            sock.close()
            self._count("crowded")
            self._forget(source)
            return
        self._sources[source.key] = source  # the one that went may have been its last
        self._doorstep.put(Knock(sock, source, entry, _now(), header))
        if self._sweeper is None:
            self._sweep_later()

    def seated(self, seat: Seat, transport: asyncio.BaseTransport) -> None:
        """Its TLS handshake is done; it may ask."""
        seat.transport = transport
        self._seats.end_handshake(seat, finished=True)
        self.rest(seat)

    def work(self, seat: Seat) -> None:
        """It has asked for something."""
        self._seats.work(seat)

    def rest(self, seat: Seat) -> None:
        """It has got what it asked for."""
        self._seats.rest(seat)
        if self._ready:
            self._go_on(seat.source)

    def left(self, seat: Seat) -> None:
        """It is closed."""
        if self._seats.leave(seat):
            self._go_on(seat.source)
            self._forget(seat.source)

    def refused(self, reason: str) -> None:
        """A connection or request was turned away elsewhere."""
        self._count(reason)

    async def dismiss(self, entry: Entry) -> None:
        """Hang up on all of a listener that have not finished their handshake."""
        for knock in self._doorstep.of(entry):
            self._drop(knock)
        for knock in [knock for knock in self._ready if knock.entry is entry]:
            self._drop(knock)
        tasks = [seat.task for seat in self._seats.handshakes if seat.entry is entry and seat.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- at the doorstep

    def make_room(self) -> None:
        """No file can be opened any more: the ones that were silent longest go."""
        for _ in range(min(len(self._doorstep), 64)):
            self._shed(self._doorstep.oldest(), "crowded")

    def _has_room(self, source: Source) -> bool:
        """Whether one more may wait; for it another may have to go."""
        bounds = self.bounds
        if source.waiting >= bounds.waiting_of_one and not source.boundless:
            return self._shed(next(iter(source.silent), None), "crowded")
        if len(self._doorstep) + len(self._ready) >= bounds.waiting:
            oldest = self._doorstep.oldest()
            # One that came a moment ago is about to speak.
            if oldest is None or _now() - oldest.since < _MOMENT_SECONDS:
                oldest = self._least_entitled(source) or oldest
            return self._shed(oldest, "crowded")
        return True

    def _least_entitled(self, source: Source) -> Knock | None:
        """One that has spoken and goes nevertheless: it is of a source that has more of them than this one."""
        first = next(iter(self._ready), None)
        if first is None or first.source.waiting <= source.waiting + 1:
            return None
        return next(reversed(first.source.ready))

    def _shed(self, knock: Knock | None, reason: str) -> bool:
        if knock is None:
            return False
        self._drop(knock)
        self._count(reason)
        return True

    def _drop(self, knock: Knock) -> None:
        if knock in self._ready:
            self._take_ready(knock)
            knock.sock.close()
        else:
            self._doorstep.drop(knock)
        self._forget(knock.source)

    def _hung_up(self, knock: Knock, reason: str) -> None:
        if reason:
            self._count(reason)
        self._forget(knock.source)

    def _named(self, knock: Knock, client: str) -> bool:
        """A proxy said whose connection this is: from now on it counts among those of that address. Whether it may."""
        if not knock.entry.serves(client):
            return not self._shed(knock, "network")
        knock.client = client
        if not client:
            return True
        proxy, source = knock.source, self._source(client)
        has_room = source.boundless or source.waiting < self.bounds.waiting_of_one
        if not has_room and not self._shed(next(iter(source.silent), None), "crowded"):
            return not self._shed(knock, "crowded")
        del proxy.silent[knock]
        self._forget(proxy)
        knock.source = source
        source.silent[knock] = None
        self._sources[source.key] = source  # the one that went may have been its last
        return True

    def _spoken(self, knock: Knock) -> None:
        knock.since = _now()
        self._ready[knock] = None
        knock.source.ready[knock] = None
        self._go_on(knock.source)

    # ---- turns

    def _go_on(self, source: Source) -> None:
        """Something about a source has changed: let in who can be."""
        self._turns.put(source)
        seats = self._seats
        while len(seats) < self.bounds.seats or seats.idle:
            first = self._turns.next(len(seats.handshakes))
            if first is None:
                return
            self._let_in(next(iter(first.ready)))
            self._turns.put(first)

    def _let_in(self, knock: Knock) -> None:
        source = knock.source
        if source.open >= self.bounds.seats_of_one and not source.boundless:
            self._push_out(next(iter(source.idle)))
        elif len(self._seats) >= self.bounds.seats:
            self._push_out(next(iter(self._seats.idle)))
        self._take_ready(knock)
        seat = Seat(source, knock.entry, _now(), knock.client)
        self._seats.take(seat)
        seat.task = asyncio.get_running_loop().create_task(self._connect(knock, seat))

    def _take_ready(self, knock: Knock) -> None:
        del self._ready[knock]
        del knock.source.ready[knock]

    def _push_out(self, seat: Seat) -> None:
        self._count("idle")
        self._seats.leave(seat)
        seat.abort()
        self._forget(seat.source)

    async def _connect(self, knock: Knock, seat: Seat) -> None:
        entry, loop, bounds = knock.entry, asyncio.get_running_loop(), self.bounds
        context = entry.context
        try:
            await loop.connect_accepted_socket(
                lambda: entry.protocol(seat),
                knock.hand_over(),
                ssl=context,
                ssl_handshake_timeout=bounds.handshake_seconds if context else None,
                ssl_shutdown_timeout=_GOODBYE_SECONDS if context else None,
            )
        except OSError:
            pass  # a handshake that fails, or takes too long: the stranger's affair, and counted
        except Exception:
            log.exception("phones.connection_failed")
        finally:
            seat.task = None
            if self._seats.end_handshake(seat, finished=False):
                self._count("handshake")
                # By then its transport, if there was one, has let go of it.
                loop.call_soon(knock.sock.close)
                self.left(seat)

    # ---- time

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        now, bounds = _now(), self.bounds
        while (knock := self._doorstep.oldest()) and now - knock.since > bounds.silent_seconds:
            self._shed(knock, "silent")
        while (knock := next(iter(self._ready), None)) and now - knock.since > bounds.ready_seconds:
            self._shed(knock, "waited")
        if len(self._seats.handshakes) >= bounds.handshakes:
            for seat in list(islice(self._seats.handshakes, len(self._turns))):
                if seat.task and now - seat.since > bounds.pressed_seconds:
                    seat.task.cancel()
        self._sweeps += 1
        if self._sweeps % 5 == 0:
            for seat in [seat for seat in self._seats.all if seat.transport]:
                if seat.transport and seat.pace.is_too_slow(seat.transport, now):
                    self._count("slow")
                    seat.cut()
        if self._doorstep or self._ready or self._seats.all:
            self._sweep_later()
        else:
            self._sweeper = None

    # ---- sources

    def _source(self, address: str) -> Source:
        key = source_of(address)
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = Source(key, boundless=lies_in(address, self._proxies))
        return source

    def _forget(self, source: Source) -> None:
        if source.is_gone:
            self._sources.pop(source.key, None)
            self._turns.drop(source)

    def _count(self, reason: str) -> None:
        self._metrics.shed.labels(reason).inc()


def _now() -> float:
    return asyncio.get_running_loop().time()
