"""By which names the admin listener answers, and what every answer tells a browser."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.api.conftest import Rest
from tests.conftest import ADMIN
from ztp_server.api.application import admin_app
from ztp_server.api.hosts import HostNames
from ztp_server.api.server import AdminRunner
from ztp_server.domain.account import EVERYTHING
from ztp_server.log import RequestLog
from ztp_server.metrics import Metrics

PATHS = ("/api/v1/openapi.json", "/api/v1/me", "/api/", "/api", "/healthz", "/metrics", "/nothing", "/api/v1/nothing")
PASSWORD = "correct horse battery staple"
HEADERS = ("X-Content-Type-Options", "Cross-Origin-Opener-Policy", "Cache-Control", "Server", "Referrer-Policy")


async def status_of(rest: Rest, path: str, *hosts: str) -> int:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    answer = await rest.raw(f"GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
    return int(answer.split()[1])


async def test_who_asks_for_another_name_is_told_nothing(rest: Rest) -> None:
    asked: list[str] = []

    async def authenticate(token: str, address: str) -> None:
        asked.append(token)

    rest.tokens.authenticate = authenticate  # type: ignore[method-assign,assignment]
    for path in PATHS:
        answer = await rest.raw(
            f"GET {path} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer admin-token\r\n\r\n".encode()
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 421 ") and b"frame-ancestors 'none'" in head and b"evil" not in answer, path
        assert b'"status": 421' in body
    assert asked == []


async def test_these_are_not_our_names(rest: Rest) -> None:
    near = ("", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2", "0.0.0.0", "2130706433", "[::2]")
    odd = ("localhost@evil.example", "localhost, evil.example", "localhost:8000:8000", "[::1", "évil", "a" * 2000)
    for host in near + odd:
        assert await status_of(rest, "/healthz", host) == 421, host


async def test_two_names_and_none_are_not_ours_either(rest: Rest) -> None:
    assert await status_of(rest, "/healthz") in (400, 421)
    assert await status_of(rest, "/healthz", "localhost", "evil.example") in (400, 421)
    assert await status_of(rest, "/healthz", "localhost", "localhost") in (400, 421)


async def test_this_machine_calls_itself_so_at_any_port(rest: Rest) -> None:
    for host in ("localhost", "LOCALHOST:1", "localhost.:80", "127.0.0.1:65535", "[::1]:8000", "[::1]"):
        assert await status_of(rest, "/healthz", host) == 200, host


@pytest.fixture
async def wide(rest: Rest) -> AsyncIterator[Rest]:
    """A listener on every address of this machine, with two names."""
    hosts = HostNames(("ztp.example.net", "[2001:DB8::0:1]"))
    app = admin_app(rest.services, rest.tokens, Metrics(), RequestLog(as_json=True), rest.data, hosts=hosts)

    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError("a secret")

    app.router.add_get("/broken", broken)
    runner = AdminRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    port = runner.addresses[0][1]
    yield Rest(rest.services, rest.data, f"http://127.0.0.3:{port}", rest.tokens, rest.requests, rest.session)
    await runner.cleanup()


async def test_names_that_were_given_and_the_address_a_request_came_to_are_ours(wide: Rest) -> None:
    for host in ("ztp.example.net", "ZTP.example.NET.:8000", "[2001:db8::1]", "127.0.0.3", "127.0.0.1"):
        assert await status_of(wide, "/metrics", host) == 200, host
    for host in ("example.net", "a.ztp.example.net", "127.0.0.4", "[2001:db8::2]"):
        assert await status_of(wide, "/metrics", host) == 421, host


async def test_every_answer_tells_a_browser_to_run_frame_and_guess_nothing(wide: Rest) -> None:
    async def headers(path: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
        async with wide.session.request(method, wide.url + path, allow_redirects=False, **more) as answer:
            return answer.status, answer.headers

    asked = [await headers(path) for path in (*PATHS, "/broken", "/api/page.js")]
    asked += [await headers("/healthz", "POST"), await headers("/api/v1/me", "PUT")]
    asked += [await headers("/api/v1/sites", headers={"Authorization": "Bearer admin-token"})]
    statuses = [status for status, _ in asked]
    assert {200, 308, 401, 404, 405, 500} <= set(statuses)
    for status, found in asked:
        assert all(name in found for name in HEADERS), status
        assert "frame-ancestors 'none'" in found["Content-Security-Policy"]
        assert found["Server"] == "ztp" and "Strict-Transport-Security" not in found
    refused = await wide.raw(b"GET /\x00 HTTP/1.1\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 400") or refused.startswith(b"HTTP/1.0 400")
    assert b"nosniff" in refused and b"frame-ancestors 'none'" in refused


async def test_a_failure_says_nothing_of_what_failed(wide: Rest) -> None:
    async with wide.session.get(wide.url + "/broken") as answer:
        assert answer.status == 500 and b"secret" not in await answer.read()


async def test_behind_a_proxy_that_speaks_https_a_browser_logs_in(rest: Rest) -> None:
    """A proxy is believed when it is named, about the scheme as about the address."""
    await rest.services.accounts.add(ADMIN, "ana", "Ana", PASSWORD, [EVERYTHING])
    hosts = HostNames(("ztp.example.net",))
    body = {"account": "ana", "password": PASSWORD}
    for proxies, sent, status in (
        ((ipaddress.ip_network("127.0.0.0/8"),), "https", 201),
        ((ipaddress.ip_network("127.0.0.0/8"),), "http", 403),
        ((ipaddress.ip_network("192.0.2.0/24"),), "https", 403),
    ):
        app = admin_app(
            *(rest.services, rest.services.tokens, Metrics(), RequestLog(as_json=True), rest.data, proxies), hosts=hosts
        )
        runner = AdminRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/session"
            headers = {"Host": "ztp.example.net", "X-Forwarded-Proto": sent, "Origin": "https://ztp.example.net"}
            async with rest.session.post(url, json=body, headers=headers) as answer:
                assert answer.status == status
                assert ("Set-Cookie" in answer.headers) == (status == 201)
        finally:
            await runner.cleanup()


async def test_what_is_turned_away_is_written_down(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(RequestLog, "write", lambda _, fields: lines.append(fields))
    assert await status_of(rest, "/metrics?token=a-secret", "evil.example") == 421
    assert await status_of(rest, "/api/v1/me", "evil.example") == 421
    assert await status_of(rest, "/healthz", "localhost") == 200
    assert [(line["path"], line["status"], line["address"]) for line in lines] == [
        ("/metrics", 421, "127.0.0.1"),
        ("/api/v1/me", 421, "127.0.0.1"),
    ], "and the questions of monitoring are not"
    assert "a-secret" not in repr(lines)
