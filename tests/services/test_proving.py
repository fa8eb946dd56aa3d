"""Which proof counts: what is listed × on which listener × what is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import OTHER_VVX, VVX, fill
from tests.services.opened import new_data, open_data
from ztp_server.domain.proof import PROOFS, DigestCredential, PhoneProofs, PhoneToken, ProvisioningWindow, token_hash
from ztp_server.domain.request import Certified, Listener, Login, PhoneRequest
from ztp_server.services.own_files import Known
from ztp_server.services.proving import Verdict, prove

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
INSIDE, OUTSIDE, FAR = "127.0.0.5", "203.0.113.9", "198.51.100.7"
STEADY, BOOTSTRAP = "s" * 48, "b" * 48


def token(kind: Any, text: str, **used: Any) -> PhoneToken:
    return PhoneToken("id", kind, token_hash(text), "", "test", NOW, **used)


WINDOW = ProvisioningWindow("id", "test", NOW, NOW + timedelta(minutes=60))
ALL = PhoneProofs(
    token("bootstrap", BOOTSTRAP), token("steady", STEADY), WINDOW, DigestCredential("id", "desk", "right", "test", NOW)
)
USED = {"first_used_at": NOW, "address": OUTSIDE}

# What is shown, and how it is said in a request.
SHOWN: dict[str, dict[str, Any]] = {
    "its certificate": {"certificate": Certified("poly", VVX)},
    "another's certificate": {"certificate": Certified("poly", OTHER_VVX)},
    "another maker's certificate": {"certificate": Certified("audiocodes", VVX)},
    "steady": {"token": STEADY},
    "bootstrap": {"token": BOOTSTRAP},
    "wrong token": {"token": "w" * 48},
    "inside": {"address": INSIDE},
    "inside, in IPv6 clothes": {"address": f"::ffff:{INSIDE}"},
    "no address": {"address": ""},
    "login": {"login": Login("desk", lambda password: password == "right")},
    "wrong password": {"login": Login("desk", lambda password: password == "wrong")},
    "another's login": {"login": Login("hall", lambda password: password == "right")},
}

# The proofs listed, the listener, what is shown (each beside the others), and what comes of it.
TABLE: list[tuple[str, Listener, tuple[str, ...], str]] = [
    *((name, "mtls", ("its certificate",), "certificate" * (name == "certificate")) for name in PROOFS),
    *((name, "https", ("steady",), {"token": "token", "window": "window"}.get(name, "")) for name in PROOFS),
    *((name, "https", ("inside",), {"network": "network", "window": "window"}.get(name, "")) for name in PROOFS),
    *((name, "https", ("login",), {"digest": "digest", "window": "window"}.get(name, "")) for name in PROOFS),
    *((name, "legacy", (), "window" * (name == "window")) for name in PROOFS),
    # On a listener with certificates nothing else counts, and neither where one is shown.
    *(("all", listener, ("steady", "inside", "login"), "") for listener in ("mtls", "expired")),
    ("all", "mtls", ("its certificate", "steady"), "certificate"),
    ("all", "mtls", ("its certificate", "wrong token"), "certificate"),
    ("all", "expired", ("its certificate", "inside"), "certificate"),
    *(
        ("all", listener, (shown, "steady", "inside"), "")
        for listener in ("mtls", "proxied")
        for shown in ("another's certificate", "another maker's certificate")
    ),
    # The strongest first.
    ("all", "https", ("steady", "inside", "login"), "token"),
    ("all", "http", ("bootstrap", "inside"), "token"),
    ("all", "https", ("wrong token", "inside", "login"), "network"),
    ("all", "https", ("inside, in IPv6 clothes",), "network"),
    ("all", "https", ("wrong token", "login"), "digest"),
    ("all", "https", ("wrong token", "wrong password"), "window"),
    ("certificate,token,digest,network", "https", ("wrong token", "another's login"), ""),
    ("digest", "https", ("wrong password",), ""),
    ("digest", "https", ("another's login",), ""),
    ("digest", "https", ("no address", "login"), "digest"),
    ("token", "https", ("no address", "steady"), "token"),
    ("token", "https", ("no address", "bootstrap"), ""),
    ("window", "https", ("no address",), ""),
    ("network", "https", ("no address",), ""),
    ("", "https", ("steady", "inside", "login"), ""),
    ("", "mtls", ("its certificate",), ""),
]


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[Known]:
    services = await open_data(new_data(tmp_path / "data"))
    await fill(services)
    yield (await services.phones._known_phones.find(VVX))
    await services.close()


def shows(known: Known, has: PhoneProofs, *shown: str, listener: Listener = "https", **request: Any) -> Verdict:
    said = {"address": OUTSIDE} | {k: v for name in shown for k, v in SHOWN[name].items()} | request
    return prove(replace(known, proofs=has), PhoneRequest("x", listener=listener, **said), NOW)


def listing(known: Known, proofs: str) -> Known:
    names = PROOFS if proofs == "all" else tuple(name for name in proofs.split(",") if name)
    return replace(known, phone=replace(known.phone, proofs=names))


async def test_the_table(known: Known) -> None:
    for listed, listener, shown, expected in TABLE:
        verdict = shows(listing(known, listed), ALL, *shown, listener=listener)
        assert (verdict.proof, bool(verdict.reason)) == (expected, not expected), (listed, listener, shown)


async def test_the_proofs_of_the_site_count_where_the_phone_has_none_of_its_own(known: Known) -> None:
    group = replace(known.group, site=replace(known.group.site, proofs=("network",)))

    assert shows(replace(known, group=group), ALL, "steady").proof == ""
    assert shows(replace(known, group=group), ALL, "inside").proof == "network"
    assert shows(listing(replace(known, group=group), "token"), ALL, "steady").proof == "token"


async def test_a_proof_that_was_never_made_proves_nothing(known: Known) -> None:
    nothing = PhoneProofs()

    for shown in ("steady", "bootstrap", "login", "wrong token"):
        assert shows(known, nothing, shown).proof == ""
    damaged = PhoneProofs(digest=replace(ALL.digest, password="")) if ALL.digest else nothing
    anything = Login("desk", lambda password: True)
    assert shows(known, damaged, login=anything).proof == ""


async def test_what_is_used_once_is_to_be_bound_and_then_belongs_to_its_address(known: Known) -> None:
    token_alone, window_alone = listing(known, "token"), listing(known, "window")
    used = PhoneProofs(bootstrap=token("bootstrap", BOOTSTRAP, **USED), window=replace(WINDOW, **USED))

    assert shows(token_alone, ALL, "bootstrap").unused == ALL.bootstrap
    assert shows(window_alone, ALL).unused == ALL.window
    for one, shown in ((token_alone, ("bootstrap",)), (window_alone, ())):
        again, elsewhere = shows(one, used, *shown), shows(one, used, *shown, address=FAR)
        assert again.proof and again.unused is None and not again.replayed
        assert not elsewhere.proof and elsewhere.replayed and FAR in elsewhere.reason


async def test_a_window_ends_with_the_minute_it_was_opened_for(known: Known) -> None:
    last = replace(WINDOW, until=NOW + timedelta(microseconds=1))

    assert shows(listing(known, "window"), PhoneProofs(window=last)).proof == "window"
    assert shows(listing(known, "window"), PhoneProofs(window=replace(WINDOW, until=NOW))).proof == ""


async def test_only_proofs_of_its_own_make_others_superfluous(known: Known) -> None:
    own = {
        name: shows(listing(known, proof), ALL, *shown, listener=listener).of_its_own
        for name, proof, shown, listener in (
            ("certificate", "certificate", ("its certificate",), "mtls"),
            ("steady", "token", ("steady",), "https"),
            ("digest", "digest", ("login",), "https"),
            ("bootstrap", "token", ("bootstrap",), "https"),
            ("window", "window", (), "https"),
            ("network", "network", ("inside",), "https"),
        )
    }  # fmt: skip

    assert {name for name, is_own in own.items() if is_own} == {"certificate", "steady", "digest"}


async def test_a_blocked_phone_is_told_so_to_the_administrator(known: Known) -> None:
    assert "blocked" in shows(listing(known, ""), ALL, "inside").reason
