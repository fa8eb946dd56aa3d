"""Counters for Prometheus. Labels have few values: never a MAC, never a name of a file that somebody made up."""

from __future__ import annotations

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
        self.template_problems = Gauge(
            "ztp_template_problems", "Template files left out of service", registry=self.registry
        )
        self.certificate_days = Gauge(
            "ztp_server_certificate_days", "Days until the server certificate expires", registry=self.registry
        )

    def observe(self, listener: str, vendor: str, status: int, size: int, seconds: float) -> None:
        self.requests.labels(listener, vendor or "unknown", str(status)).inc()
        self.bytes.labels(listener).inc(size)
        self.seconds.labels(listener).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)
