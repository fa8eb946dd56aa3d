"""What a proxy says before it passes a connection on (PROXY protocol): an address or nothing, no byte more is taken."""

from __future__ import annotations

import ipaddress
import socket

from tests.fuzz.engine import Try, fuzz

AFTER = b"\x16\x03\x01after"


def prepare() -> Try:
    from ztp_server.phone_http.proxy_header import ProxyHeader

    def try_one(said: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.sendall(said + AFTER)
            theirs.shutdown(socket.SHUT_WR)
            try:
                client = ProxyHeader().take(ours)
            except (ValueError, OSError):
                return
            assert client is not None, "it waits for more, and there is no more"
            assert not client or ipaddress.ip_address(client)
            left = ours.recv(len(said) + len(AFTER))
            assert (said + AFTER).endswith(left)
            # Not one byte of what is behind a whole header.
            taken = (said + AFTER)[: len(said) + len(AFTER) - len(left)]
            assert taken.endswith(b"\n") or taken[:1] == b"\r"

    return try_one


if __name__ == "__main__":
    fuzz("proxy_headers", prepare)
