from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from ztp_server.errors import Misconfigured
from ztp_server.pki.authority import ServerFiles
from ztp_server.pki.contexts import expired_context, https_context, legacy_context, mtls_context

Make = Callable[..., Any]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
MAC = "0004F2AABBCC"


@pytest.mark.parametrize("version", VERSIONS)
def test_https_asks_for_no_client_certificate(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make, version: ssl.TLSVersion
) -> None:
    phone = client(mint(MAC, mint("Maker CA", ca=True)), newest=version)
    assert shake_hands(https_context(server_files), phone).server.getpeercert(True) is None


def test_the_server_certificate_holds_for_its_names(server_files: ServerFiles) -> None:
    context = ssl.create_default_context(cafile=server_files.ca)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = https_context(server_files).wrap_bio(outgoing, incoming, server_side=True)
    phone = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    for end in (phone, server, phone):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert phone.getpeercert() is not None


@pytest.mark.parametrize("version", VERSIONS)
def test_mtls_accepts_a_phone_of_a_listed_ca(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make, version: ssl.TLSVersion
) -> None:
    maker = mint("Maker CA", ca=True)
    context = mtls_context(server_files, [maker.trusted_as("acme")])
    assert shake_hands(context, client(mint(MAC, maker), newest=version)).server.getpeercert(True)


def test_mtls_refuses_a_client_without_certificate(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make
) -> None:
    context = mtls_context(server_files, [mint("Maker CA", ca=True).trusted_as("acme")])
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(context, client())


def test_mtls_refuses_a_phone_of_another_ca(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make
) -> None:
    context = mtls_context(server_files, [mint("Maker CA", ca=True).trusted_as("acme")])
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake_hands(context, client(mint(MAC, mint("Maker CA", ca=True))))


def test_mtls_refuses_an_expired_phone(server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make) -> None:
    maker = mint("Maker CA", ca=True)
    with pytest.raises(ssl.SSLError, match="certificate has expired"):
        shake_hands(mtls_context(server_files, [maker.trusted_as("acme")]), client(mint(MAC, maker, days=-1)))


def test_mtls_without_any_ca_refuses_everyone(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make
) -> None:
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake_hands(mtls_context(server_files, []), client(mint(MAC, mint("Maker CA", ca=True))))


def test_an_issuing_ca_is_enough_when_its_root_is_expired_and_not_listed(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make
) -> None:
    issuing = mint("Maker Issuing CA", mint("Maker Root", ca=True, days=-1), ca=True)
    context = mtls_context(server_files, [issuing.trusted_as("acme")])
    assert shake_hands(context, client(mint(MAC, issuing), chain=False)).server.getpeercert(True)


def test_a_phones_own_certificate_is_no_anchor(mint: Make) -> None:
    with pytest.raises(Misconfigured, match=r"acme/ca\.pem: .*not a CA certificate"):
        mint(MAC, mint("Maker CA", ca=True)).trusted_as("acme")


def test_a_session_of_the_open_listener_opens_nothing_on_the_strict_one(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make
) -> None:
    phone = client()
    session = shake_hands(https_context(server_files), phone).client.session
    context = mtls_context(server_files, [mint("Maker CA", ca=True).trusted_as("acme")])
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(context, phone, session)


