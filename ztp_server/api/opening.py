"""The door of administrators, put together from the options."""

from __future__ import annotations

import socket
from contextlib import suppress

from ztp_server.api.application import admin_app
from ztp_server.api.hosts import HostNames
from ztp_server.api.listener import AdminListener
from ztp_server.api.oidc import OidcDoor
from ztp_server.config import ServeOptions
from ztp_server.domain.registration import REGISTRATION_STATES
from ztp_server.errors import StoreUnavailable
from ztp_server.log import RequestLog
from ztp_server.metrics import Metrics
from ztp_server.outbound import Outbound
from ztp_server.pki.admin_pair import AdminPair
from ztp_server.services.external_logins import ExternalLogins
from ztp_server.services.oidc import Client, Oidc
from ztp_server.services.opening import Services


async def open_admin(
    sock: socket.socket, options: ServeOptions, services: Services, metrics: Metrics, requests: RequestLog
) -> AdminListener:
    """The listener, serving on a bound socket, which is its own from now on. Raises Misconfigured."""
    try:
        folder, door = options.data.data, options.admin_door
        hosts = HostNames(name for name in (options.name, options.admin_host, *door.names) if name)
        oidc = await _oidc(options, services)
        metrics.add_registrations(lambda: services.registrations.counts, REGISTRATION_STATES)
        app = admin_app(
            *(services, services.tokens, metrics, requests, folder, options.trusted_proxies), hosts=hosts, oidc=oidc
        )
        own = folder / "tls" / "server.pem", folder / "tls" / "server.key"
        pair = AdminPair(door.certificate or own[0], door.key or own[1]) if options.admin_uses_tls else None
        listener = AdminListener(app, sock, pair, options.trusted_proxies)
    except BaseException:
        sock.close()
        raise
    try:
        await listener.start()
    except BaseException:
        await listener.stop()
        raise
    return listener


async def _oidc(options: ServeOptions, services: Services) -> OidcDoor | None:
    given = options.admin_door.oidc
    if not given.issuer:
        return None
    client = Client(given.issuer, given.client_id, given.client_secret)
    logins = ExternalLogins(services.store, services.logins, given.auto_role)
    with suppress(StoreUnavailable):  # whoever logs in by then is told
        await logins.check()
    provider = Oidc(client, Outbound(allow_private=given.allow_private))
    return OidcDoor(provider, logins, options.trusted_proxies)
