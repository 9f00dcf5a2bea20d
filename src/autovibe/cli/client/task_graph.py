"""`autovibe task import|graph|depend|undepend`: tasks that wait for each other."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.task_file import read_graph
from autovibe.cli.document import to_document
from autovibe.cli.options import is_quiet
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import clipped, plural, short, table
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import tasks_pb2, work_pb2

_TYPES: Final = ("blocks", "related", "duplicate")
_TITLE: Final = 60
_ARROWS: Final = {"blocks": "-->", "related": "-.-", "duplicate": "-. duplicate .-"}
_COLOURS: Final = {
    "completed": "fill:#d3f3d3",
    "in_progress": "fill:#d3e5ff",
    "failed": "fill:#ffd3d3",
    "blocked": "fill:#ffefc9",
}


@click.command("import", epilog="Example: autovibe task import plan.yaml --project website --start")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--project", "project_name", default="", help="Instead of the one that FILE names.")
@click.option("--start", is_flag=True, help="Queue what waits for nothing; the rest follows.")
@click.option("--dry-run", is_flag=True, help="Check everything, and make nothing.")
@click.option(
    "--key", default="", help="A name for this import: again with the same one makes nothing new."
)
@json_option
def import_(
    *, file: Path, project_name: str, start: bool, dry_run: bool, key: str, as_json: bool
) -> None:
    """Make all tasks of FILE, with what they wait for, or none of them.

    FILE is YAML: `project`, `defaults`, and under `tasks` one entry per task with its `prompt` and
    the tasks that it comes `after`. Tasks are done by a server (`autovibe up`).
    """
    graph = read_graph(file)
    project = project_name or graph.project
    if not project:
        raise InvalidArgumentError("Say in which project: --project NAME, or `project:` in FILE.")
    request = tasks_pb2.CreateTasksRequest(
        project=project,
        tasks=graph.tasks,
        start=start,
        dry_run=dry_run,
        # A call whose answer was lost on the way may be sent again.
        idempotency_key=key or str(uuid.uuid4()),
    )

    async def body(connection: Connection) -> tuple[tasks_pb2.CreateTasksResponse, bool]:
        answer = await connection.services.work.create_tasks(request)
        return answer, connection.embedded is not None

    made, embedded = with_connection(body, doing="making the tasks")
    if as_json:
        print_json(to_document(made))
        return
    if is_quiet():
        print_lines([task.task_id or task.key for task in made.tasks])
        return
    rows = [
        (task.key, short(task.task_id), _state(task.status, task.block_reason), task.title)
        for task in made.tasks
    ]
    print_lines(table(("KEY", "TASK", "STATUS", "TITLE"), [_clip(row) for row in rows]))
    print_notes(_what_next(made, dry_run=dry_run, start=start, embedded=embedded))


@click.command(epilog="Example: autovibe task graph --project website --mermaid")
@click.argument("task_id", metavar="[TASK]", default="")
@click.option("--project", "project_name", default="", help="All tasks of a project.")
@click.option("--mermaid", is_flag=True, help="As a Mermaid diagram, for Markdown pages.")
@json_option
def graph(task_id: str, project_name: str, *, mermaid: bool, as_json: bool) -> None:
    """Show what TASK waits for and what waits for it, or all tasks of a project.

    What comes first stands at the left, what waits for it below and further right; a task that
    waits for several stands below each of them, and is opened once.
    """
    request = tasks_pb2.GetTaskGraphRequest(task_id=task_id, project=project_name)

    async def body(connection: Connection) -> tasks_pb2.TaskGraph:
        return await connection.services.work.get_task_graph(request)

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
        return
    if not found.nodes:
        print_notes(["No tasks; make some with `autovibe task import FILE`."])
        return
    print_lines(mermaid_lines(found) if mermaid else graph_lines(found))
    if found.truncated:
        print_notes(["… there are more; name a task to see what is around it."])


@click.command(epilog="Example: autovibe task depend 1a2b3c4d --on 5e6f7a8b")
@click.argument("task_id", metavar="TASK")
@click.option("--on", "other", required=True, metavar="OTHER", help="The task that comes first.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(_TYPES),
    default="blocks",
    show_default=True,
    help="blocks holds TASK back; the others only say so.",
)
@json_option
def depend(task_id: str, other: str, kind: str, *, as_json: bool) -> None:
    """Let TASK wait until OTHER has completed."""
    request = tasks_pb2.AddTaskDependencyRequest(
        task_id=task_id, depends_on_task_id=other, dependency_type=kind
    )

    async def body(
        connection: Connection,
    ) -> tuple[tasks_pb2.TaskDependency, work_pb2.Task]:
        added = await connection.services.work.add_task_dependency(request)
        asked = work_pb2.GetTaskRequest(task_id=added.task_id)
        return added, await connection.services.work.get_task(asked)

    added, task = with_connection(body)
    if as_json:
        print_json(to_document(added))
        return
    what = {"blocks": "comes after", "related": "is related to", "duplicate": "duplicates"}[kind]
    other_id = short(added.depends_on_task_id)
    state = _state(task.status, task.block_reason)
    print_notes([f"Task {short(task.id)} {what} {other_id}; it is {state}."])


@click.command(epilog="Example: autovibe task undepend 1a2b3c4d --on 5e6f7a8b")
@click.argument("task_id", metavar="TASK")
@click.option("--on", "other", required=True, metavar="OTHER", help="The task that it waits for.")
@json_option
def undepend(task_id: str, other: str, *, as_json: bool) -> None:
    """Let TASK wait for OTHER no longer; if it waits for nothing more, it is queued."""
    request = tasks_pb2.RemoveTaskDependencyRequest(task_id=task_id, depends_on_task_id=other)

    async def body(connection: Connection) -> work_pb2.Task:
        return await connection.services.work.remove_task_dependency(request)

    task = with_connection(body)
    if as_json:
        print_json(to_document(task))
    else:
        print_notes([f"Task {short(task.id)} is {_state(task.status, task.block_reason)}."])


def graph_lines(found: tasks_pb2.TaskGraph) -> list[str]:
    """Return a graph as an indented tree: what waits stands below what comes first."""
    nodes = {node.id: node for node in found.nodes}
    below: dict[str, list[str]] = {}
    roots = dict.fromkeys(nodes)
    notes: dict[str, list[str]] = {}
    for edge in found.dependencies:
        if edge.dependency_type == "blocks":
            below.setdefault(edge.depends_on_task_id, []).append(edge.task_id)
            roots.pop(edge.task_id, None)
        else:
            note = f"{edge.dependency_type} {short(edge.depends_on_task_id)}"
            notes.setdefault(edge.task_id, []).append(note)
    for node in found.nodes:
        if node.parent_task_id in nodes:
            notes.setdefault(node.id, []).append(f"part of {short(node.parent_task_id)}")
    lines: list[str] = []
    opened: set[str] = set()
    # A stack and no recursion: chains may be long.
    stack = [(root, "", "") for root in reversed(roots)]
    while stack:
        node_id, first, prefix = stack.pop()
        again = node_id in opened and node_id in below
        lines.append(first + _node_text(nodes[node_id], notes.get(node_id, []), again=again))
        if node_id in opened:
            continue
        opened.add(node_id)
        children = below.get(node_id, [])
        for number, child in reversed(list(enumerate(children))):
            last = number == len(children) - 1
            stack.append(
                (child, f"{prefix}{'`' if last else '|'}- ", f"{prefix}{' ' if last else '|'}  ")
            )
    return lines


def mermaid_lines(found: tasks_pb2.TaskGraph) -> list[str]:
    """Return a graph as a Mermaid flowchart."""
    names = {node.id: f"t{number}" for number, node in enumerate(found.nodes, 1)}
    lines = ["flowchart LR"]
    lines += [
        f'  {names[node.id]}["{_escaped(f"{short(node.id)} {clipped(node.title, _TITLE)}")}"]'
        f":::{node.status}"
        for node in found.nodes
    ]
    lines += [
        f"  {names[edge.depends_on_task_id]} {_ARROWS[edge.dependency_type]} {names[edge.task_id]}"
        for edge in found.dependencies
    ]
    lines += [
        f"  {names[node.parent_task_id]} -. part .-> {names[node.id]}"
        for node in found.nodes
        if node.parent_task_id in names
    ]
    return [*lines, *_classes(found.nodes, _COLOURS)]


def _classes(nodes: Sequence[tasks_pb2.TaskNode], colours: Mapping[str, str]) -> list[str]:
    used = dict.fromkeys(node.status for node in nodes)
    return [f"  classDef {status} {colours[status]}" for status in used if status in colours]


def _escaped(text: str) -> str:
    """Return text that neither ends a label nor is taken for markup in it."""
    return "".join(char if char.isalnum() or char in " .,-_" else f"#{ord(char)};" for char in text)


def _node_text(node: tasks_pb2.TaskNode, notes: Sequence[str], *, again: bool) -> str:
    parts = [
        short(node.id),
        _state(node.status, node.block_reason),
        clipped(node.title, _TITLE),
        *(f"({note})" for note in notes),
        "(see above)" if again else "",
    ]
    return "  ".join(part for part in parts if part)


def _state(status: str, reason: str) -> str:
    return f"{status} ({reason})" if reason else status


def _clip(row: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
    return (*row[:3], clipped(row[3], _TITLE))


def _what_next(
    made: tasks_pb2.CreateTasksResponse, *, dry_run: bool, start: bool, embedded: bool
) -> list[str]:
    count = plural(len(made.tasks), "task")
    if dry_run:
        return [f"{count} would be made; nothing was."]
    if made.repeated:
        return [f"An earlier import with this key made the {count}; nothing new was."]
    if not start:
        return ["They are pending; start one with `autovibe task resume TASK`."]
    if embedded:
        return ["Nothing works on them yet; do them with `autovibe up`."]
    return []
