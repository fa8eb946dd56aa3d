"""Seeing whose CA signed a phone's certificate, and trusting it."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from tests.conftest import ADMIN
from tests.services.opened import open_data
from ztp_server.cli.ca_learn import _told
from ztp_server.pki.authority import make_device_authority, make_device_certificate
from ztp_server.pki.capture import Shown

MAC = "0004F2AABBCC"
LEARN = ("-m", "ztp_server", "ca", "learn")
FROM_HERE = ("--from", "127.0.0.1/32")


@asynccontextmanager
async def learning(data: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The command while it runs, and its port."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *LEARN, "--data", str(data), "--listen", "127.0.0.1:0", *arguments, env=environment,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout
        said = (await process.stdout.readline()).decode()
        found = re.search(r":(\d+)/", said)
        assert found, said
        yield process, int(found[1])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def knock(port: int, device: tuple[Path, Path]) -> bytes:
    """What a phone is answered."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(*device)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.splitlines()[0]


async def trusted(data: Path) -> list[tuple[str, str, str]]:
    """The CAs an administrator has put there: vendor, subject, listener."""
    services = await open_data(data)
    try:
        return [(ca.vendor, ca.subject, ca.listener) for ca in await services.device_cas.all(ADMIN) if ca.own]
    finally:
        await services.close()


@pytest.fixture
def phone(tmp_path: Path) -> tuple[Path, Path]:
    """The certificate of a phone that sends its CA behind it, and its key."""
    authority = make_device_authority(tmp_path / "ca", "Somebody's CA")
    certificate, key = make_device_certificate(*authority, tmp_path / "devices", "phone", {"CN": MAC})
    certificate.write_bytes(certificate.read_bytes() + authority[0].read_bytes())
    return certificate, key


async def test_a_ca_is_shown_and_added_when_that_is_answered_with_yes(data: Path, phone: tuple[Path, Path]) -> None:
    async with learning(data, "--any-name") as (process, port):
        assert b"404" in await knock(port, phone)
        out, err = await process.communicate(b"y\n")

    told = out.decode()
    assert (process.returncode, err) == (0, b"")
    assert "0004f2aabbcc (a block of poly)" in told and "it signed the phone's" in told
    assert "Add CA CN=Somebody's CA for vendor poly? y/N" in told
    assert await trusted(data) == [("poly", "CN=Somebody's CA", "mtls")]


async def test_a_script_adds_for_a_listener_without_a_question(data: Path, phone: tuple[Path, Path]) -> None:
    more = ("--add", "audiocodes", "--listener", "legacy", "--any-name")
    async with learning(data, *FROM_HERE, *more) as (process, port):
        await knock(port, phone)
        out, _ = await process.communicate()

    assert process.returncode == 0 and b"y/N" not in out
    assert await trusted(data) == [("audiocodes", "CN=Somebody's CA", "legacy")]


async def test_a_ca_that_the_maker_is_not_known_to_have_is_refused(data: Path, phone: tuple[Path, Path]) -> None:
    async with learning(data, *FROM_HERE, "--add", "poly") as (process, port):
        await knock(port, phone)
        _, err = await process.communicate()

    assert process.returncode == 1 and len(err.splitlines()) == 1 and b"Somebody's CA" in err
    assert await trusted(data) == []


async def test_what_is_answered_with_no_is_not_asked_again(data: Path, phone: tuple[Path, Path]) -> None:
    another = make_device_certificate(
        phone[0].parent.parent / "ca" / "Somebody's CA.pem", phone[0].parent.parent / "ca" / "Somebody's CA.key",
        phone[0].parent, "another", {"CN": "0004F2AABBCD"},
    )  # fmt: skip
    async with learning(data) as (process, port):
        assert process.stdin and process.stdout
        await knock(port, phone)
        process.stdin.write(b"\n")
        await knock(port, another)
        told = await process.stdout.readuntil(b"0004f2aabbcd")
        process.terminate()
        told += (await process.communicate())[0]

    assert told.count(b"y/N") == 1
    assert await trusted(data) == []


async def test_what_a_script_takes_it_takes_from_named_addresses_alone(data: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *LEARN, "--data", str(data), "--add", "poly",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()

    assert process.returncode == 2 and b"--from" in err


async def test_a_name_that_is_shown_does_not_move_the_cursor(tmp_path: Path) -> None:
    authority = make_device_authority(tmp_path / "ca", "Somebody's CA")
    certificate, _ = make_device_certificate(*authority, tmp_path / "devices", "phone", {"CN": "a\x1b[2Jb\u202e"})
    leaf, *above = x509.load_pem_x509_certificates(certificate.read_bytes())
    lines = list(
        _told(Shown("192.0.2.1", "TLSv1.3", leaf, tuple(above)), SimpleNamespace(vendor_of_oui=lambda _: None))
    )
    assert "a\\x1b[2Jb\\u202e" in lines[1]
    assert all(line.lstrip("\n").isprintable() for line in lines)
