"""What monitoring asks on the admin listener: /healthz and /metrics."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from ztp_server.errors import StoreUnavailable
from ztp_server.metrics import Metrics
from ztp_server.services.opening import Services


def health_routes(services: Services, metrics: Metrics) -> list[web.RouteDef]:
    """Their routes."""

    async def healthz(_request: web.Request) -> web.Response:
        problems = [f"{p.file}:{p.line}: {p.reason}" for p in services.templates.snapshot.problems]
        try:
            async with services.store.read() as session:
                await session.meta.get("demo")
        except StoreUnavailable as error:
            return web.json_response({"status": "failing", "reason": str(error)}, status=503)
        return web.json_response({"status": "degraded" if problems else "ok", "template_problems": problems})

    async def show_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/healthz", healthz), web.get("/metrics", show_metrics)]
