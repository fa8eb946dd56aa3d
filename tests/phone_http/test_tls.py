"""Certificates that are replaced while phones are served, and real TLS clients."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import warnings
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from structlog.testing import capture_logs

from tests.conftest import LOOPBACK, VVX, World
from tests.phone_http.conftest import Start, eventually
from ztp_server.phone_http.listeners import PhoneListener
from ztp_server.pki.authority import ensure_server_files, make_device_authority, make_device_certificate
from ztp_server.pki.contexts import https_context

SETTINGS = f"{VVX}-settings.cfg"
NAMES = ["127.0.0.1", "localhost", "::1"]


async def nothing(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


async def serial(world: World, listener: str = "https") -> int:
    """The serial number of the certificate that a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if listener == "mtls":
        context.load_cert_chain(*world.device("poly", VVX))
    port = world.app.listeners[listener].address.port
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    return x509.load_der_x509_certificate(der).serial_number


def new_server_files(folder: Path) -> Path:
    """A certificate and key of another CA, as an operator would bring them."""
    ensure_server_files(folder, NAMES)
    return folder


def bring(source: Path, world: World, *names: str) -> None:
    for name in names:
        shutil.copy2(source / name, world.data / "tls" / name)


@pytest.mark.parametrize("listener", ["https", "mtls"])
async def test_a_new_server_certificate_is_used_without_a_restart(world: World, tmp_path: Path, listener: str) -> None:
    before = await serial(world, listener)
    bring(new_server_files(tmp_path / "new"), world, "ca.key", "ca.pem", "server.key", "server.pem")

    async def replaced() -> bool:
        return await serial(world, listener) != before

    await eventually(replaced)
    device = world.device("poly", VVX) if listener == "mtls" else None
    assert (await world.ask(SETTINGS, listener=listener, device=device)).status == 200


async def test_phones_are_told_the_new_ca(world: World, tmp_path: Path) -> None:
    new = new_server_files(tmp_path / "new")
    bring(new, world, "ca.key", "ca.pem", "server.key", "server.pem")

    async def told() -> bool:
        return (await world.ask("ca.pem")).text.strip() == (new / "ca.pem").read_text().strip()

    await eventually(told)
    document = (await world.ask(SETTINGS)).text.replace("&#10;", "\n")
    assert (new / "ca.pem").read_text().strip() in document


async def test_open_connections_go_on_through_a_replacement(world: World, tmp_path: Path) -> None:
    before = await serial(world)
    connector = aiohttp.TCPConnector(ssl=world.tls(), limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        url = world.url("https") + SETTINGS
        async with session.get(url) as first:
            await first.read()
        bring(new_server_files(tmp_path / "new"), world, "ca.key", "ca.pem", "server.key", "server.pem")

        async def replaced() -> bool:
            return await serial(world) != before

        await eventually(replaced)
        # A new connection would fail: this client trusts the old CA alone.
        async with session.get(url) as again:
            assert again.status == 200
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=connector._ssl)) as stranger:
            await stranger.get(url)


async def test_a_key_that_does_not_match_leaves_the_old_certificate_in_service(world: World, tmp_path: Path) -> None:
    before = await serial(world)
    new = new_server_files(tmp_path / "new")
    with capture_logs() as lines:
        bring(new, world, "server.key")

        async def refused() -> bool:
            return any(line["event"] == "certificates.refused" for line in lines)

        await eventually(refused)
        assert await serial(world) == before
        assert (await world.ask(SETTINGS, listener="https")).status == 200
        bring(new, world, "server.pem", "ca.key", "ca.pem")

        async def replaced() -> bool:
            return await serial(world) != before

        await eventually(replaced)
    [reason, *_] = [line["reason"] for line in lines if line["event"] == "certificates.refused"]
    assert "server.pem" in reason and "server.key" in reason


async def test_a_standing_mistake_is_told_once(world: World, tmp_path: Path) -> None:
    with capture_logs() as lines:
        bring(new_server_files(tmp_path / "new"), world, "server.key")
        # Several looks of the server at the same mistake.
        await asyncio.sleep(2.2)

    assert sum(line["event"] == "certificates.refused" for line in lines) == 1


# ---- the makers' CAs


async def test_a_ca_added_at_run_time_lets_its_phones_in(world: World, tmp_path: Path) -> None:
    authority = make_device_authority(tmp_path / "maker", "new-maker-ca")
    device = make_device_certificate(*authority, tmp_path / "maker", "phone", {"CN": VVX.upper()})
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await world.ask(SETTINGS, listener="mtls", device=device)
    shutil.copy2(authority[0], world.data / "certs" / "poly" / "new-maker-ca.pem")

    async def admitted() -> bool:
        try:
            return (await world.ask(SETTINGS, listener="mtls", device=device)).status == 200
        except (aiohttp.ClientError, ssl.SSLError):
            return False

    await eventually(admitted)
    assert (await world.ask(SETTINGS, listener="mtls", device=world.device("poly", VVX))).status == 200


