"""JSON-RPC 2.0 over HTTP, one question after the other on one connection."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import ssl
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import hdrs

from ztp_server.domain.reachable import may_ask
from ztp_server.sip.sources.source import Lost

LARGEST = 4 << 20
_LONGEST_MESSAGE = 100


class Refusal(Exception):
    """The other side understood, and said no. `str(error)` is what it said, cut short."""


class JsonRpc:
    """`async with` keeps the connection. `user` and `password` go to this URL alone: redirections are not followed."""

    def __init__(self, url: str, user: str, password: str, context: ssl.SSLContext | None) -> None:
        self._url = url
        headers = {hdrs.ACCEPT: "application/json", hdrs.ACCEPT_ENCODING: "identity"}
        if user:
            headers[hdrs.AUTHORIZATION] = aiohttp.encode_basic_auth(user, password, "utf-8")
        connector = aiohttp.TCPConnector(
            limit=1, ssl=context or True, socket_factory=_checked_socket, use_dns_cache=False, keepalive_timeout=60
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            auto_decompress=False,
            trust_env=False,
        )
        self._number = 0

    async def __aenter__(self) -> JsonRpc:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, method: str, *parameters: str, seconds: float = 5.0) -> Any:
        """The result. Raises Lost, and Refusal."""
        self._number += 1
        question = {"jsonrpc": "2.0", "method": method, "params": list(parameters), "id": self._number}
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.post(self._url, json=question, allow_redirects=False) as response,
            ):
                status, body = response.status, await _read(response)
        except TimeoutError:
            raise Lost(f"no answer within {seconds:.0f} s") from None
        except aiohttp.ClientConnectorCertificateError:
            raise Lost("its certificate is not believed") from None
        except aiohttp.ClientOSError as error:
            # What aiohttp says of it names our own address too.
            raise Lost(os.strerror(error.errno) if error.errno and error.errno > 0 else "no connection") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Lost(type(error).__name__) from None
        return self._result(status, body)

    def _result(self, status: int, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Lost(f"answered {status}, and no JSON-RPC")
        refusal = answer.get("error")
        if isinstance(refusal, dict):
            raise Refusal(str(refusal.get("message", ""))[:_LONGEST_MESSAGE])
        if status != 200 or answer.get("id") != self._number or "result" not in answer:
            raise Lost(f"answered {status}, and not what was asked")
        return answer["result"]


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Raises Lost."""
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) > LARGEST:
            raise Lost(f"an answer of more than {LARGEST} bytes")
    return bytes(found)


def _checked_socket(found: tuple[Any, ...]) -> socket.socket:
    """A socket for an address about to be connected to. Raises OSError for one that is nobody's."""
    family, kind, protocol, _, place = found
    if not may_ask(place[0], allow_private=True):
        raise OSError(errno.EACCES, "a reserved address, to which nothing is sent")
    return socket.socket(family, kind, protocol)
