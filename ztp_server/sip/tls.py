"""Whom we believe over TLS, and as whom we show ourselves."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from ztp_server.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. `ca` holds the authorities that count instead of the operating system's, as `ca_pem` does, which is
    the text itself; `certificate` (with those above it) and `key` are shown to who asks for a client certificate."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    ca_pem: str = ""


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 and newer; the server's certificate and name are always checked. Raises Misconfigured naming the file."""
    try:
        context = ssl.create_default_context(cafile=files.ca, cadata=files.ca_pem or None)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{files.ca or 'the given text'} cannot be used as a CA: {_why(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if files.certificate is not None:
        try:
            # An empty passphrase: with none, OpenSSL would ask for one at the terminal and wait.
            context.load_cert_chain(files.certificate, files.key, password="")
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{files.certificate} cannot be used for TLS: {_why(error)}") from error
    return context


def _why(error: Exception) -> object:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or error
