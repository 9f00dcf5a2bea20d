"""`autovibe checkpoint tree`: how the checkpoints of a project descend from each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.names import project_names
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, plural, short
from autovibe.v1 import checkpoints_pb2

_SHORTEST_RUN: Final = 3

Node = checkpoints_pb2.CheckpointNode


@click.command(epilog="Example: autovibe checkpoint tree --project website")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option("--all", "whole", is_flag=True, help="Every checkpoint, however long the chains.")
@json_option
def tree(project_name: str, *, whole: bool, as_json: bool) -> None:
    """Show the checkpoints of a project as a tree, of all projects if none is named.

    The current checkpoint of the project bears a `*`. Chains of automatic checkpoints are shown
    as their number; --all shows each.
    """

    async def body(connection: Connection) -> list[tuple[str, checkpoints_pb2.CheckpointTree]]:
        names = [project_name] if project_name else list((await project_names(connection)).values())
        return [
            (
                name,
                await connection.services.checkpoints.get_checkpoint_tree(
                    checkpoints_pb2.GetCheckpointTreeRequest(project=name)
                ),
            )
            for name in names
        ]

    trees = with_connection(body)
    if as_json:
        if project_name:
            print_json(to_document(trees[0][1]))
        else:
            print_json({"trees": [{"project": n, **to_document(found)} for n, found in trees]})
        return
    if not any(found.nodes for _, found in trees):
        print_notes(["No checkpoints."])
        return
    collapsed = False
    for number, (name, found) in enumerate(trees):
        if not project_name:
            print_lines([*([""] if number else []), f"{name}:"])
        lines = tree_lines(found, whole=whole)
        collapsed = collapsed or any(line.hides for line in lines)
        print_lines([line.text for line in lines])
        if found.truncated:
            print_lines(["… there are more than 10,000; the newest are left out."])
    if collapsed:
        print_notes(["(--all shows every automatic checkpoint)"])


@dataclass(frozen=True)
class TreeLine:
    """One line of a tree; `hides` is how many checkpoints it stands for without naming them."""

    text: str
    hides: int = 0


def tree_lines(found: checkpoints_pb2.CheckpointTree, *, whole: bool) -> list[TreeLine]:
    """Return a tree as lines: a chain goes straight down, a fork to the right."""
    known = {node.id for node in found.nodes}
    children: dict[str, list[Node]] = {}
    for node in found.nodes:
        # A parent may be missing from a tree that was cut.
        parent = node.parent_checkpoint_id if node.parent_checkpoint_id in known else ""
        children.setdefault(parent, []).append(node)
    current = found.current_checkpoint_id
    lines: list[TreeLine] = []
    # A stack and no recursion: chains are thousands long. Entries are (node, its first prefix,
    # the prefix of what is below it).
    stack = [(node, "", "") for node in reversed(children.get("", []))]
    while stack:
        node, first, prefix = stack.pop()
        chain = list(_chain(node, children))
        for count, member in _runs(chain, children, current, whole=whole):
            lead, first = first, prefix
            if count:
                lines.append(
                    TreeLine(f"{lead}: {plural(count, 'automatic checkpoint')}", hides=count)
                )
            else:
                lines.append(TreeLine(lead + _node_text(member, current)))
        branches = children.get(chain[-1].id, [])
        last = len(branches) - 1
        stack += [
            (
                branch,
                f"{prefix}{'`' if number == last else '|'}-",
                f"{prefix}{' ' if number == last else '|'} ",
            )
            for number, branch in reversed(list(enumerate(branches)))
        ]
    return lines


def _chain(node: Node, children: Mapping[str, Sequence[Node]]) -> Iterator[Node]:
    """Yield a node and its descendants as long as there is one child only."""
    yield node
    below = children.get(node.id, [])
    while len(below) == 1:
        yield below[0]
        below = children.get(below[0].id, [])


def _runs(
    chain: Sequence[Node], children: Mapping[str, Sequence[Node]], current: str, *, whole: bool
) -> Iterator[tuple[int, Node]]:
    """Yield (0, node) for one that is shown and (length, its last node) for a run that is not.

    The end of a chain is shown: it is a leaf, or where the tree forks.
    """
    run: list[Node] = []
    for node in chain:
        plain = node.checkpoint_type == "automatic" and node.id != current
        if plain and not whole and len(children.get(node.id, [])) == 1:
            run.append(node)
            continue
        yield from _run(run)
        run = []
        yield 0, node
    yield from _run(run)


def _run(run: Sequence[Node]) -> Iterator[tuple[int, Node]]:
    if len(run) >= _SHORTEST_RUN:
        yield len(run), run[-1]
    else:
        yield from ((0, node) for node in run)


def _node_text(node: Node, current: str) -> str:
    is_current = node.id == current
    notes = [
        "pruned" if node.pruned else "",
        "" if node.verification_status == "verified" else node.verification_status,
        "<- current" if is_current else "",
    ]
    parts = [
        f"{'*' if is_current else 'o'} {short(node.id)}",
        f"{node.checkpoint_type:<9}",
        moment(node.created_at),
        *notes,
    ]
    return "  ".join(part for part in parts if part).rstrip()
