"""Addresses as phones use them: a folder of files, and names in it."""

from __future__ import annotations

from urllib.parse import urlsplit

from ztp_server.simulator.failure import SimulationFailed, shown

_PORTS = {"http": 80, "https": 443}
# A dot begins a suffix; the others begin what a phone replaces: <MAC>, [MAC], {mac}, $MAC.
_MARKS_OF_A_FILE = frozenset(".<[{$")


def folder_of(address: str) -> str:
    """The folder that a phone sent to `address` asks for its files in, with its trailing slash.

    An address may end in the name of a file. Raises SimulationFailed for one that a simulated phone cannot go to.
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme in _PORTS and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise SimulationFailed(f"{shown(address)!r} is not an address that begins with http:// or https://")
    folder, _, last = parts.path.rpartition("/")
    path = folder if _MARKS_OF_A_FILE.intersection(last) else parts.path
    return f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}/"


def same_folder(one: str, other: str) -> bool:
    """Whether two folders are one, however their host and port are written."""
    return _place(one) == _place(other)


def address_of(folder: str, name: str) -> str:
    """Where a phone looks for a name it was given: absolute ones as they are, others appended to its folder."""
    return name if "://" in name else folder + name


def _place(folder: str) -> tuple[str, str | None, int, str]:
    parts = urlsplit(folder)
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path
