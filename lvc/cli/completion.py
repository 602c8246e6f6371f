"""``lvc completion``."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    bash and zsh: eval "$(lvc completion bash)" in ~/.bashrc, or with zsh in ~/.zshrc. fish: lvc completion fish >
    ~/.config/fish/completions/lvc.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"This version of click does not know {shell}.")
    click.echo(found(context.find_root().command, {}, "lvc", "_LVC_COMPLETE").source())