async def test_a_ca_taken_away_shuts_its_phones_out(world: World) -> None:
    device = world.device("poly", VVX)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=world.tls(device))) as session:
        url = world.url("mtls") + SETTINGS
        async with session.get(url) as first:
            assert first.status == 200
        (world.data / "certs" / "poly" / "test-poly.pem").unlink()

        async def shut_out() -> bool:
            # On the connection that is open since before, too.
            async with session.get(url) as again:
                return again.status == 404

        await eventually(shut_out)
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await world.ask(SETTINGS, listener="mtls", device=device)


async def test_a_file_that_is_no_certificate_changes_nothing_in_service(world: World) -> None:
    with capture_logs() as lines:
        (world.data / "certs" / "poly" / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n")

        async def refused() -> bool:
            return any("broken.pem" in line.get("reason", "") for line in lines)

        await eventually(refused)
    assert (await world.ask(SETTINGS, listener="mtls", device=world.device("poly", VVX))).status == 200


async def test_without_any_ca_phones_are_sent_to_https_and_nobody_passes_the_other_listener(
    start: Start, copy: Path
) -> None:
    shutil.rmtree(copy / "certs")
    world = await start(copy)
    document = (await world.ask(SETTINGS)).text

    assert f'device.prov.serverName="{world.url("https")}"' in document
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await world.ask(SETTINGS, listener="mtls")


# ---- protocol


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("listener", ["https", "mtls"])
async def test_phones_of_both_versions_of_tls_are_served(world: World, listener: str, version: ssl.TLSVersion) -> None:
    context = world.tls(world.device("poly", VVX))
    context.minimum_version = context.maximum_version = version
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(world.url(listener) + SETTINGS) as response,
    ):
        assert response.status == 200


async def test_plain_http_on_a_tls_port_gets_no_answer_and_harms_nobody(world: World) -> None:
    answer = await world.raw(f"GET /{SETTINGS} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), "https")

    assert b"200" not in answer and b"reg.1" not in answer
    assert (await world.ask(SETTINGS, listener="https")).status == 200


async def test_curl_boots_a_phone_over_mutual_tls(world: World) -> None:
    certificate, key = world.device("poly", VVX)
    output = await _run(
        *("curl", "-sS", "--fail", "--cacert", str(world.ca), "--cert", str(certificate), "--key", str(key)),
        world.url("mtls") + SETTINGS,
    )

    assert b"reg.1.address" in output


async def test_openssl_speaks_to_the_listener_with_certificates(world: World) -> None:
    certificate, key = world.device("poly", VVX)
    address = f"127.0.0.1:{world.app.listeners['mtls'].address.port}"
    output = await _run(
        *("openssl", "s_client", "-quiet", "-verify_return_error", "-ign_eof"),
        *("-connect", address, "-CAfile", str(world.ca), "-verify_ip", "127.0.0.1"),
        *("-cert", str(certificate), "-key", str(key)),
        send=f"GET /{SETTINGS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(),
    )

    assert output.startswith(b"HTTP/1.1 200 OK") and b"reg.1.address" in output


async def _run(*command: str, send: bytes = b"") -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        output, errors = await process.communicate(send)
    assert process.returncode == 0, errors.decode()
    return output


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_listener_stopped_while_it_takes_up_a_certificate_leaves_no_socket_open(
    turns: int, cancelled: bool, tmp_path: Path
) -> None:
    context = https_context(ensure_server_files(tmp_path, NAMES))
    for _ in range(3):
        listener = PhoneListener("--phone-https", LOOPBACK, nothing, context)
        await listener.start()
        taking_up = asyncio.create_task(listener.replace_context(context))
        for _ in range(turns):
            await asyncio.sleep(0)
        if cancelled:
            taking_up.cancel()
        await listener.stop()
        await asyncio.gather(taking_up, return_exceptions=True)
        del listener, taking_up
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
    assert [str(warning.message) for warning in heard] == []


async def test_a_phone_that_comes_while_a_certificate_is_taken_up_is_served(tmp_path: Path) -> None:
    files = ensure_server_files(tmp_path, NAMES)
    context, trust = https_context(files), ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    listener = PhoneListener("--phone-https", LOOPBACK, nothing, context)
    await listener.start()

    async def knock() -> str | None:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection("127.0.0.1", listener.address.port, ssl=trust)
            writer.close()
            version: str | None = writer.get_extra_info("ssl_object").version()
            return version

    for turns in range(40):
        knocking = [asyncio.create_task(knock()) for _ in range(3)]
        for _ in range(turns % 8):
            await asyncio.sleep(0)
        await listener.replace_context(context)
        assert all(await asyncio.gather(*knocking)), "each has finished its handshake"
    await listener.stop()
