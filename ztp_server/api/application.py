"""The admin listener: health and metrics, the REST interface, its page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from aiohttp import web

from ztp_server.api import (
    accounts,
    approval_rules,
    audit,
    base_settings,
    device_cas,
    doctor,
    firmware,
    jobs,
    logged_in,
    me,
    models,
    phone_bulk,
    phone_history,
    phone_import,
    phone_lines,
    phone_list,
    phone_parts,
    phone_proofs,
    phone_restart,
    phone_status_stream,
    phone_why,
    phones,
    platforms,
    registrars,
    roles,
    session,
    settings,
    sites,
    tokens,
    unknown_phones,
    users,
)
from ztp_server.api.access import Access
from ztp_server.api.answers import VERSION, encoded
from ztp_server.api.door import RestDoor
from ztp_server.api.health import health_routes
from ztp_server.api.hosts import HostNames
from ztp_server.api.oidc import OidcDoor
from ztp_server.api.openapi import document
from ztp_server.api.operation import Routes
from ztp_server.api.outermost import outermost
from ztp_server.api.page import page_routes, to_page
from ztp_server.domain.site import Network
from ztp_server.log import RequestLog
from ztp_server.metrics import Metrics
from ztp_server.services.opening import Services

# Every noun, in the order of the documentation.
NOUNS = (
    session.routes,
    me.routes,
    models.routes,
    settings.routes,
    firmware.routes,
    sites.routes,
    base_settings.routes,
    phone_list.routes,
    phones.routes,
    phone_lines.routes,
    phone_parts.routes,
    phone_proofs.routes,
    phone_history.routes,
    phone_status_stream.routes,
    phone_why.routes,
    phone_bulk.routes,
    phone_restart.routes,
    logged_in.routes,
    phone_import.routes,
    platforms.routes,
    registrars.routes,
    unknown_phones.routes,
    approval_rules.routes,
    device_cas.routes,
    jobs.routes,
    users.routes,
    accounts.routes,
    roles.routes,
    tokens.routes,
    audit.routes,
    doctor.routes,
)


def admin_app(
    services: Services,
    access: Access,
    metrics: Metrics,
    requests: RequestLog,
    scratch: Path,
    trusted_proxies: Iterable[Network] = (),
    nouns: Sequence[Routes] = NOUNS,
    hosts: HostNames | None = None,
    oidc: OidcDoor | None = None,
) -> web.Application:
    """Everything the admin listener answers. `scratch` is a folder for uploads while they come in; `hosts` are the
    names it is asked by (none given: those of this machine to itself)."""
    door = RestDoor(services, access, requests, scratch, trusted_proxies)
    described = cache(lambda: encoded(document(nouns)))

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=described(), content_type="application/json")

    async def hang_up(_app: web.Application) -> None:
        services.status_feed.close()

    rest = web.Application(middlewares=[door.guard])
    rest.add_routes([web.get(f"{VERSION}/openapi.json", openapi), *page_routes(), *door.routes(nouns)])
    app = web.Application(middlewares=[outermost(hosts or HostNames(), door.note)])
    app.add_routes([*health_routes(services, metrics), *(oidc.routes() if oidc else ())])
    app.router.add_get("/api", to_page)
    app.add_subapp("/api", rest)
    app.on_shutdown.append(hang_up)  # or a stop would wait for who follows
    return app
