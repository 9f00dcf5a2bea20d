"""`autovibe demo`: the whole job, on a repository made for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from autovibe.cli import lazy
from autovibe.cli.client.apply import applied_lines
from autovibe.cli.client.checkpoint import checkpoint_table, list_checkpoints
from autovibe.cli.client.command import json_option
from autovibe.cli.client.connection import Connection, log_to_file
from autovibe.cli.client.differences import patch_lines
from autovibe.cli.client.foreground import exit_status_of
from autovibe.cli.client.running import Run, RunOrder
from autovibe.cli.client.summary import summary_lines
from autovibe.cli.document import to_document
from autovibe.cli.errors import DemoFailedError
from autovibe.cli.local.demo_programs import check_out, name_author, run_tests
from autovibe.cli.options import is_quiet
from autovibe.cli.output import print_json, print_notes
from autovibe.cli.render import cad
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.cli.view import open_view
from autovibe.kernel.errors import EXIT_FAILED, EXIT_OK, InvalidArgumentError
from autovibe.kernel.settings import Settings, UpstreamSettings, ensure_home, load_settings
from autovibe.testing.demo_repository import PROMPT, make_demo_repository
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import fix_failing_test
from autovibe.v1 import checkpoints_pb2, metering_pb2, work_pb2

BRANCH: Final = "autovibe/demo"
_BUDGET: Final = "2.00CAD"
_PROVIDER: Final = "anthropic"


@dataclass(frozen=True)
class Stage:
    """Where the demo plays, and how."""

    directory: Path
    settings: Settings
    isolation: str
    live: bool
    as_json: bool

    @property
    def repository(self) -> Path:
        """The repository with the failing test."""
        return self.directory / "calc"

    @property
    def applied(self) -> Path:
        """The work tree in which the result is tested."""
        return self.directory / "calc-fixed"

    def say(self, *lines: str) -> None:
        """Tell the person, unless a program reads us."""
        if not self.as_json:
            print_notes(lines)


@dataclass(frozen=True)
class Played:
    """What the demo came to."""

    exit_status: int
    document: dict[str, object]


@click.command(epilog="Example: autovibe demo --keep /tmp/autovibe-demo")
@click.option("--live", is_flag=True, help="With the real model; needs ANTHROPIC_API_KEY.")
@click.option("--keep", "kept", metavar="DIR", help="A new or empty directory; nothing is removed.")
@click.option("--home", "own_home", is_flag=True, help="Use your AUTOVIBE_HOME, not a fresh one.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "sandbox", "process"]),
    default="auto",
    show_default=True,
    help="auto is the sandbox or an error; process isolates nothing.",
)
@json_option
def demo(*, live: bool, kept: str | None, own_home: bool, isolation: str, as_json: bool) -> int:
    """Let the real Claude Code repair a small repository, and see all of it.

    Without --live its model is a script that autovibe ships: no account, no key, no cost. Exit
    status 0 only if the test that failed passes on the new branch.
    """
    settings = replace(load_settings(), server=None, token=None)
    if live and not settings.upstreams[_PROVIDER].key:
        raise InvalidArgumentError("--live needs a key; set ANTHROPIC_API_KEY.")
    with stage_directory(kept) as directory:
        if not own_home:
            home = directory / "home"
            settings = replace(
                settings, home=home, database_url=f"sqlite:///{home / 'autovibe.db'}"
            )
        stage = Stage(directory, settings, isolation, live=live, as_json=as_json)

        async def body(interrupts: Interrupts) -> Played:
            return await play(stage, interrupts)

        played = run_with_interrupts(body)
        document = played.document | {"kept": str(directory) if kept else None}
        if as_json:
            print_json(document)
        stage.say("", *_where(stage, kept=kept is not None))
    return played.exit_status


async def play(stage: Stage, interrupts: Interrupts) -> Played:
    """Play the demo from the failing test to the passing one."""
    if shutil.which("git") is None:
        raise DemoFailedError("The demo needs git; install it.")
    make_demo_repository(stage.repository)
    await name_author(stage.repository)
    before = await run_tests(stage.repository)
    stage.say(f"1. A repository whose test fails: {stage.repository}", *_indented(before.output))
    document: dict[str, object] = {"ok": False, "test_before": before.document()}
    who = "the real model" if stage.live else "a scripted model, so it costs nothing"
    stage.say("", f"2. Claude Code repairs it in a machine of its own, with {who}", "")
    async with opened(stage) as connection:
        result = await _repair(stage, connection, interrupts)
        document["result"] = to_document(result)
        status = exit_status_of(result, interrupts)
        if status != EXIT_OK:
            stage.say("", *summary_lines(result, in_git=True))
            return Played(status, document)
        # What follows is short, changes nothing but the demo's own files, and may be cut off.
        interrupts.abrupt()
        document |= await _look(stage, connection, result)
        document |= await _apply(stage, connection, result)
    await check_out(stage.repository, BRANCH, stage.applied)
    after = await run_tests(stage.applied)
    document["test_after"] = after.document()
    document["ok"] = ok = after.passed and not before.passed
    verdict = "passes" if after.passed else "still fails"
    stage.say("", f"7. On the new branch the test {verdict}", *_indented(after.output))
    return Played(EXIT_OK if ok else EXIT_FAILED, document)


@contextlib.asynccontextmanager
async def opened(stage: Stage) -> AsyncGenerator[Connection]:
    """Open the control plane in this process, with the scripted model server unless live."""
    settings = stage.settings
    ensure_home(settings)
    log_to_file(settings.home / "autovibe.log")
    async with contextlib.AsyncExitStack() as stack:
        if not stage.live:
            server = await stack.enter_async_context(ModelServer(fix_failing_test()))
            upstream = UpstreamSettings(server.url, server.api_key)
            settings = replace(settings, upstreams={**settings.upstreams, _PROVIDER: upstream})
        embedded = await stack.enter_async_context(lazy.open_embedded(settings))
        yield Connection(embedded.services, embedded)


async def _repair(
    stage: Stage, connection: Connection, interrupts: Interrupts
) -> work_pb2.TaskResult:
    order = RunOrder(
        prompt=PROMPT,
        directory=stage.repository.resolve(),
        budget=_BUDGET,
        isolation=stage.isolation,
    )
    stream = sys.stderr if stage.as_json else sys.stdout
    quiet = is_quiet() or (stage.as_json and not sys.stderr.isatty())
    view = open_view(stream, quiet=quiet)
    run = Run(connection, view, interrupts)
    try:
        return await run.finish(await run.order(order))
    finally:
        view.close()


async def _look(
    stage: Stage, connection: Connection, result: work_pb2.TaskResult
) -> dict[str, object]:
    checkpoints, _ = await list_checkpoints(connection, result.project_id, (), 100)
    checkpoints.reverse()
    stage.say("", "3. Every step is a checkpoint", *_indented(checkpoint_table(checkpoints)))
    diff = await connection.services.checkpoints.diff_checkpoints(
        checkpoints_pb2.DiffCheckpointsRequest(
            checkpoint_id=result.result_checkpoint_id,
            base_checkpoint_id=result.base_checkpoint_id,
            with_patch=True,
            without_git=True,
        )
    )
    stage.say("", "4. What changed, files that git ignores too", *_indented(patch_lines(diff)))
    usage = await connection.services.metering.get_usage(
        metering_pb2.GetUsageRequest(task_id=result.task_id)
    )
    stage.say(
        "",
        f"5. Spent {cad(usage.cost_cad or '0')} of {cad(result.budget_cad)} CAD in "
        f"{usage.api_calls} model calls"
        + ("" if stage.live else " (at the prices of the real one)"),
    )
    return {
        "checkpoints": [to_document(item) for item in checkpoints],
        "patch": diff.patch,
        "usage": to_document(usage),
    }


async def _apply(
    stage: Stage, connection: Connection, result: work_pb2.TaskResult
) -> dict[str, object]:
    applied = await connection.services.work.apply_task(
        work_pb2.ApplyTaskRequest(task_id=result.task_id, branch=BRANCH)
    )
    stage.say("", "6. The result, on a branch", *_indented(applied_lines(applied)))
    return {"applied": to_document(applied)}


@contextlib.contextmanager
def stage_directory(kept: str | None) -> Generator[Path]:
    """Give the directory of the demo; a temporary one is removed in the end.

    Raises:
        InvalidArgumentError: the given one is not empty or cannot be made.
    """
    if kept is not None:
        path = Path(kept).expanduser().absolute()
        try:
            path.mkdir(parents=True, exist_ok=True)
            empty = not any(path.iterdir())
        except OSError as error:
            raise InvalidArgumentError(
                f"{path} cannot be used ({error.strerror}); give --keep a new directory."
            ) from error
        if not empty:
            raise InvalidArgumentError(f"{path} is not empty; give --keep a new directory.")
        yield path
        return
    path = Path(tempfile.mkdtemp(prefix="autovibe-demo-"))
    try:
        yield path
    finally:
        remove(path)


def remove(path: Path) -> None:
    """Remove a tree, directories that may not be written too."""
    # Top down: a directory is listed only after it was opened up.
    for parent, names, _ in os.walk(path):
        for directory in (Path(parent, name) for name in names):
            if not directory.is_symlink():
                with contextlib.suppress(OSError):
                    directory.chmod(stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)


def _where(stage: Stage, *, kept: bool) -> list[str]:
    if not kept:
        return [
            "Everything was in a temporary directory and is removed; --keep DIR keeps it.",
            'Now your own: autovibe run "PROMPT" --repo DIR',
        ]
    return [
        f"Kept in {stage.directory}:",
        f"  {stage.repository.name:<12} the repository, with branch {BRANCH}",
        f"  {stage.applied.name:<12} that branch, checked out",
        f"  {stage.settings.home.name:<12} database and checkpoints (AUTOVIBE_HOME)",
        f"Look round with: AUTOVIBE_HOME={stage.settings.home} autovibe task list",
    ]


def _indented(text: str | list[str]) -> list[str]:
    lines = text.splitlines() if isinstance(text, str) else text
    return [f"   {line}".rstrip() for line in lines]
