"""python -m benchmarks.half_open [--connections N] [--seconds S] [--json]

What connections that never finish cost this server, and what phones notice of them. For each attack the server is
started anew; N connections are opened from 1, 20 or 1,000 source addresses of loopback and held, while phones connect,
finish their handshake and fetch a file, from another address and from the attacker's own (a NAT). Prints the growth of
resident memory, the share of phones that were served, and how long one took. Then how long 500 phones behind one
address take that all come in the same moment. Everything is on loopback, bounded, and ends by itself (two minutes).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import selectors
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.servers import Ztp

# From this address phones come that have nothing to do with an attack.
ELSEWHERE = "127.255.0.1"
WORKERS = 4
PHONE_TIMEOUT = 20.0
NAT_PHONES = 500
# What an attacker says before it falls silent.
SILENT, HELLO, DRIP, PLAIN = "silent", "hello", "drip", "plain"
ATTACKS = ((SILENT, 1), (SILENT, 20), (SILENT, 1000), (DRIP, 20), (HELLO, 20), (HELLO, 1000), (PLAIN, 20))


@dataclass
class Served:
    """What phones got while an attack went on."""

    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0

    def share(self) -> float:
        asked = len(self.milliseconds) + self.failed
        return round(100 * len(self.milliseconds) / asked, 2) if asked else 0.0

    def at(self, part: float) -> float:
        ordered = sorted(self.milliseconds) or [0.0]
        return round(ordered[min(int(len(ordered) * part), len(ordered) - 1)], 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--connections", type=int, default=10_000)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="ztp-half-open-") as folder:
        ztp = Ztp(Path(folder) / "data")
        ztp.start()
        ztp.stop()
        ztp.ztp("site", "edit", "demo", "--set", "networks=127.0.0.0/8")
        for says, addresses in ATTACKS:
            row = attack(ztp, says, addresses, options.connections, options.seconds)
            figures |= {f"{says}, {addresses} addresses: {name}": value for name, value in row.items()}
        figures |= nat(ztp)
    print(json.dumps(figures, indent=2) if options.json else "\n".join(f"{k:<72} {v}" for k, v in figures.items()))


def attack(ztp: Ztp, says: str, addresses: int, count: int, seconds: float) -> dict[str, object]:
    """Figures of one attack on a server just started."""
    ztp.start()
    # One phone first, so that what is loaded once is loaded.
    fetch(ztp, ELSEWHERE)
    before = ztp.memory()
    stop, opened = multiprocessing.Event(), multiprocessing.Event()
    port = ztp.http_port if says == PLAIN else ztp.https_port
    attacker = multiprocessing.Process(target=hold, args=(port, says, addresses, count, opened, stop))
    attacker.start()
    elsewhere, beside, peak = Served(), Served(), before
    done = threading.Event()
    phones = [threading.Thread(target=keep_fetching, args=(ztp, ELSEWHERE, elsewhere, done)) for _ in range(WORKERS)]
    phones += [threading.Thread(target=keep_fetching, args=(ztp, source(0), beside, done)) for _ in range(2)]
    for phone in phones:
        phone.start()
    until = time.monotonic() + 60
    while time.monotonic() < until and not opened.wait(0.2):
        peak = max(peak, ztp.memory())
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.2)
        peak = max(peak, ztp.memory())
    done.set()
    for phone in phones:
        phone.join()
    stop.set()
    attacker.join()
    ztp.stop()
    return {
        "memory, MB more": peak - before,
        "phones elsewhere, asked": len(elsewhere.milliseconds) + elsewhere.failed,
        "phones elsewhere, % served": elsewhere.share(),
        "phones elsewhere, ms at 50 % / 99 %": f"{elsewhere.at(0.5)} / {elsewhere.at(0.99)}",
        "phones behind the same address, % served": beside.share(),
        "phones behind the same address, ms at 50 % / 99 %": f"{beside.at(0.5)} / {beside.at(0.99)}",
    }


def source(number: int) -> str:
    return f"127.{10 + number // 250}.0.{1 + number % 250}"


def hold(port: int, says: str, addresses: int, count: int, opened: Event, stop: Event) -> None:
    """Open the connections, 200 in the making at a time, say what is to be said, and hold them until told to stop."""
    chooser, held, words = selectors.DefaultSelector(), [], _words(says)
    for number in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: ports are counted by destination
        sock.bind((source(number % addresses), 0))
        sock.connect_ex(("127.0.0.1", port))
        chooser.register(sock, selectors.EVENT_WRITE)
        held.append(sock)
        while len(chooser.get_map()) >= 200:
            _speak(chooser, words)
    until = time.monotonic() + 20
    while chooser.get_map() and time.monotonic() < until:
        _speak(chooser, words)
    opened.set()
    stop.wait()
    for sock in held:
        sock.close()


def _speak(chooser: selectors.BaseSelector, words: bytes) -> None:
    for key, _ in chooser.select(1):
        chooser.unregister(key.fileobj)
        with suppress(OSError):  # shed already
            if words:
                key.fileobj.send(words)  # type: ignore[union-attr]


def _words(says: str) -> bytes:
    if says in (SILENT, PLAIN):
        return b""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname="x")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    return hello if says == HELLO else hello[: len(hello) // 2]


def keep_fetching(ztp: Ztp, address: str, served: Served, done: threading.Event) -> None:
    while not done.is_set():
        started = time.perf_counter()
        try:
            fetch(ztp, address)
            served.milliseconds.append((time.perf_counter() - started) * 1000)
        except OSError:
            served.failed += 1


_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_context.check_hostname, _context.verify_mode = False, ssl.CERT_NONE


def fetch(ztp: Ztp, address: str) -> None:
    """A phone: connect, handshake, one file, hang up. Raises OSError."""
    with (
        socket.create_connection(("127.0.0.1", ztp.https_port), PHONE_TIMEOUT, (address, 0)) as plain,
        _context.wrap_socket(plain) as sock,
    ):
        sock.sendall(b"GET /0004f2000001-settings.cfg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := sock.recv(65_536):
            answer += part
    if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 404")):
        raise OSError("no answer")


def nat(ztp: Ztp) -> dict[str, object]:
    """All phones of a building at once, through one address; each comes once and does not try again."""
    ztp.start()
    fetch(ztp, ELSEWHERE)
    seconds: list[float] = []
    failed: list[str] = []
    ready = threading.Barrier(NAT_PHONES + 1)

    def phone() -> None:
        ready.wait()
        started = time.perf_counter()
        try:
            fetch(ztp, source(0))
            seconds.append(time.perf_counter() - started)
        except OSError as error:
            failed.append(str(error))

    threads: Sequence[threading.Thread] = [threading.Thread(target=phone) for _ in range(NAT_PHONES)]
    for thread in threads:
        thread.start()
    ready.wait()
    for thread in threads:
        thread.join()
    ztp.stop()
    return {
        f"{NAT_PHONES} phones behind one address: served": len(seconds),
        f"{NAT_PHONES} phones behind one address: s until the last": round(max(seconds, default=0.0), 2),
        f"{NAT_PHONES} phones behind one address: s at the median": round(statistics.median(seconds or [0.0]), 2),
    }


if __name__ == "__main__":
    main()
