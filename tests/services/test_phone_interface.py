"""A phone's own HTTP interface: who is believed to be it, what password it is shown, what is made of its answers."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.pki.conftest import mint
from ztp_server import phone_interface
from ztp_server.phone_interface import Answered, Asked, PhoneInterface
from ztp_server.pki.authority import make_device_authority, make_device_certificate
from ztp_server.pki.makers import MakerFolders
from ztp_server.services.notify_plan import RestTry
from ztp_server.services.opening import Services
from ztp_server.services.phone_certificates import PhoneCertificates

MAC, OTHER = "0004f2aabbcc", "0004f2aabbcd"
PASSWORD = "Ad&min€1"
DIGEST = 'WWW-Authenticate: Digest realm="PolycomSPIP", nonce="abc", qop="auth", algorithm=MD5\r\n'
DONE = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"Status":"2000"}'
Answer = Callable[[str], bytes]


def status(line: str, headers: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {line}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def asks_digest(request: str) -> bytes:
    """As a phone that takes Digest: done for who knows the password."""
    found = dict(re.findall(r'(\w+)="?([^",]+)"?', request.partition("Authorization: Digest ")[2]))
    if not found:
        return status("401 Unauthorized", DIGEST)
    first, second = _md5(f"Polycom:PolycomSPIP:{PASSWORD}"), _md5(f"POST:{found['uri']}")
    right = _md5(f"{first}:abc:{found['nc']}:{found['cnonce']}:auth:{second}")
    return DONE if found["response"] == right else status("401 Unauthorized", DIGEST)


def asks_basic(request: str) -> bytes:
    return (
        DONE
        if "Authorization: Basic UG9seWNvbTpBZCZtaW7igqwx" in request
        else status("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"\r\n')
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class HttpPhone:
    """Answers one request a connection as a test says; b"" hangs up, None is silence. `heard` are the requests."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.answer: Callable[[str], bytes | None] = asks_digest
        self._servers: list[asyncio.Server] = []

    async def listen(self, context: ssl.SSLContext | None) -> int:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            self.heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
            answer = self.answer(self.heard[-1])
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)


