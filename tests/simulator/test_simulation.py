from __future__ import annotations

import itertools
import ssl
from pathlib import Path

import pytest

from tests.simulator.conftest import MAC, FileServer, Serve, make_phone, xml
from ztp_server.pki.authority import ServerFiles, make_device_authority, make_device_certificate
from ztp_server.pki.contexts import https_context, mtls_context
from ztp_server.pki.makers import DeviceAuthority
from ztp_server.pki.pair import read_certificate
from ztp_server.simulator.failure import SimulationFailed
from ztp_server.simulator.simulation import MAX_PLACES, SimulationReport, simulate
from ztp_server.simulator.trust import Trust

CFG = f"{MAC}.cfg"
LINES = {"line__1__user": "1001", "line__1__server": "sip.example.net", "line__transport": "TLS"}


async def run(server: FileServer, trust: Trust | None = None) -> SimulationReport:
    return await simulate(make_phone(), server.url, trust or Trust())


def pem(files: ServerFiles) -> str:
    return files.ca.read_text()


async def test_a_phone_that_is_sent_nowhere_stays(server: FileServer) -> None:
    server.answers = {CFG: xml(**LINES)}
    report = await run(server)
    assert (report.failure, len(report.stages), report.stages[0].outcome) == ("", 1, "")
    assert [(r.line, r.user, r.server, r.transport) for r in report.registrations] == [
        (1, "1001", "sip.example.net", "TLS")
    ]


async def test_a_phone_that_is_sent_where_it_is_stays(server: FileServer) -> None:
    server.answers = {CFG: xml(prov__url=f"{server.url}<MAC>.cfg", **LINES)}
    assert len((await run(server)).stages) == 1


@pytest.mark.parametrize("way", ["parameter", "address"])
async def test_a_new_phone_installs_the_ca_and_comes_back(
    server: FileServer, serve: Serve, tls_files: ServerFiles, way: str
) -> None:
    steady = await serve(https_context(tls_files))
    steady.answers = {CFG: xml(prov__url=steady.url, **LINES)}
    ca = {"prov__ca": pem(tls_files)} if way == "parameter" else {"prov__caUrl": f"{server.url}ca.pem"}
    server.answers = {CFG: xml(prov__url=f"{steady.url}<MAC>.cfg", **ca), "ca.pem": pem(tls_files).encode()}
    report = await run(server)

    assert report.failure == ""
    assert report.stages[0].outcome == f"bootstrap: CA installed, comes back to {steady.url}"
    assert [r.user for r in report.registrations] == ["1001"]
    assert server.asked == [f"GET {CFG}", *(["GET ca.pem"] if way == "address" else [])]
    assert [e.note for e in report.stages[0].boot.exchanges][1:] == (["CA"] if way == "address" else [])
    assert steady.asked == [f"GET {CFG}"]


async def test_a_ca_given_now_takes_the_place_of_the_one_before(
    server: FileServer, serve: Serve, tls_files: ServerFiles, other_tls_files: ServerFiles
) -> None:
    steady = await serve(https_context(tls_files))
    server.answers = {CFG: xml(prov__url=steady.url, prov__ca=pem(other_tls_files))}
    report = await run(server, Trust(ca=pem(tls_files)))
    assert "does not trust the server's certificate" in report.failure


async def test_a_phone_is_sent_on_twice_at_most(server: FileServer, serve: Serve) -> None:
    places = [server, *[await serve() for _ in range(MAX_PLACES)]]
    for here, there in itertools.pairwise(places):
        here.answers = {CFG: xml(prov__url=there.url, **LINES)}
    report = await run(server)

    assert len(report.stages) == MAX_PLACES
    assert report.failure == "the phone would reboot for ever: sent on each time, " + " → ".join(p.url for p in places)
    assert places[-1].asked == []


async def test_the_last_allowed_change_of_address_is_no_loop(server: FileServer, serve: Serve) -> None:
    second, third = await serve(), await serve()
    server.answers, second.answers = {CFG: xml(prov__url=second.url)}, {CFG: xml(prov__url=third.url)}
    third.answers = {CFG: xml(prov__url=third.url, **LINES)}
    report = await run(server)
    assert (report.failure, len(report.stages)) == ("", 3)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"prov__url": "tftp://h/"}, "'tftp://h/' is not an address that begins with http:// or https://"),
        ({"prov__url": "https://h/", "prov__ca": "nonsense"}, "prov.ca: no CA certificate"),
        ({"prov__url": "https://h/", "prov__caUrl": "http://127.0.0.1:1/ca"}, "cannot be had: http://127.0.0.1:1/: no"),
    ],
)
async def test_a_phone_that_cannot_follow_says_why(server: FileServer, given: dict[str, str], reason: str) -> None:
    server.answers = {CFG: xml(**given)}
    assert reason in (await run(server)).failure


