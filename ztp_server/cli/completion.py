"""ztp completion"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete ztp's commands and options.

    bash: eval "$(ztp completion bash)"   zsh: eval "$(ztp completion zsh)"   fish: ztp completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind
    click.echo(kind(ctx.find_root().command, {}, "ztp", "_ZTP_COMPLETE").source())
