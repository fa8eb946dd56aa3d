"""The command `ztp`."""

import os

from ztp_server.cli.main import cli


def main() -> None:
    # Everything we write may hold secrets or lead to them.
    os.umask(0o077)
    cli(prog_name="ztp", obj=_start)


def _start(options, started):  # type: ignore[no-untyped-def]
    """What `ztp serve` does: the command knows the options, app.py how the parts go together."""
    from ztp_server.app import serve

    return serve(options, started)


if __name__ == "__main__":
    main()
