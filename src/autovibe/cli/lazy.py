"""Loading by name: what makes `autovibe --help` quick, and keeps server code out of the client.

This is the one place that loads `autovibe.app` and `autovibe.cli.local` (decision A3).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from autovibe.cli.client.connection import Embedded
    from autovibe.cli.view import View
    from autovibe.kernel.settings import Settings
    from autovibe.sdk.services import Services

_ALLOWED: Final = (
    "autovibe.app",
    "autovibe.cli.client.",
    "autovibe.cli.local.",
    "autovibe.cli.terminal",
    "autovibe.sdk.remote",
)


def load(target: str) -> Any:
    """Return the object that `module:name` names.

    Raises:
        ValueError: the module is none of those that are loaded by name.
    """
    module, _, name = target.partition(":")
    if not module.startswith(_ALLOWED):
        msg = f"{module} is not loaded by name."
        raise ValueError(msg)
    return getattr(importlib.import_module(module), name)


def open_embedded(settings: Settings) -> AbstractAsyncContextManager[Embedded]:
    """Open the control plane in this process."""
    return load("autovibe.app.embedded:open_embedded")(settings)


async def serve(settings: Settings, slots: int) -> None:
    """Serve the control plane until cancelled."""
    await load("autovibe.app.server:serve")(settings, slots)


def connect_http(
    url: str, token: str, certificate: Path | None = None
) -> AbstractAsyncContextManager[Services]:
    """Open the services of a server."""
    return load("autovibe.sdk.remote:connect_http")(url, token, certificate=certificate)


def terminal_view(stream: object, *, color: bool) -> View:
    """Return the view for a terminal."""
    return load("autovibe.cli.terminal:TerminalView")(stream, color=color)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used; their help lines are given here."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        """Take commands as name → (module:name, one line of help)."""
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were given."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = self.lazy.get(cmd_name)
        return load(entry[0]) if entry else super().get_command(ctx, cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names without importing anything: a shell waits for this."""
        names = [
            CompletionItem(name, help=line)
            for name, (_, line) in self.lazy.items()
            if name.startswith(incomplete)
        ]
        # Not what click.Group does in its place: that imports every command.
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and help lines without importing anything."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])
