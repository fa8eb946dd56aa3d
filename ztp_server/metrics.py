"""Counters for Prometheus. Labels have few values: never a MAC, never a name of a file that somebody made up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """One set of counters for one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("listener", "vendor", "status")
        self.requests = Counter("ztp_phone_requests", "Requests of phones", labels, registry=self.registry)
        self.bytes = Counter("ztp_phone_bytes", "Bytes sent to phones", ("listener",), registry=self.registry)
        self.seconds = Histogram(
            "ztp_phone_request_seconds",
            "Time from request to answer",
            ("listener",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.connections = Gauge(
            "ztp_phone_connections", "Connections of phones, by how far they are", ("state",), registry=self.registry
        )
        self.failures = Counter(
            "ztp_phone_failures",
            "Requests in the name of a phone without a proof: noted, or beyond what is noted of one source",
            ("noted",),
            registry=self.registry,
        )
        self.enumerations = Counter(
            "ztp_enumerations_suspected", "Times that somebody seemed to try MACs", registry=self.registry
        )
        self.shed = Counter(
            "ztp_phone_connections_shed", "Connections and requests turned away", ("reason",), registry=self.registry
        )
        self.template_problems = Gauge(
            "ztp_template_problems", "Template files left out of service", registry=self.registry
        )
        self.certificate_days = Gauge(
            "ztp_server_certificate_days", "Days until the server certificate expires", registry=self.registry
        )
        self.knocks_left_out = Gauge(
            "ztp_unknown_phone_requests_left_out",
            "Requests in the name of unknown phones that were not written down because there were too many",
            registry=self.registry,
        )

    def add_legacy_days(self, days: Callable[[], int]) -> None:
        """How long old phones are served yet; there only where they are."""
        gauge = Gauge("ztp_legacy_days_left", "Days until the legacy listener ends", registry=self.registry)
        gauge.set_function(days)

    def add_registrations(self, counts: Callable[[], Mapping[str, int]], states: Iterable[str]) -> None:
        """How many phones there are in each state of registration, as `counts` says when it is asked."""
        gauge = Gauge(
            "ztp_phones_by_registration", "Phones by whether they are registered", ("state",), registry=self.registry
        )
        for state in states:
            gauge.labels(state).set_function(lambda state=state: counts().get(state, 0))  # type: ignore[misc]

    def observe(self, listener: str, vendor: str, status: int, size: int, seconds: float) -> None:
        self.requests.labels(listener, vendor or "unknown", str(status)).inc()
        self.bytes.labels(listener).inc(size)
        self.seconds.labels(listener).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)
