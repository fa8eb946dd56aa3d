"""The REST interface of a running server, as it is put together in app.py."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable

import aiohttp

from tests.conftest import ADMIN, World
from ztp_server.domain.account import RoleGrant


async def ask(world: World, path: str, token: str, address: str = "") -> tuple[int, dict]:
    headers = {"Authorization": f"Bearer {token}"} | ({"X-Forwarded-For": address} if address else {})
    url = f"http://{world.app.admin_address}/api/v1{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, json.loads(await answer.read())


async def test_a_token_made_on_the_command_line_opens_the_rest_interface(world: World) -> None:
    text, _ = await world.services.tokens.create(ADMIN, "ci", [RoleGrant("viewer")])

    status, me = await ask(world, "/me", text)
    assert (status, me["name"]) == (200, "token:ci")
    assert (await ask(world, "/phones", text))[0] == 200
    assert (await ask(world, "/audit", text))[0] == 403


async def test_a_revoked_token_is_good_for_nothing_at_once(world: World) -> None:
    text, token = await world.services.tokens.create(ADMIN, "ci", [RoleGrant("viewer")])
    await world.services.tokens.revoke(ADMIN, token.id)

    assert (await ask(world, "/me", text))[0] == 401


async def test_the_listener_of_phones_has_no_rest_interface(world: World) -> None:
    for path in ("api/", "api/v1/models", "api/v1/openapi.json"):
        assert (await world.ask(path)).status == 404


async def test_an_address_is_believed_of_a_trusted_proxy_only(start: Callable[..., Awaitable[World]]) -> None:
    for proxies, address in (((), "127.0.0.1"), ((ipaddress.ip_network("127.0.0.0/8"),), "192.0.2.7")):
        world = await start(trusted_proxies=proxies)
        lines: list[dict] = []
        world.app._requests.write = lines.append
        await ask(world, "/me", "none", "198.51.100.1, 192.0.2.7")
        assert lines[-1]["address"] == address


async def test_who_fails_from_many_addresses_of_one_ipv6_subnet_is_one_who_fails(
    start: Callable[..., Awaitable[World]],
) -> None:
    world = await start(trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),))
    statuses = [(await ask(world, "/me", "wrong", f"2001:db8::{number:x}"))[0] for number in range(1, 41)]

    assert statuses[0] == 401 and statuses[-1] == 429
    assert (await ask(world, "/me", "wrong", "2001:db8:0:1::1"))[0] == 401
