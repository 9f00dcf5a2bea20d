"""What a task came to, for people."""

from __future__ import annotations

from typing import Final

from autovibe.cli.render import cad, pairs, short, size
from autovibe.kernel.errors import EXIT_OK, Code, exit_status
from autovibe.kernel.units import duration_text
from autovibe.v1 import work_pb2

_FILES_SHOWN: Final = 20
_COMPLETED: Final = "completed"
_UNDER_WAY: Final = frozenset({"queued", "in_progress"})
_RESUMABLE: Final = frozenset({"pending", "blocked", "failed"})
_MORE: Final = {
    "BUDGET_EXHAUSTED": " --budget AMOUNT",
    "NO_BUDGET": " --budget AMOUNT",
    "TASK_TIMED_OUT": " --timeout DURATION",
}


def result_exit_status(result: work_pb2.TaskResult) -> int:
    """Return the exit status of a task's result (decision B12)."""
    if result.status == _COMPLETED:
        return EXIT_OK
    return exit_status(Code.INTERNAL, result.error.reason)


def summary_lines(result: work_pb2.TaskResult, *, in_git: bool) -> list[str]:
    """Return what a task came to and what can be done with it; text is not escaped yet.

    Args:
        result: of the task.
        in_git: its directory is a repository, so that the result can be put on a branch.
    """
    lines = [headline(result)]
    if result.HasField("error") and result.error.message:
        lines += [f"  {line}" for line in result.error.message.splitlines()]
    if result.summary.strip():
        lines += ["", *(f"  {line}" for line in result.summary.strip().splitlines())]
    lines += ["", *_numbers(result), *_files(result)]
    commands = next_commands(result, in_git=in_git)
    if commands:
        lines += ["", *pairs(commands)]
    return lines


def headline(result: work_pb2.TaskResult) -> str:
    """Return the status of a task in one line."""
    status = result.status.replace("_", " ")
    reason = f" ({result.error.reason})" if result.error.reason else ""
    return (
        f"Task {short(result.task_id)} {status}{reason} after {duration_text(result.duration_s)}."
    )


def next_commands(result: work_pb2.TaskResult, *, in_git: bool) -> list[tuple[str, str]]:
    """Return commands that use a result, by purpose; ids in them are short."""
    task, found = short(result.task_id), short(result.result_checkpoint_id)
    commands: list[tuple[str, str]] = []
    if found and result.files_changed:
        commands.append(("see", f"autovibe task diff {task} --patch"))
        to_file = "" if in_git else " --patch FILE"
        commands.append(("apply", f"autovibe apply {task}{to_file}"))
    if found:
        commands.append(("restore", f"autovibe checkpoint restore {found} --to DIR"))
    if result.status in _UNDER_WAY:
        return [*commands, ("follow", f"autovibe logs {task} -f")]
    if result.status != _COMPLETED:
        commands.append(("look into", f"autovibe logs {task}"))
    if result.error.reason == "WAITING_FOR_APPROVAL":
        return [*commands, ("answer", "autovibe inbox")]
    if result.status in _RESUMABLE:
        more = _MORE.get(result.error.reason, "")
        if _needs_another_budget(result.error.message):
            more = ""
        commands.append(("go on", f"autovibe task resume {task}{more}"))
    elif found:
        commands.append(("go on", f'autovibe checkpoint fork {found} "PROMPT"'))
    return commands


def _needs_another_budget(message: str) -> bool:
    """Return whether a message names a budget that no more money of the task itself can mend."""
    return "autovibe budget raise" in message and "--budget" not in message


def _numbers(result: work_pb2.TaskResult) -> list[str]:
    checkpoint = ""
    if result.result_checkpoint_id:
        state = "verified" if result.verified else "not verified"
        checkpoint = f", the last {short(result.result_checkpoint_id)} ({state})"
    budget = f"of {cad(result.budget_cad)} CAD" if result.budget_cad else "CAD, no cap"
    return pairs(
        [
            ("project", result.project_name),
            ("checkpoints", f"{result.checkpoint_count}{checkpoint}"),
            ("spent", f"{cad(result.cost_cad or '0')} {budget}"),
            ("model calls", f"{result.api_calls}"),
            ("machine", _machine(result)),
            ("files changed", f"{len(result.files_changed)}"),
        ]
    )


def _machine(result: work_pb2.TaskResult) -> str:
    """Return what the machines of a task used."""
    return (
        f"{duration_text(result.duration_s)}, {result.cpu_s:.1f} s of processor time, "
        f"{size(result.memory_peak_bytes)} of memory at most"
    )


def _files(result: work_pb2.TaskResult) -> list[str]:
    changes = result.files_changed
    lines = [f"  {item.change:<9} {item.path}" for item in changes[:_FILES_SHOWN]]
    left = len(changes) - len(lines)
    return [*lines, *([f"  … and {left} more"] if left > 0 else [])]
