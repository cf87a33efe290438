"""`completion`: what makes a shell complete the commands, the options, and the names of images."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_ASSAY_COMPLETE"  # as click calls it for a program named assay
SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print what a shell needs to complete this command: eval "$(assay completion bash)"

    Bash 4.4 or later: put that line into ~/.bashrc. For zsh the same into ~/.zshrc, after compinit. For fish:
    assay completion fish > ~/.config/fish/completions/assay.fish
    """
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click has one for each of SHELLS
    template = made(click.Command("assay"), {}, "assay", VARIABLE)
    # Not `source()`: that first runs the bash of this machine to ask for its version.
    click.echo(template.source_template % template.source_vars())