@pytest.fixture
async def phone() -> AsyncIterator[HttpPhone]:
    phone = HttpPhone()
    yield phone
    await phone.close()


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the CA of a maker, and certificates it issued to two of its phones; beside them one of nobody."""
    folder = tmp_path_factory.mktemp("makers")
    authority = make_device_authority(folder / "certs" / "poly", "test-poly")
    for mac in (MAC, OTHER):
        make_device_certificate(*authority, folder / "devices", mac, {"CN": mac.upper()})
    strange = make_device_authority(folder / "strange", "strange")
    make_device_certificate(*strange, folder / "devices", "strange", {"CN": MAC.upper()})
    return folder


def shows(makers: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = next((makers / "devices").glob(f"{name}*.pem"))
    context.load_cert_chain(pem, next((makers / "devices").glob(f"{name}*.key")))
    return context


def wanted(services: Services, **changes: object) -> RestTry:
    family = services.templates.catalog.vendors["poly"].family["vvx"]
    row = next(way for way in family.notify.restart if way.way == "rest")
    return replace(RestTry(row.name, "127.0.0.1", row, "poly", MAC, True, PASSWORD), **changes)


class Asker:
    """Asks as a messenger does, with the CAs of makers in a folder, or none."""

    def __init__(self, services: Services, makers: Path | None, https: int, http: int = 9) -> None:
        nowhere = Path("/nowhere")
        folders = MakerFolders(nowhere, makers / "certs", nowhere) if makers else None
        self._certificates = PhoneCertificates(services.templates, services.address, folders)
        self._interface = PhoneInterface(https, http)

    async def ask(self, phone: RestTry) -> Answered:
        proof = await self._certificates.proof_of(phone)
        return await self._interface.ask(Asked(phone.address, phone.row, phone.password, proof))


async def test_a_phone_whose_maker_is_not_known_is_shown_a_digest_alone(
    services: Services, phone: HttpPhone, makers: Path
) -> None:
    rest = Asker(services, None, await phone.listen(shows(makers, "strange")))
    assert await rest.ask(wanted(services)) == Answered(True, True, "it answered that it will")
    first, second = phone.heard
    assert first.startswith("POST /api/v1/mgmt/safeRestart HTTP/1.1\r\n") and "Authorization" not in first
    assert "Content-Type: application/json\r\n" in first and 'username="Polycom"' in second
    assert "Cookie" not in second and PASSWORD not in "".join(phone.heard)

    refused = await rest.ask(wanted(services, password="wrong"))
    assert not refused.ok and refused.reached and "admin_password" in refused.detail
    phone.answer = asks_basic
    assert "is not sent to who proves nothing" in (await rest.ask(wanted(services))).detail
    assert not [request for request in phone.heard if "Basic" in request]


async def test_without_https_a_phone_whose_maker_is_not_known_is_asked_over_http(
    services: Services, phone: HttpPhone
) -> None:
    assert (await Asker(services, None, 9, await phone.listen(None)).ask(wanted(services))).ok
    nobody = await Asker(services, None, 9, 9).ask(wanted(services))
    assert (nobody.ok, nobody.reached) == (False, False) and "no connection to http://127.0.0.1" in nobody.detail


async def test_a_phone_whose_makers_ca_is_known_proves_itself_before_anything_is_sent(
    services: Services, phone: HttpPhone, makers: Path
) -> None:
    plain = await phone.listen(None)
    rest = Asker(services, makers, await phone.listen(shows(makers, MAC)), plain)
    assert (await rest.ask(wanted(services))).ok
    # It has proven who it is, so it may be shown the password as it is.
    phone.answer = asks_basic
    assert (await rest.ask(wanted(services))).ok

    phone.heard.clear()
    another = await Asker(services, makers, await phone.listen(shows(makers, OTHER)), plain).ask(wanted(services))
    assert not another.reached and f"is another phone by its certificate: {OTHER}" in another.detail
    strange = await Asker(services, makers, await phone.listen(shows(makers, "strange")), plain).ask(wanted(services))
    assert not strange.reached and "its certificate is not believed" in strange.detail
    # Who stops HTTPS does not get the password over HTTP.
    stopped = await Asker(services, makers, 9, plain).ask(wanted(services))
    assert not stopped.reached and "no TLS with 127.0.0.1" in stopped.detail
    untrue = await Asker(services, makers, plain, plain).ask(wanted(services))
    assert not untrue.reached and phone.heard == []
    # Makers have CAs between theirs and the phones', which these send along.
    root = mint("Maker Root", ca=True)
    folder = makers / "between"
    (folder / "certs" / "poly").mkdir(parents=True)
    (folder / "certs" / "poly" / "root.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    issued = mint(MAC.upper(), mint("Maker Issuing CA", root, ca=True))
    for chain, says in ((True, "it answered that it will"), (False, "its certificate is not believed")):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*issued.write(folder, chain=chain))
        found = await Asker(services, folder, await phone.listen(context), plain).ask(wanted(services))
        assert says in found.detail and found.ok == chain, found
    phone.heard.clear()
    # A model without a factory certificate cannot show one.
    old = await Asker(services, makers, await phone.listen(shows(makers, "strange")), plain).ask(
        wanted(services, has_certificate=False)
    )
    assert not old.ok and old.reached and "proves nothing" in old.detail


# What a phone, or what is in its place, answers; whether it was reached, whether it may be doing it, and what is said.
HOSTILE: list[tuple[bytes, bool, str]] = [
    (status("404 Not Found"), False, "it answered 404: is its interface on?"),
    (status("500 No", body=b"x" * 300), False, "it answered 500"),
    (status("302 Found", "Location: http://127.0.0.1:9/\r\n"), False, "it answered 302"),
    (status("200 OK", body=b'{"Status":"4007"}'), False, "it answered '4007' as Status, not 2000"),
    (status("200 OK", body=b'{"Status":"\\u001b[31m"}'), False, r"it answered '\x1b[31m' as Status"),
    (status("200 OK", body=b'{"Status":"' + b"9" * 200_000 + b'"}'), False, "it answered 'nothing' as Status"),
    (status("200 OK", body=b"[" * 60_000), False, "it answered 'nothing' as Status"),
    (status("200 OK", body=b"[1]"), False, "it answered 'nothing' as Status"),
    (status("200 OK", body=b"\xff\xfe"), False, "it answered 'nothing' as Status"),
    (status("200 OK", "X: " + "y" * 20_000 + "\r\n"), False, "it answered what cannot be understood"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", False, "it answered what cannot be understood"),
    (b"SSH-2.0-x\r\n\r\n", False, "it answered what cannot be understood"),
    (status("401 No", 'WWW-Authenticate: Digest realm="x"\r\n'), False, "it answered what cannot be understood"),
    (
        status("401 No", 'WWW-Authenticate: Digest realm="x", nonce="y", algorithm=ROT13\r\n'),
        False,
        "cannot be understood",
    ),
    (status("401 No", 'WWW-Authenticate: Digest realm="x", nonce="y", qop="no"\r\n'), False, "cannot be understood"),
    (status("401 No"), False, "it does not take the login"),
    (b"", True, "it hung up before it answered"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", False, "it answered what cannot be understood"),
]


async def test_whatever_is_answered_is_bounded_and_said_in_a_line(
    services: Services, phone: HttpPhone, makers: Path
) -> None:
    rest = Asker(services, None, await phone.listen(shows(makers, "strange")))
    for answer, is_unsure, says in HOSTILE:
        phone.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        found = await rest.ask(wanted(services))
        assert (found.ok, found.reached, found.is_unsure) == (False, True, is_unsure), (answer[:80], found)
        assert says in found.detail and found.detail.isprintable() and len(found.detail) < 200, found


async def test_silence_has_an_end(
    services: Services, phone: HttpPhone, makers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = Asker(services, None, await phone.listen(shows(makers, "strange")))
    monkeypatch.setattr(phone_interface, "SECONDS", 0.5)
    phone.answer = lambda _: None
    silent = await rest.ask(wanted(services))
    assert (silent.ok, silent.reached, silent.is_unsure) == (False, True, True) and "did not answer" in silent.detail


async def test_what_is_no_address_of_a_phone_is_not_asked(services: Services) -> None:
    rest = Asker(services, None, 9)
    for address in ("169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::ffff:169.254.169.254"):
        found = await rest.ask(wanted(services, address=address))
        assert found == Answered(False, False, f"{address} is an address that is nobody's")
