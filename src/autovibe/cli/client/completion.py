"""`autovibe completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from autovibe.cli.options import output_options
from autovibe.cli.output import print_lines

_SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "autovibe"
_VARIABLE = "_AUTOVIBE_COMPLETE"


@click.command(epilog="Example: autovibe completion zsh >> ~/.zshrc")
@click.argument("shell", type=click.Choice(_SHELLS))
@output_options
def completion(shell: str) -> None:
    """Print what lets SHELL complete commands, options and their values.

    \b
    bash: eval "$(autovibe completion bash)"                     in ~/.bashrc
    zsh:  eval "$(autovibe completion zsh)"                      in ~/.zshrc
    fish: autovibe completion fish > ~/.config/fish/completions/autovibe.fish
    """  # noqa: D301  # \b tells click to keep these lines as they are
    kind = get_completion_class(shell)
    assert kind is not None, "click knows each of the three"
    root = click.get_current_context().find_root().command
    print_lines(kind(root, {}, _PROGRAM, _VARIABLE).source().rstrip("\n").split("\n"))
