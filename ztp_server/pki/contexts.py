"""TLS for the doors phones knock at: one context a listener, made whole or not at all.

A context is never changed once it is in use: a wrong key would kill it, and a CA could never be taken out again.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from cryptography.hazmat.primitives.serialization import Encoding

from ztp_server.errors import Misconfigured
from ztp_server.pki.authority import ServerFiles
from ztp_server.pki.device import DeviceAuthority

# Python's own ECDHE suites, then those with a SHA-1 MAC, for older phones: they keep forward secrecy, and HMAC-SHA-1 is
# not broken. Static RSA stays out: whoever gets the server's key one day could read every password ever recorded.
# TLS 1.3 has suites of its own.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!AESCCM:@SECLEVEL=2"
# What phones before TLS 1.2 speak. TLS 1.0 and 1.1 sign with SHA-1 and MD5, which OpenSSL allows at level 0 alone, and
# static RSA is all that some of them have. Without authentication, without encryption, with a shared word: stays out.
_LEGACY_CIPHERS = "DEFAULT:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0"
# X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, for which `ssl` has no name.
_NO_CHECK_TIME = 0x200000


def https_context(files: ServerFiles) -> ssl.SSLContext:
    """TLS 1.2 and newer; no client certificate is asked for. Raises Misconfigured naming a pair that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # Sessions may be resumed, because a handshake is slow for a phone: whom a certificate belongs to and whether
    # it is still valid is checked at every request, not at the handshake. One ticket is enough for one phone.
    context.num_tickets = 1
    for pair in ((files.certificate, files.key), *files.extra):
        try:
            # An empty passphrase: with none, OpenSSL would ask for one at the terminal and wait.
            context.load_cert_chain(*pair, password="")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise Misconfigured(f"{pair[0]} and {pair[1]} cannot be used for TLS: {reason}") from error
    return context


def mtls_context(files: ServerFiles, cas: Sequence[DeviceAuthority]) -> ssl.SSLContext:
    """As `https_context`, for clients with a certificate of one of `cas` only; with no CA, for nobody.

    Raises Misconfigured as `https_context` does.
    """
    context = https_context(files)
    _demand_certificate(context, cas)
    return context


def expired_context(files: ServerFiles, cas: Sequence[DeviceAuthority]) -> ssl.SSLContext:
    """As `mtls_context`, whatever the times of the phone's certificate and of those above it say."""
    context = mtls_context(files, cas)
    context.verify_flags |= _NO_CHECK_TIME
    return context


def legacy_context(files: ServerFiles, cas: Sequence[DeviceAuthority] | None) -> ssl.SSLContext:
    """TLS 1.0 to 1.2 as old phones speak it. With `cas`, for clients with a certificate of one of them only, as
    `mtls_context`; with None, no certificate is asked for. MD5 and short keys pass the handshake: whose certificate it
    is, is for DeviceCertificates to tell, which takes neither.

    Raises Misconfigured as `https_context` does.
    """
    context = https_context(files)
    # The lowest there is: TLS 1.0, as SSL 3.0 is switched off in each context.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_LEGACY_CIPHERS)
    if cas is not None:
        _demand_certificate(context, cas)
    return context


def _demand_certificate(context: ssl.SSLContext, cas: Sequence[DeviceAuthority]) -> None:
    for authority in cas:
        context.load_verify_locations(cadata=authority.certificate.public_bytes(Encoding.DER))
    # Makers' roots expire and phones send short chains: any listed CA is an anchor, also one that is not a root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_REQUIRED
