"""ztp backup, ztp restore"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.common import data_options, local_actor, warn, with_services
from ztp_server.config import DataOptions
from ztp_server.errors import BadValue, Misconfigured

_FILE = click.Path(path_type=Path, dir_okay=False)
_PASSPHRASE = click.option(
    "--passphrase-file", type=_FILE, envvar="ZTP_PASSPHRASE_FILE", help="A file with the passphrase.  [default: asked]"
)


@click.command()
@click.argument("file", type=_FILE)
@_PASSPHRASE
@click.option("--recipient", type=_FILE, help="Instead: the public key (X25519, PEM) of who can restore it.")
@click.option("--without-firmware", is_flag=True, help="Leave the firmware images out; they are added again.")
@click.option("--without-key", is_flag=True, help="Leave secret.key out: nothing opens the passwords without it.")
@data_options
def backup(
    file: Path,
    passphrase_file: Path | None,
    recipient: Path | None,
    without_firmware: bool,
    without_key: bool,
    data: DataOptions,
) -> None:
    """Write everything to FILE, encrypted: the database, secret.key, certificates, templates, firmware. Servers go on."""
    from ztp_server.services.sealed_stream import Recipient

    if passphrase_file and recipient:
        raise click.UsageError("give --passphrase-file or --recipient")
    lock = Recipient(_read(recipient)) if recipient else _passphrase(passphrase_file, new=True)

    async def work(services: Any) -> Any:
        chosen = {"with_firmware": not without_firmware, "with_key": not without_key}
        return await services.backups.make(local_actor(), file, lock, **chosen)

    made = with_services(data, work)
    warn(f"left out: {reason}" for reason in made.left_out)
    click.echo(f"{file}: {made.files} files, {made.size} bytes")
    if without_key:
        key = data.secret_key or data.data / "secret.key"
        warn([f"{key} is not in it, and it cannot be restored without; keep a copy of that file elsewhere"])


@click.command()
@click.argument("file", type=_FILE)
@_PASSPHRASE
@click.option("--identity", type=_FILE, help="Instead: the private key (X25519, PEM) it was encrypted for.")
@data_options
def restore(file: Path, passphrase_file: Path | None, identity: Path | None, data: DataOptions) -> None:
    """Fill an empty data folder (--data) out of a backup. Everything is checked first; a refused file leaves nothing."""
    from ztp_server.services.restore import restore as restored
    from ztp_server.services.sealed_stream import Identity

    if passphrase_file and identity:
        raise click.UsageError("give --passphrase-file or --identity")
    if data.database:
        raise Misconfigured("--database: a backup is restored into the data folder, as SQLite")
    try:
        key = Identity(_read(identity)) if identity else _passphrase(passphrase_file, new=False)
        manifest = restored(file, data.data, key)
    except BadValue as error:
        raise BadValue(str(file), error.reason) if error.field == "file" else error from None
    click.echo(f"{data.data} is what it was at {manifest.made_at} (ztp {manifest.program})")
    # The key that came with it lies in the folder, wherever the one of the server is to be.
    own = data if not manifest.with_key else replace(data, secret_key=None)
    if manifest.with_key and data.secret_key:
        warn([f"its key is {data.data / 'secret.key'}: put it at {data.secret_key}, or leave out --secret-key"])
    if not manifest.with_key and not (data.secret_key and data.secret_key.exists()):
        warn(
            [f"secret.key was not in it: put it at {data.data / 'secret.key'} (chmod 600) before you start the server"]
        )
        return
    with_services(own, lambda services: services.backups.note_restored(local_actor(), manifest))


def _passphrase(file: Path | None, *, new: bool) -> Any:
    from ztp_server.services.sealed_stream import Passphrase

    if file:
        return Passphrase(_read(file).decode("utf-8", "replace").rstrip("\r\n"))
    return Passphrase(click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}") from None
