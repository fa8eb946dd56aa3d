"""One encrypted file, written and read from beginning to end.

The STREAM construction (V. T. Hoang, R. Reyhanitabar, P. Rogaway, D. Vizár: Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance, 2015) as the file format age uses it, with AES-256-GCM: pieces of 64 KiB, the nonce of
each is its number (11 bytes) and whether it is the last (1 byte). So a piece cannot be changed, left out, moved or
added, and a file that was cut off has no end. The key is made for one file, out of a passphrase (Argon2id, RFC 9106)
or for the holder of a private key (X25519, RFC 7748); what stands before the pieces goes into it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ztp_server.errors import BadValue
from ztp_server.store.key_file import derived

MAGIC = b"ztp backup 1\n"
_ANY_FORMAT = re.compile(rb"ztp backup [0-9]+\n?")
SHORTEST_PASSPHRASE = 12
_NOT_OURS = "is no backup of ztp"
_CHUNK = 64 * 1024
_TAG = 16
_MOST_HEADER = 4096
# Argon2id with 128 MiB: a guess costs half a second of a fast machine.
_MEMORY_KIB, _ITERATIONS, _LANES = 128 * 1024, 4, 1
# What a file may ask for at most: a foreign one must not exhaust this machine.
_MOST_MEMORY_KIB, _MOST_ITERATIONS = 1024 * 1024, 64


class Passphrase:
    """Raises BadValue for a short one."""

    def __init__(self, text: str) -> None:
        if len(text) < SHORTEST_PASSPHRASE:
            raise BadValue("passphrase", f"at least {SHORTEST_PASSPHRASE} characters")
        self._text = text.encode()

    def lock(self) -> tuple[dict[str, Any], bytes]:
        """The header's words for a new file, and the secret they stand for."""
        header = {"key": "argon2id", "salt": _text(os.urandom(16)), "memory": _MEMORY_KIB, "iterations": _ITERATIONS}
        return header, self.unlock(header)

    def unlock(self, header: Mapping[str, Any]) -> bytes:
        """The secret of a file by its header. Raises BadValue when it takes something else."""
        if header["key"] == "x25519":
            raise BadValue("file", "is encrypted for the holder of a private key; give --identity")
        memory, iterations = int(header["memory"]), int(header["iterations"])
        if memory > _MOST_MEMORY_KIB or iterations > _MOST_ITERATIONS:
            raise BadValue("file", "asks for more memory or time than any backup of ours")
        argon = Argon2id(
            salt=_bytes(header["salt"]), length=32, iterations=iterations, lanes=_LANES, memory_cost=memory
        )
        return argon.derive(self._text)


class Recipient:
    """The public key, in PEM, of whoever will be able to read a file: this machine is not."""

    def __init__(self, pem: bytes) -> None:
        """Raises BadValue."""
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError:
            key = None
        if not isinstance(key, X25519PublicKey):
            raise BadValue("recipient", "no public key X25519 in PEM; openssl genpkey -algorithm X25519 makes a pair")
        self._key = key

    def lock(self) -> tuple[dict[str, Any], bytes]:
        ours = X25519PrivateKey.generate()
        public = ours.public_key().public_bytes_raw()
        header = {"key": "x25519", "public": _text(public)}
        return header, ours.exchange(self._key) + public + self._key.public_bytes_raw()


class Identity:
    """The private key, in PEM, that opens what was encrypted for it."""

    def __init__(self, pem: bytes) -> None:
        """Raises BadValue."""
        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, X25519PrivateKey):
            raise BadValue("identity", "no private key X25519 in PEM without a passphrase")
        self._key = key

    def unlock(self, header: Mapping[str, Any]) -> bytes:
        if header["key"] == "argon2id":
            raise BadValue("file", "is encrypted with a passphrase; give --passphrase-file")
        public = _bytes(header["public"])
        shared = self._key.exchange(X25519PublicKey.from_public_bytes(public))
        return shared + public + self._key.public_key().public_bytes_raw()


class SealedWriter:
    """Encrypts what is written to it; nothing is whole before `finish`."""

    def __init__(self, file: IO[bytes], lock: Passphrase | Recipient) -> None:
        words, secret = lock.lock()
        header = MAGIC + json.dumps(words).encode() + b"\n"
        file.write(header)
        self._file = file
        self._cipher = _cipher(secret, header)
        self._number = 0
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) > _CHUNK:
            self._seal(bytes(self._waiting[:_CHUNK]), is_last=False)
            del self._waiting[:_CHUNK]

    def finish(self) -> None:
        self._seal(bytes(self._waiting), is_last=True)

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, is_last), chunk, None))
        self._number += 1


class SealedReader:
    """Decrypts what SealedWriter wrote. Every piece is checked before any of its bytes is given away; only after
    `at_end` is it known that nothing is missing."""

    def __init__(self, file: IO[bytes], key: Passphrase | Identity) -> None:
        """Raises BadValue naming what is wrong with the file."""
        header = _header(file)
        try:
            secret = key.unlock(json.loads(header[len(MAGIC) :]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadValue("file", "is damaged at its beginning") from None
        self._file = file
        self._cipher = _cipher(secret, header)
        self._number = 0
        self._next = file.read(_CHUNK + _TAG)
        self._ready, self._at = b"", 0

    def read(self, size: int) -> bytes:
        """So many bytes. Raises BadValue when a piece is not what was written, or there are fewer."""
        parts = [self._take(size)]
        missing = size - len(parts[0])
        while missing:
            if not self._next:
                raise BadValue("file", "ends in the middle of an entry")
            self._ready, self._at = self._open(), 0
            parts.append(self._take(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def copy(self, size: int, take: Callable[[bytes], object]) -> None:
        """Hand on so many bytes, some at a time."""
        while size:
            part = self.read(min(size, _CHUNK))
            take(part)
            size -= len(part)

    def at_end(self) -> bool:
        """Whether everything that was written was read, to the last byte."""
        return self._at == len(self._ready) and not self._next

    def _take(self, most: int) -> bytes:
        part = self._ready[self._at : self._at + most]
        self._at += len(part)
        return part

    def _open(self) -> bytes:
        sealed, self._next = self._next, self._file.read(_CHUNK + _TAG)
        try:
            chunk = self._cipher.decrypt(_nonce(self._number, not self._next), sealed, None)
        except InvalidTag:
            raise BadValue("file", self._what_is_wrong(sealed)) from None
        self._number += 1
        return chunk

    def _what_is_wrong(self, sealed: bytes) -> str:
        try:
            self._cipher.decrypt(_nonce(self._number, bool(self._next)), sealed, None)
        except InvalidTag:
            if not self._number:
                return "does not open: another passphrase or key, or damaged at its beginning"
            return f"is damaged in the 64 KiB after byte {self._number * (_CHUNK + _TAG)}, or cut off there"
        return "goes on after its end" if self._next else "is cut off: its end is missing"


def _header(file: IO[bytes]) -> bytes:
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        is_newer = _ANY_FORMAT.fullmatch(magic)
        raise BadValue("file", "has a format that this ztp does not know; upgrade ztp" if is_newer else _NOT_OURS)
    words = file.readline(_MOST_HEADER)
    if not words.endswith(b"\n"):
        raise BadValue("file", "is damaged at its beginning")
    return magic + words


def _cipher(secret: bytes, header: bytes) -> AESGCM:
    return AESGCM(derived(secret, b"ztp backup " + hashlib.sha256(header).digest()))


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
