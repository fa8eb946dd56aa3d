"""What a phone shows of its factory certificate to one who takes any: so that an operator sees whose CA to fetch.

The standard library ends a handshake with a certificate that it cannot verify; pyOpenSSL leaves that to us. Nothing is
proven by what is shown here but that the phone has the key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ztp_server.domain.hardware_id import normalise_mac
from ztp_server.errors import Misconfigured
from ztp_server.pki.authority import ServerFiles
from ztp_server.pki.extensions import UNREADABLE, is_ca, read_whole
from ztp_server.pki.pair import is_issued_by

if TYPE_CHECKING:
    from OpenSSL import SSL

_CIPHERS = b"DEFAULT:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0"
_SECONDS = 15
_CHUNK = 16 * 1024
# Of a handshake and a request; a chain of certificates has a few thousand.
_MOST_BYTES = 128 * 1024
_MOST_AT_ONCE = 64
_MOST_ABOVE = 8
_MAC = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Shown:
    """What one phone showed. `address` is where it came from, `protocol` as OpenSSL names it; `above` are the
    certificates it sent behind its own, as it sent them."""

    address: str
    protocol: str
    leaf: x509.Certificate
    above: tuple[x509.Certificate, ...]

    @property
    def issuer(self) -> x509.Certificate | None:
        """The CA that signed its certificate, if the phone sent that."""
        return next((c for c in self.above if is_ca(c) and is_issued_by(self.leaf, c)), None)

    @property
    def macs(self) -> list[str]:
        """What may be its MAC: where a maker writes it is not known yet."""
        texts = [str(attribute.value) for attribute in self.leaf.subject]
        found = [normalise_mac(text) for value in texts for text in _MAC.findall(value)]
        return list(dict.fromkeys(mac for mac in found if mac))


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256, 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


class Capture:
    """A listener that asks every client for a certificate, takes any, and answers every request with 404."""

    def __init__(
        self, files: ServerFiles, shown: Callable[[Shown], None], hears: Callable[[str], bool], most: int
    ) -> None:
        """`shown` is called for each certificate once, and for `most` of them; `hears` says for an address whether it
        is listened to. Raises Misconfigured without pyOpenSSL."""
        self._most = most
        self._known: set[bytes] = set()
        self._context = _context(files)
        self._shown = shown
        self._hears = hears
        self._busy = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as asyncio.start_server hands it over."""
        address = str(writer.get_extra_info("peername", ("",))[0])
        if self._busy >= _MOST_AT_ONCE or not self._hears(address):
            writer.close()
            return
        self._busy += 1
        try:
            async with asyncio.timeout(_SECONDS):
                await self._talk(reader, writer, address)
        except (OSError, TimeoutError, *UNREADABLE):
            pass  # a phone that hung up, or somebody who is none
        finally:
            self._busy -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        from OpenSSL import SSL

        tls = SSL.Connection(self._context, None)
        tls.set_accept_state()
        received = 0
        look, ask = lambda: self._look(tls, address), lambda: tls.recv(_CHUNK)
        steps: Sequence[Callable[[], object]] = (tls.do_handshake, look, ask)
        for step in steps:
            while True:
                try:
                    step()
                    break
                except SSL.WantReadError:
                    await _send(tls, writer)
                    part = await reader.read(_CHUNK)
                    received += len(part)
                    if not part or received > _MOST_BYTES:
                        return
                    tls.bio_write(part)
                except (SSL.Error, SSL.ZeroReturnError):
                    await _send(tls, writer)  # what was wrong with it, in TLS's own words
                    return
        tls.send(_NOT_FOUND)
        tls.shutdown()
        await _send(tls, writer)

    def _look(self, tls: SSL.Connection, address: str) -> None:
        """Raises one of UNREADABLE for what nobody can be shown."""
        leaf = tls.get_peer_certificate(as_cryptography=True)
        if leaf is None or len(self._known) >= self._most:
            return
        digest = leaf.fingerprint(hashes.SHA256())
        if digest in self._known:
            return
        sent = tls.get_peer_cert_chain(as_cryptography=True) or []
        above = tuple(c for c in sent if isinstance(c, x509.Certificate) and c != leaf)[:_MOST_ABOVE]
        for certificate in (leaf, *above):
            read_whole(certificate)
        self._known.add(digest)
        self._shown(Shown(address, tls.get_protocol_version_name(), leaf, above))


async def _send(tls: SSL.Connection, writer: asyncio.StreamWriter) -> None:
    """Hand on what the connection has to say."""
    from OpenSSL import SSL

    while True:
        try:
            writer.write(tls.bio_read(_CHUNK))
        except SSL.WantReadError:
            break
    await writer.drain()


def _context(files: ServerFiles) -> SSL.Context:
    """TLS as old as it may be: looking at a certificate gives nothing away."""
    try:
        from OpenSSL import SSL
    except ImportError:
        raise Misconfigured("this needs pyOpenSSL: pip install 'ztp-server[learn]'") from None
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.use_certificate_chain_file(str(files.certificate))
    context.use_privatekey_file(str(files.key))
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context