async def test_a_ca_that_is_not_served_is_named(server: FileServer) -> None:
    server.answers = {CFG: xml(prov__url="https://h/", prov__caUrl=f"{server.url}ca.pem")}
    assert (await run(server)).failure.endswith(f"the phone should install cannot be had: {server.url}ca.pem: 404")


async def test_nothing_but_a_bootstrap_file_is_a_failure(server: FileServer) -> None:
    server.answers = {CFG: xml(ntp="ntp.example.net")}
    assert "the server knows no phone 02acce0000af, or it was not proven" in (await run(server)).failure


@pytest.mark.parametrize("sip_server", ["", "0.0.0.0"])
async def test_a_line_without_a_server_is_a_failure(server: FileServer, sip_server: str) -> None:
    server.answers = {CFG: xml(**{**LINES, "line__1__server": sip_server})}
    assert (await run(server)).failure == "line 1 has no SIP server: set sip_server at the phone's site"


async def test_a_server_without_our_ca_is_not_trusted(serve: Serve, tls_files: ServerFiles) -> None:
    server = await serve(https_context(tls_files))
    assert (await run(server)).failure == (
        f"{server.url}: the phone does not trust the server's certificate "
        "(self-signed certificate in certificate chain): it needs the CA first"
    )
    assert server.asked == []


async def test_the_name_of_the_server_is_compared(serve: Serve, other_tls_files: ServerFiles) -> None:
    server = await serve(https_context(other_tls_files))
    failure = (await run(server, Trust(roots=pem(other_tls_files)))).failure
    assert failure.startswith(f"{server.url}: the server's certificate is for another name (IP address mismatch")


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_factory_certificate_is_shown_where_it_is_asked_for(
    serve: Serve, tls_files: ServerFiles, tmp_path: Path, newest: ssl.TLSVersion
) -> None:
    maker = make_device_authority(tmp_path, "maker")
    certificate, key = make_device_certificate(*maker, tmp_path, "phone", {"CN": MAC})
    context = mtls_context(tls_files, [DeviceAuthority("acme", "maker.pem", read_certificate(maker[0]))])
    context.maximum_version = newest
    server = await serve(context)
    server.answers = {CFG: xml(**LINES)}
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())

    known = Trust(ca=pem(tls_files))
    assert "it asks for a factory certificate (--cert)" in (await run(server, known)).failure
    for shown in (Trust("", known.ca, certificate, key), Trust("", known.ca, both)):
        assert (await run(server, shown)).failure == ""


async def test_nobody_listening_is_told_plainly() -> None:
    report = await simulate(make_phone(), "http://127.0.0.1:1/", Trust())
    assert report.failure == "http://127.0.0.1:1/: no connection (Connection refused)"


async def test_the_wrong_scheme_is_told_plainly(server: FileServer, serve: Serve, tls_files: ServerFiles) -> None:
    secure = await serve(https_context(tls_files))
    server.url, secure.url = server.url.replace("http:", "https:"), secure.url.replace("https:", "http:")
    assert "no TLS is spoken there" in (await run(server)).failure
    assert "an address of https://?" in (await run(secure)).failure


def test_files_that_cannot_be_used_are_named(tmp_path: Path, empty_file: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    assert Trust.read(empty_file, None, None, None) == Trust()
    with pytest.raises(SimulationFailed, match=r"wrong\.pem: no CA certificate"):
        Trust.read(wrong, None, None, None)
    with pytest.raises(SimulationFailed, match=r"none\.pem: No such file"):
        Trust.read(None, tmp_path / "none.pem", None, None)
    with pytest.raises(SimulationFailed, match=r"wrong\.pem: no certificate with its key"):
        Trust.read(None, None, wrong, None).context()


async def test_a_password_in_an_address_is_not_told(server: FileServer) -> None:
    folder = server.url.replace("http://", "http://user:hunter2@")
    report = await simulate(make_phone(), folder, Trust())
    assert "hunter2" not in report.failure + report.stages[0].boot.exchanges[0].url
