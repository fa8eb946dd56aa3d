"""Why a phone gets what it gets: what is said is what the phones' own door does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, VVX, VVX_UA, World
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.request import Certified
from ztp_server.domain.why import Explanation
from ztp_server.errors import BadValue, NotFound
from ztp_server.services.why_findings import Shown

UNKNOWN = "0004f2000042"


async def explain(world: World, phone: str = VVX, who: Actor = ADMIN, **asked: Any) -> Explanation:
    await world.app.check_ins.flush()
    found: Explanation = await world.services.why.explain(who, phone, **asked)
    return found


def said(found: Explanation, ok: bool | None = None) -> str:
    return "\n".join(finding.text for finding in found.findings if ok is None or finding.ok is ok)


async def test_a_phone_that_would_get_its_files_is_told_by_what(world: World) -> None:
    found = await explain(world, address="127.0.0.1")
    assert "VVX 411" in said(found, True) and "site madrid (revision 1)" in said(found, True)
    assert "base settings vvx-standard (revision 1)" in said(found, True)
    assert "127.0.0.1 lies in the networks of site madrid (127.0.0.0/8), which is a proof" in said(found, True)
    settings = next(answer for answer in found.answers if answer.listener == "http" and "settings" in answer.file)
    assert settings.status == 200 and "made by the rule" in settings.text and ".cfg.j2" in settings.text
    assert "proven by its address" in settings.text


async def test_each_answer_is_the_one_that_the_door_gives(world: World) -> None:
    found = await explain(world, address="127.0.0.1", user_agent=VVX_UA)
    assert {answer.listener for answer in found.answers} == {"http", "https"}
    for answer in found.answers:
        response = await world.ask(answer.file, listener=answer.listener)
        assert response.status == answer.status
        if answer.status == 200:
            assert f"{len(response.body)} bytes" in answer.text


async def test_a_phone_that_is_blocked_is_given_nothing_though_somebody_asked_why_first(world: World) -> None:
    settings = f"{VVX}-settings.cfg"
    assert (await world.ask(settings)).status == 200
    await world.services.phone_proofs.block(ADMIN, VVX)

    # What changed is heard once in a process: by the one who serves phones, not by the one who explains.
    await explain(world)
    assert (await world.ask(settings)).status == 404


async def test_asking_why_is_not_a_request_of_the_phone(world: World) -> None:
    for _ in range(2):
        found = await explain(world, address="127.0.0.1")
    assert found.attempts == []
    async with world.services.store.read() as session:
        assert await session.check_ins.of_phone(VVX) == []
        phone = await session.phones.get(VVX)
        assert await session.phone_status.get(phone.id) is None
    assert "nothing was ever asked in its name" in found.advice[0] and world.url("http") in found.advice[0]


async def test_an_address_outside_is_named_with_what_would_let_it_in(world: World) -> None:
    found = await explain(world, address="192.0.2.9")
    assert "192.0.2.9 lies in none of the networks of site madrid" in said(found, False)
    assert {answer.status for answer in found.answers if answer.listener == "https"} == {404}
    assert all("no proof" in answer.text for answer in found.answers)


async def test_a_phone_that_was_refused_is_told_what_to_do_about_it(world: World) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.9.0.0/16"})
    await world.ask(f"{VVX}-settings.cfg", listener="https")
    found = await explain(world)
    assert (found.address, found.address_is) == ("127.0.0.1", "where it asked from last")
    assert (found.attempts[0].status, found.attempts[0].reason) == (404, "no proof")
    assert "ztp site edit madrid --set networks=10.9.0.0/16,127.0.0.1/32" in found.advice[0]


async def test_a_phone_that_took_the_bootstrap_file_and_stayed_away_is_told_so(world: World) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, {"plain_secrets": "off"})
    await world.ask(f"{VVX}-settings.cfg")
    found = await explain(world)
    over_http = [answer for answer in found.answers if answer.listener == "http"]
    assert all("bootstrap" in a.text or a.status == 404 for a in over_http)
    assert "gives nothing but the bootstrap file" in said(found)


async def test_an_unknown_mac_is_told_apart_by_its_block_and_gets_advice(world: World) -> None:
    found = await explain(world, "00:04:F2:00:00:42", address="127.0.0.1")
    assert f"no phone has the MAC {UNKNOWN}, whose block is Poly's" in said(found, False)
    assert found.answers and all(answer.status == 404 or "bootstrap" in answer.text for answer in found.answers)
    assert "ztp phone add" in found.advice[0]
    nobody = await explain(world, "020304050607")
    assert "of no maker of the catalogue" in said(nobody) and nobody.answers == []


async def test_a_removed_phone_is_remembered(world: World) -> None:
    await world.services.phones.remove(ADMIN, VVX)
    found = await explain(world)
    assert "had it and was removed by test at" in said(found, False)
    assert found.advice[0] == f"bring it back: ztp phone restore {VVX}"


async def test_a_phone_whose_model_left_the_catalogue_is_told_so(world: World) -> None:
    catalog = world.services.templates.catalog
    broken = catalog.models.pop("vvx-411")
    try:
        found = await explain(world)
    finally:
        catalog.models["vvx-411"] = broken
    assert "can be given nothing: model: unknown model 'vvx-411'" in said(found, False)


async def test_a_certificate_is_judged_by_the_makers_cas(world: World) -> None:
    certificate, _ = world.device("poly", VVX)
    own = await explain(world, shown=world.services.why.read_certificate(certificate.read_bytes()))
    assert "the certificate is the phone's own" in said(own, True)
    mtls = [answer for answer in own.answers if answer.listener == "mtls"]
    assert any(answer.status == 200 and "proven by its certificate" in answer.text for answer in mtls)
    other, _ = world.device("audiocodes", HD400)
    foreign = await explain(world, shown=world.services.why.read_certificate(other.read_bytes()))
    assert f"is that of {HD400}, another phone" in said(foreign, False)
    assert {answer.status for answer in foreign.answers if answer.listener == "mtls"} == {404}


async def test_a_denied_certificate_is_nobodys_and_who_denied_it_is_said(world: World) -> None:
    certificate, _ = world.device("poly", VVX)
    shown = world.services.why.read_certificate(certificate.read_bytes())
    assert shown.certified
    await world.services.denied_certificates.deny(ADMIN, shown.certified.sha256, "sold & <gone>")
    found = await explain(world, shown=shown)

    assert "the certificate is the phone's own" not in said(found)
    denied = next(line for line in said(found, False).splitlines() if "denied" in line)
    assert f"denied by {ADMIN.name} at 20" in denied and denied.endswith(": sold & <gone>")
    assert not any(answer.status == 200 for answer in found.answers if answer.listener == "mtls")


@pytest.mark.parametrize(
    ("pem", "reason"),
    [(b"", "not a PEM certificate"), (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "not a PEM")],
)
async def test_what_is_no_certificate_proves_nothing_and_says_why(world: World, pem: bytes, reason: str) -> None:
    shown = world.services.why.read_certificate(pem)
    assert shown.certified is None and reason in shown.reason
    assert "proves nothing" in said(await explain(world, shown=shown), False)


async def test_a_certificate_of_nobody_we_know_names_its_issuer(world: World, tmp_path: Path) -> None:
    own = world.data / "tls" / "server.pem"
    pem = own.read_bytes() if own.exists() else world.ca.read_bytes()
    assert "no CA in certs/ vouches for its issuer" in world.services.why.read_certificate(pem).reason


async def test_a_certificate_where_it_is_no_proof_says_so(world: World) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, {"proofs": "network"})
    found = await explain(world, shown=Shown(Certified("poly", VVX)))
    assert "which is no proof at site madrid" in said(found, False)


async def test_who_may_not_see_a_phone_is_not_told_that_it_is_there(world: World) -> None:
    elsewhere = Actor("account:ana", (Grant(ROLES["viewer"], "lisbon"),))
    for phone in (VVX, UNKNOWN):
        with pytest.raises(NotFound):
            await explain(world, phone, elsewhere)


async def test_an_address_that_is_none_is_refused_by_its_field(world: World) -> None:
    with pytest.raises(BadValue, match="from: 'desk' is no IP address"):
        await explain(world, address="desk")
