"""Files of makers' CAs, put into a folder and taken out while a server looks at it all the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from ztp_server.errors import Misconfigured
from ztp_server.pki.makers import DeviceAuthority
from ztp_server.pki.pair import sync_folder, write_files


def ca_path(folder: Path, authority: DeviceAuthority) -> Path:
    """The file of its own that a CA gets in a vendor's folder."""
    return folder / f"{authority.sha256[:16]}.pem"


def write_cas(folder: Path, authorities: Sequence[DeviceAuthority]) -> None:
    """Each CA into a file of its own that everybody may read: a command runs as another user than the server. All are
    safe on the disk when this returns. Raises Misconfigured naming the folder."""
    put_back({ca_path(folder, a): a.certificate.public_bytes(Encoding.PEM) for a in authorities})


def take_out(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Remove files for good; returns what was in them. Raises Misconfigured naming the one that cannot be removed, and
    then all are there as before."""
    contents: dict[Path, bytes] = {}
    try:
        for path in paths:
            contents[path] = path.read_bytes()
            path.unlink()
            sync_folder(path.parent)
    except OSError as error:
        put_back(contents)
        raise Misconfigured(f"{error.filename}: {error.strerror}") from None
    return contents


def put_back(contents: Mapping[Path, bytes]) -> None:
    """Write files, each whole or not at all. Raises Misconfigured naming the folder."""
    for path, content in contents.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(f"{path.parent}: {error.strerror}") from None
        write_files(path.parent, (path, content, 0o644))
