"""Which listener a phone comes back to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.conftest import make_phone
from ztp_server.domain.settings_table import PRODUCT_SETTINGS
from ztp_server.domain.site import Site
from ztp_server.domain.template_context import Server
from ztp_server.services.address import ServerAddress

URLS = {kind: f"{kind}://ztp.example.net/" for kind in ("http", "https", "mtls")}
OWN = "https://phones.example.org/"


def phone_url(
    steady: str,
    *listeners: str,
    proofs: tuple[str, ...] = ("certificate", "network"),
    own: str = "",
    token: str = "",
    plain_secrets: bool = True,
) -> str:
    phone = make_phone()
    family: Any = phone.family.model_copy(update={"steady": steady})
    address = ServerAddress(Server({kind: URLS[kind] for kind in listeners}, "PEM"), {phone.vendor.id})
    settings = {**PRODUCT_SETTINGS.defaults(), "provisioning_url": own}
    site = Site("madrid", "Madrid", proofs=proofs, plain_secrets=plain_secrets)
    address.logins = {"https": ["d/"]}
    return address.phone_url(phone.vendor, family, phone.model, site, settings, "", token=token)


@pytest.mark.parametrize(
    ("steady", "listeners", "expected"),
    [
        ("", ("http", "https", "mtls"), "mtls"),
        ("", ("http", "https"), "https"),
        ("", ("http",), "http"),
        ("http", ("http", "https", "mtls"), "http"),
        # Where that door is closed there is no better one than those that are open.
        ("http", ("https", "mtls"), "mtls"),
    ],
)
def test_a_phone_comes_back_to_the_listener_that_its_family_names_or_else_to_the_safest(
    steady: str, listeners: tuple[str, ...], expected: str
) -> None:
    assert phone_url(steady, *listeners) == URLS[expected]


def test_a_site_without_certificates_as_proof_sends_nobody_to_their_listener() -> None:
    assert phone_url("", "http", "https", "mtls", proofs=("network",)) == URLS["https"]
    assert phone_url("", "http", "mtls", proofs=("network",)) == URLS["mtls"]
    assert phone_url("http", "http", "https", "mtls", proofs=("network",)) == URLS["http"]


@pytest.mark.parametrize("steady", ["", "http"])
def test_an_address_of_its_own_goes_before_everything(steady: str) -> None:
    assert phone_url(steady, "http", "https", "mtls", own=OWN) == OWN
    assert phone_url(steady, "http", "https", "mtls", own=URLS["mtls"], proofs=("network",)) == URLS["mtls"]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("https://ztp.example.net/", "https://ztp.example.net/t/secret/"),
        ("https://ZTP.example.NET.:443/", "https://ZTP.example.NET.:443/t/secret/"),
        ("https://ztp.example.net/d/", "https://ztp.example.net/d/t/secret/"),
        ("http://ztp.example.net/", "http://ztp.example.net/t/secret/"),
        # Others, and places of ours where no token is looked for.
        *((url, url) for url in (OWN, "https://ztp.example.net:8443/", "https://ztp.example.net/x/")),
        *((url, url) for url in ("https://ztp.example.net.evil.org/", "mtls://ztp.example.net/", "http://ztp/")),
    ],
)
def test_a_token_goes_into_an_address_that_names_this_server_and_no_other(own: str, told: str) -> None:
    assert phone_url("", "http", "https", "mtls", own=own, token="secret", proofs=("token",)) == told
    assert phone_url("", "http", "https", "mtls", own=own, token="secret", proofs=("network",)) == own


def test_no_token_goes_into_an_address_where_it_would_be_no_proof() -> None:
    plain = {"own": URLS["http"], "token": "secret", "proofs": ("token",), "plain_secrets": False}
    assert phone_url("", "http", "https", **plain) == URLS["http"]  # type: ignore[arg-type]


@pytest.mark.parametrize("port", ["99999", "84x", "8443\\.example.org"])
def test_an_address_whose_port_there_is_none_of_is_that_of_another_server(port: str) -> None:
    # Accepted by earlier versions, so it may stand in a database.
    own = f"https://ztp.example.net:{port}/"
    assert phone_url("", "https", proofs=("token",), own=own, token="a" * 48) == own
