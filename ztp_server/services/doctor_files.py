"""Is everything where it should be, and out of reach of those it is not for?"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from ztp_server.domain.diagnosis import Finding, ok
from ztp_server.errors import Misconfigured
from ztp_server.pki.pair import Pair
from ztp_server.services.doctor_patient import Check, Patient
from ztp_server.services.serving import FILE as SERVING_FILE
from ztp_server.store.key_file import KEY_FILE, KeyFile

_OTHERS, _GROUP, _GROUP_WRITES, _OTHERS_WRITE = 0o007, 0o070, 0o020, 0o002
# What lies in the folder tls: certificate and key.
_PAIRS = (("server.pem", "server.key"), ("server-ecdsa.pem", "server-ecdsa.key"), ("ca.pem", "ca.key"))
# Files below a folder of the administrator's that are named; a folder may hold more.
_MOST = 5


def data_folder(patient: Patient) -> Sequence[Finding]:
    """The data folder is there, can be read, and others stay out of it."""
    folder = patient.installation.data
    if not folder.is_dir():
        return [Finding("failure", f"{folder}: no such folder", "say where the data is with --data or ZTP_DATA")]
    mode = _mode(folder)
    if mode & (_OTHERS_WRITE | _GROUP_WRITES):
        return [Finding("failure", f"{folder}: other users may write there (mode {mode:o})", f"chmod 700 {folder}")]
    if mode & _OTHERS:
        what = f"{folder}: other users may read the database in it (mode {mode:o}), in which only passwords are sealed"
        return [Finding("warning", what, f"chmod 700 {folder}")]
    if mode & _GROUP:
        who = f"the group {folder.stat().st_gid} may look into it (mode {mode:o})"
        return [Finding("advice", f"{folder}: {who}", f"chmod 700 {folder}, if nobody of the group has to")]
    if not os.access(folder, os.W_OK):
        return [Finding("failure", f"{folder}: {_me()} cannot write there", _as_owner(folder))]
    return ok(f"{folder} belongs to {_owner(folder)} alone")


def owners(patient: Patient) -> Sequence[Finding]:
    """What a command wrote that was run as another user, the server can neither read nor write."""
    folder = patient.installation.data
    if not folder.is_dir():
        return ok("there is nothing")
    own = folder.stat().st_uid
    strange = [path for path in _written(folder) if path.stat().st_uid != own]
    if not strange:
        return ok(f"all files that a server writes belong to {_owner(folder)}")
    named = ", ".join(f"{path.name} ({_owner(path)})" for path in strange[:_MOST])
    what = f"{folder} belongs to {_owner(folder)}, and {len(strange)} files in it to others: {named}"
    return [Finding("warning", what, f"chown -R {_owner(folder)} {folder}; run commands as that user from now on")]


def secret_key(patient: Patient) -> Sequence[Finding]:
    """The key of secrets can be used, and by nobody else."""
    file, data = patient.installation.secret_key, patient.installation.data
    if not _exists(file):
        if patient.database_is_missing or patient.never_opened:
            return [Finding("advice", f"{file} is made when the server is first started", f"ztp serve --data {data}")]
        return [Finding("failure", f"{file}: missing; without it no secret opens", f"put it back: {_page('keys')}")]
    try:
        KeyFile(file).unwrap({})
    except Misconfigured as error:
        return [Finding("failure", str(error), f"chmod 600 {file}, or put it back from your copy: {_page('keys')}")]
    if file.resolve().is_relative_to(data.resolve()):
        what = f"{file} lies beside what it opens: who copies the folder has every password"
        return [Finding("advice", what, f"keep it elsewhere, with --secret-key: {_page('keys')}")]
    return ok(f"{file} can be read by its owner alone")


def tls_keys(patient: Patient) -> Sequence[Finding]:
    """Our certificates and their keys fit together, and nobody else reads the keys."""
    folder, found = patient.installation.data / "tls", 0
    problems = []
    for certificate, key in _PAIRS:
        if key == "ca.key" and _exists(folder / certificate) and not _exists(folder / key):
            continue  # kept elsewhere, which is better
        try:
            found += Pair.read(folder / certificate, folder / key) is not None
        except Misconfigured as error:
            advice = f"chmod 600 {folder / key}, or put the right pair there: {_page('tls-and-client-certificates')}"
            problems.append(Finding("failure", str(error), advice))
    if problems:
        return problems
    return ok(f"{found} keys in {folder}" if found else "none was made yet: a server makes them when it starts")


def own_folders(patient: Patient) -> Sequence[Finding]:
    """Who writes a template decides what phones get, and who writes a CA, who is believed."""
    found = []
    installation = patient.installation
    for folder, power in (
        (installation.templates, "decide what phones are sent"),
        (installation.makers.own, "decide whose certificates are believed"),
    ):
        if not folder.is_dir():
            continue
        open_ones = [path for path in chain([folder], _below(folder)) if _mode(path) & (_OTHERS_WRITE | _GROUP_WRITES)]
        if open_ones:
            more = f" and {len(open_ones) - 1} more below" if len(open_ones) > 1 else ""
            what = f"{open_ones[0]}{more}: other users may write there, and {power}"
            found.append(Finding("failure", what, f"chmod -R go-w {folder}"))
        shut = [path for path in _below(folder) if not os.access(path, os.R_OK)]
        if shut:
            what = f"{shut[0]}: {_me()} cannot read it, nor {len(shut) - 1} more"
            found.append(Finding("warning", what, f"chmod -R u+rX {folder}, as its owner"))
        keys = [path for path in _below(folder) if path.suffix == ".key"]
        if keys and folder == installation.makers.own:
            what = f"{keys[0]}: the private key of a CA that is believed; who has it can be any phone of that maker"
            found.append(Finding("warning", what, "take it away from this machine: only certificates belong there"))
    return found or ok("templates and makers' CAs can be changed by their owner alone")


def templates(patient: Patient) -> Sequence[Finding]:
    """Every template file is in service, as it is now."""
    snapshot = patient.snapshot
    assert snapshot
    advice = "mend it, then: ztp templates check"
    found = [
        Finding("warning", f"left out of service: {p.file}:{p.line}: {p.reason}", advice) for p in snapshot.problems
    ]
    for name in snapshot.outdated:
        what = f"{name} covers a shipped file that has changed since"
        found.append(Finding("advice", what, f"ztp templates diff; take over what is new in {name}"))
    vendors = len(snapshot.catalog.vendors)
    return found or ok(f"the templates of {vendors} makers are in service, none is left out")


def _written(folder: Path) -> Iterator[Path]:
    """What a server reads and writes of its own, as far as it can be listed."""
    yield from sorted(folder.glob("*.db*"))
    yield from (folder / name for name in (KEY_FILE, SERVING_FILE) if _exists(folder / name))
    for name in ("tls", "firmware", "templates.state"):
        if _exists(folder / name):
            yield folder / name
            yield from _below(folder / name)


def _below(folder: Path) -> Iterator[Path]:
    """Everything below a folder; what cannot be looked into ends it there."""
    for place, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if _exists(path := Path(place, name)))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _owner(path: Path) -> str:
    return _name(path.stat().st_uid)


def _me() -> str:
    return _name(os.geteuid())


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _as_owner(folder: Path) -> str:
    return f"run this as the user of the server: runuser -u {_owner(folder)} -- ztp doctor --data {folder}"


def _page(name: str) -> str:
    return f"docs/how-to/{name}.md"


CHECKS = (
    Check("data-folder", "data folder", data_folder),
    Check("owners", "owners of files", owners),
    Check("secret-key", "key of secrets", secret_key),
    Check("tls-keys", "keys of certificates", tls_keys),
    Check("own-folders", "your templates and makers' CAs", own_folders),
    Check("templates", "templates in service", templates, "templates"),
)
