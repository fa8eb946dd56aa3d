"""The common world of the tests: a real server on loopback, one site, base settings for two families, three phones.

Names and passwords are hostile on purpose.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.services.opened import there_or_new
from ztp_server.app import App
from ztp_server.config import Address, DataOptions, ServeOptions
from ztp_server.domain.access import Actor
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.pki.authority import make_device_authority, make_device_certificate

LONG = bool(os.environ.get("ZTP_TEST_LONG"))
ADMIN = Actor.trusted("test")
LOOPBACK = Address("127.0.0.1", 0)

HOSTILE_NAME = "Sales & Co <\"1'> é😀"
HOSTILE_PASSWORD = "p<a\"s&s'%41;#="
VVX, OTHER_VVX, HD400 = "0004f2aabbcc", "0004f2aabbcd", "00908f112233"

VVX_UA = "FileTransport PolycomVVX-VVX_411-UA/5.9.7.4477 Type/Application"
HD400_UA = "AUDC-IPPhone/2.2.8.61 (405HD-Rev0; 00908F112233)"


def examples(few: int, many: int) -> int:
    """How many examples a property is tried with: few in `make test`, many in `make test-long`."""
    return many if LONG else few


@dataclass
class Response:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class World:
    """A running server and the means to speak to it as phones do."""

    app: App
    data: Path
    restart: Callable[..., Awaitable[None]]
    sessions: list[aiohttp.ClientSession] = field(default_factory=list)

    @property
    def services(self) -> Any:
        return self.app.services

    def url(self, listener: str) -> str:
        """`http://127.0.0.1:port/` of a listener."""
        scheme = "http" if listener == "http" else "https"
        return f"{scheme}://127.0.0.1:{self.app.listeners[listener].address.port}/"

    @property
    def ca(self) -> Path:
        return self.data / "tls" / "ca.pem"

    def device(self, vendor: str, mac: str, subject: str | None = None) -> tuple[Path, Path]:
        """A factory certificate of a made-up CA of that maker, which the server trusts: (certificate, key)."""
        authority = make_device_authority(self.data / "certs" / vendor, f"test-{vendor}")
        name = subject or {"poly": mac.upper(), "audiocodes": f"Client_{mac.upper()}"}[vendor]
        return make_device_certificate(*authority, self.data / "devices", f"{vendor}-{mac}", {"CN": name})

    async def ask(
        self,
        path: str,
        *,
        listener: str = "http",
        method: str = "GET",
        device: tuple[Path, Path] | None = None,
        user_agent: str = VVX_UA,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """One request on a connection of its own. `path` has no leading slash and is sent as it is."""
        import yarl

        connector = aiohttp.TCPConnector(ssl=self.tls(device) if listener != "http" else True, force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
            session.request(
                method,
                yarl.URL(self.url(listener) + path, encoded=True),
                headers={"User-Agent": user_agent, **(headers or {})},
                data=body,
                allow_redirects=False,
            ) as response,
        ):
            return Response(response.status, response.headers, await response.read())

    def tls(self, device: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """What a phone trusts and shows: our CA, and its factory certificate if it has one."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if device:
            context.load_cert_chain(*device)
        return context

    async def raw(self, request: bytes, listener: str = "http") -> bytes:
        """Bytes as they are over plain HTTP; everything the server says until it hangs up or falls silent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.app.listeners[listener].address.port)
        writer.write(request)
        await writer.drain()
        answer = b""
        try:
            while part := await asyncio.wait_for(reader.read(65_536), 2):
                answer += part
        except TimeoutError:
            pass
        finally:
            writer.close()
        return answer


def sample_phone(mac: str = VVX, **changes: Any) -> Phone:
    """A VVX 411 at the common site, with two lines and a key of each kind."""
    phone = Phone(
        name=HOSTILE_NAME,
        hardware_id=mac,
        model="vvx-411",
        site="madrid",
        base_settings="vvx-standard",
        lines=(
            Line("1001", "auth1001", HOSTILE_PASSWORD, HOSTILE_NAME, "1001"),
            Line("1002", password="second"),
        ),
        line_keys=(
            LineKey("line", line=1),
            LineKey("blf", "1003", "Sales & Co"),
            LineKey("speed_dial", "+34600000000", "Home"),
            LineKey("line", line=2),
        ),
    )
    return replace(phone, **changes)


async def fill(services: Any) -> None:
    """One site, base settings for both families, three phones."""
    await services.sites.add(
        ADMIN,
        "madrid",
        "Madrid",
        {
            "networks": "127.0.0.0/8",
            "sip_server": "sip.example.net",
            "sip_server_secondary": "sip2.example.net",
            "sntp_servers": "ntp1.example.net,ntp2.example.net",
            "time_zone": "Europe/Madrid",
        },
    )
    await services.base_settings.add(
        ADMIN, "vvx-standard", "", "vvx-411", {"dtmf_payload_type": "102", "admin_password": "Ad&min1"}
    )
    # This family cannot be told of the last week of a month, so the zone of the site does not do for it.
    await services.base_settings.add(
        ADMIN, "400hd", "", "audiocodes-405hd", {"time_zone": "Etc/GMT-1", "admin_password": "s3cret"}
    )
    await services.phones.add(ADMIN, sample_phone())
    await services.phones.add(
        ADMIN, sample_phone(OTHER_VVX, name="Lobby", lines=(Line("1005", password="p5"),), line_keys=())
    )
    await services.phones.add(
        ADMIN,
        sample_phone(
            HD400,
            model="audiocodes-405hd",
            base_settings="400hd",
            lines=(Line("2001", password=HOSTILE_PASSWORD, display_name=HOSTILE_NAME),),
            line_keys=(LineKey("line", line=1), LineKey("speed_dial", "+34600000000", "Home & away")),
        ),
    )


def options(data: Path, **changes: Any) -> ServeOptions:
    listeners = dict.fromkeys(("phone_http", "phone_https", "phone_mtls", "admin"), LOOPBACK)
    return ServeOptions(**{"data": DataOptions(data), "public_name": "127.0.0.1", **listeners, **changes})


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[World]]]:
    """Starts servers on loopback; every one is stopped at the end."""
    worlds: list[World] = []

    async def begin(data: Path = tmp_path / "data", **changes: Any) -> World:
        there_or_new(data)
        app = await App.start(options(data, **changes))

        async def restart(**again: Any) -> None:
            await world.app.stop()
            world.app = await App.start(options(data, **{**changes, **again}))

        world = World(app, data, restart)
        worlds.append(world)
        return world

    yield begin
    for world in worlds:
        await world.app.stop()


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]]) -> World:
    """A running server with the common data; the makers' CAs of the test devices are trusted."""
    return await start_filled(start)


async def start_filled(start: Callable[..., Awaitable[World]], data: Path | None = None, **changes: Any) -> World:
    where = {"data": data} if data else {}
    prepared = await start(**where, **changes)
    for vendor in ("poly", "audiocodes"):
        make_device_authority(prepared.data / "certs" / vendor, f"test-{vendor}")
    await fill(prepared.services)
    await prepared.restart()
    return prepared