@pytest.mark.parametrize("suite", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-AES128-SHA"])
def test_tls_1_2_suites_with_forward_secrecy_are_taken(
    server_files: ServerFiles, client: Make, shake_hands: Make, suite: str
) -> None:
    phone = client(newest=ssl.TLSVersion.TLSv1_2)
    phone.set_ciphers(suite)
    assert shake_hands(https_context(server_files), phone).client.cipher()[0] == suite


@pytest.mark.parametrize(
    "suite", ["AES128-SHA", "AES128-GCM-SHA256", "AECDH-AES128-SHA:@SECLEVEL=0", "NULL-SHA:@SECLEVEL=0"]
)
def test_suites_without_forward_secrecy_or_authentication_are_refused(
    server_files: ServerFiles, client: Make, shake_hands: Make, suite: str
) -> None:
    phone = client(newest=ssl.TLSVersion.TLSv1_2)
    phone.set_ciphers(suite)
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        shake_hands(https_context(server_files), phone)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused(server_files: ServerFiles, client: Make, shake_hands: Make) -> None:
    phone = client(newest=ssl.TLSVersion.TLSv1_1)
    phone.minimum_version = ssl.TLSVersion.TLSv1_1
    phone.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        shake_hands(https_context(server_files), phone)


def test_an_ecdsa_pair_serves_beside_the_rsa_one(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make, tmp_path: Path
) -> None:
    both = dataclasses.replace(server_files, extra=(mint("localhost").write(tmp_path),))
    for algorithm in ("ECDSA", "RSA"):
        phone = client(newest=ssl.TLSVersion.TLSv1_2)
        phone.verify_mode = ssl.CERT_NONE
        phone.set_ciphers(f"ECDHE-{algorithm}-AES128-GCM-SHA256")
        assert algorithm in shake_hands(https_context(both), phone).client.cipher()[0]


def test_a_mismatched_pair_names_both_files(server_files: ServerFiles, mint: Make, tmp_path: Path) -> None:
    _, key = mint("localhost").write(tmp_path)
    with pytest.raises(Misconfigured, match=f"{server_files.certificate} and {key} cannot be used for TLS: "):
        https_context(dataclasses.replace(server_files, key=key))


def test_a_missing_file_is_named(server_files: ServerFiles, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=f"{tmp_path}/none.key .*No such file"):
        https_context(dataclasses.replace(server_files, key=tmp_path / "none.key"))


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(
    server_files: ServerFiles, mint: Make, tmp_path: Path
) -> None:
    minted = mint("localhost")
    certificate, key = minted.write(tmp_path)
    key.write_bytes(minted.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(Misconfigured, match="cannot be used for TLS"):
        https_context(ServerFiles(certificate, key, server_files.ca))


def test_what_a_context_refuses_and_keeps(server_files: ServerFiles) -> None:
    context = mtls_context(server_files, [])
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert not context.options & ssl.OP_NO_TICKET
    assert context.num_tickets == 1
    assert context.security_level == 2
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN


def test_expired_takes_an_expired_phone_of_a_listed_ca_and_of_no_other(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make
) -> None:
    dead = mint("Maker CA", ca=True, days=-1)
    context = expired_context(server_files, [dead.trusted_as("acme")])

    assert shake_hands(context, client(mint(MAC, dead, days=-1))).server.getpeercert(True)
    for stranger, reason in (
        (mint(MAC, mint("Maker CA", ca=True), days=-1), "VERIFY_FAILED"),
        (None, "DID_NOT_RETURN"),
    ):
        with pytest.raises(ssl.SSLError, match=reason):
            shake_hands(context, client(stranger))


def test_legacy_asks_for_a_certificate_once_it_has_cas(
    server_files: ServerFiles, client: Make, mint: Make, shake_hands: Make
) -> None:
    maker = mint("Old CA", ca=True)
    asking = legacy_context(server_files, [maker.trusted_as("acme")])

    assert shake_hands(legacy_context(server_files, None), client(mint(MAC, maker))).server.getpeercert(True) is None
    assert shake_hands(asking, client(mint(MAC, maker))).server.getpeercert(True)
    for context in (asking, legacy_context(server_files, [])):  # and with CAs that do not count it goes on asking
        with pytest.raises(ssl.SSLError, match=r"PEER_DID_NOT_RETURN_A_CERTIFICATE|CERTIFICATE_VERIFY_FAILED"):
            shake_hands(context, client())


def test_what_the_legacy_context_refuses_and_keeps(server_files: ServerFiles) -> None:
    context = legacy_context(server_files, None)
    suites = {suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"}

    assert context.security_level == 0 and context.maximum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_SSLv3 and context.options & ssl.OP_NO_RENEGOTIATION
    assert "AES128-SHA" in suites and "ECDHE-RSA-AES128-SHA" in suites
    assert not any(word in suite for suite in suites for word in ("NULL", "ADH", "AECDH", "PSK", "SRP", "EXP", "RC4"))
