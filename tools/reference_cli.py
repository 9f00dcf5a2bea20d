"""The page of commands: what `autovibe ... --help` prints, for every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from autovibe.cli import main as cli

HEAD: Final = """# Commands

What `autovibe COMMAND --help` prints. Exit statuses: 0 completed, 1 failed, 2 usage, 3 budget
exhausted (checkpointed, resumable), 4 waiting for a person, 5 timed out, 130 interrupted
(checkpointed).
"""
WIDTH: Final = 100


def page() -> str:
    """Return the page."""
    root = cli.autovibe
    return HEAD + "".join(section(context) for context in walk(root, None))


def walk(command: click.Command, parent: click.Context | None) -> Iterator[click.Context]:
    """Give the context of a command and of each below it, hidden ones left out."""
    name = parent and command.name
    context = click.Context(
        command,
        info_name=name or "autovibe",
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    yield context
    if isinstance(command, click.Group):
        for child_name in sorted(command.list_commands(context)):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                yield from walk(child, context)


def section(context: click.Context) -> str:
    """Return the help of one command under its heading."""
    help_text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"\n## {context.command_path}\n\n```text\n{help_text}\n```\n"
