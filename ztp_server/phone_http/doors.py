"""The listeners for phones, together: which there are, and what each demands of who connects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ztp_server.certificates import Certificates
from ztp_server.config import Address, ServeOptions
from ztp_server.domain.request import Listener
from ztp_server.domain.site import Network
from ztp_server.errors import Misconfigured
from ztp_server.metrics import Metrics
from ztp_server.phone_http.forwarded import ForwardedHeader, Report
from ztp_server.phone_http.gate import Gate
from ztp_server.phone_http.listeners import PhoneListener
from ztp_server.phone_http.proxy_probe import ProxyProbe
from ztp_server.phone_http.routes import PhoneDoor

# Days before its end on which a listener is spoken of.
WARN_DAYS = 90


@dataclass(frozen=True)
class _Wanted:
    """A listener that was asked for; `networks` are those it serves, or none when it serves all."""

    kind: Listener
    address: Address
    networks: tuple[Network, ...] = ()


class PhoneDoors:
    """Every listener that the options ask for, over one PhoneDoor."""

    def __init__(
        self, options: ServeOptions, door: PhoneDoor, forwarded: ForwardedHeader, report: Report, metrics: Metrics
    ) -> None:
        self._options = options
        self._door = door
        self._report = report
        self._gate = Gate.of_process(metrics, options.trusted_proxies)
        self.listeners: dict[Listener, PhoneListener] = {}
        probe = options.proxied.probe if options.proxied else ""
        self.probe = ProxyProbe(probe, forwarded, report) if probe else None
        if options.legacy:
            metrics.add_legacy_days(self._legacy_days)

    async def open(self, certificates: Certificates) -> None:
        """Bind all, listen on all, try the proxy. Raises Misconfigured naming the option; who opened closes."""
        if self._options.legacy and self._legacy_days() < 0:
            until = self._options.legacy.until
            raise Misconfigured(f"--legacy-until {until} is over: end --phone-legacy, or say a later day")
        for wanted in self._wanted():
            context = certificates.contexts.get(wanted.kind)
            handler = self._door.handler(wanted.kind)
            option = f"--phone-{wanted.kind}"
            proxies = self._options.trusted_proxies if wanted.kind in self._options.proxy_protocol else ()
            listener = PhoneListener(option, wanted.address, handler, context, wanted.networks, self._gate, proxies)
            self.listeners[wanted.kind] = listener
            await listener.start()
        if self.probe:
            await self.probe.first()

    async def run(self) -> None:
        """Try the proxy again, for as long as the server runs."""
        if self.probe:
            await self.probe.run()

    async def look_at_the_date(self, today: date | None = None) -> None:
        """Tell, once a day, that old phones will not be served for long; then serve them no more."""
        days = self._legacy_days(today)
        if self._options.legacy is None or days > WARN_DAYS:
            return
        until = f"--legacy-until {self._options.legacy.until}"
        if days >= 0:
            self._report("listener.ends_soon", "legacy", f"{until}: {days} days left")
        elif "legacy" in self.listeners:
            await self.listeners.pop("legacy").stop()
            self._report("listener.ended", "legacy", f"{until} is over")

    async def replace(self, certificates: Certificates) -> None:
        """New connections are shown and judged by the new ones; those in progress go on."""
        for kind, listener in self.listeners.items():
            if kind in certificates.contexts:
                await listener.replace_context(certificates.contexts[kind])
        self._door.take(certificates)

    async def close(self) -> None:
        await asyncio.gather(*(listener.stop() for listener in self.listeners.values()))

    def urls(self) -> dict[str, str]:
        """The URLs a phone may be given as its steady address, by listener."""
        return {kind: url for kind, url in self._urls() if kind in ("http", "https", "mtls")}

    def other_urls(self) -> dict[str, str]:
        """The URLs of listeners that phones are sent to by an administrator's setting alone."""
        return {kind: url for kind, url in self._urls() if kind in ("legacy", "expired")}

    def _legacy_days(self, today: date | None = None) -> int:
        return self._options.legacy.days_left(today or datetime.now(UTC).date()) if self._options.legacy else 0

    def _urls(self) -> Iterator[tuple[str, str]]:
        name = f"[{self._options.name}]" if ":" in self._options.name else self._options.name
        for wanted in self._wanted():
            listening = self.listeners.get(wanted.kind)
            port = (listening.address if listening else wanted.address).port
            yield wanted.kind, f"{'http' if wanted.kind == 'http' else 'https'}://{name}:{port}/"

    def _wanted(self) -> Iterator[_Wanted]:
        options = self._options
        if options.phone_http:
            yield _Wanted("http", options.phone_http)
        if options.phone_https:
            yield _Wanted("https", options.phone_https)
        if options.phone_mtls:
            yield _Wanted("mtls", options.phone_mtls)
        if options.legacy:
            yield _Wanted("legacy", options.legacy.address, options.legacy.networks)
        if options.expired:
            yield _Wanted("expired", options.expired.address, options.expired.networks)
        if options.proxied:
            yield _Wanted("proxied", options.proxied.address, options.trusted_proxies)
