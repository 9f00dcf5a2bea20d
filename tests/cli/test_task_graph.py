from __future__ import annotations

import json
from typing import Any

from autovibe.cli.client.task_graph import graph_lines, mermaid_lines
from autovibe.v1 import tasks_pb2


def graph(
    titles: dict[str, str], *edges: tuple[str, str, str], **parents: str
) -> tasks_pb2.TaskGraph:
    """Make a graph: each edge is what comes first, what comes after, and the type."""
    nodes: list[dict[str, Any]] = [
        {"id": name * 32, "title": title, "status": "pending"} for name, title in titles.items()
    ]
    for node in nodes:
        node["parent_task_id"] = parents.get(node["id"][0], "") * 32
    return tasks_pb2.TaskGraph(
        nodes=[tasks_pb2.TaskNode(**node) for node in nodes],
        dependencies=[
            tasks_pb2.TaskDependency(
                depends_on_task_id=first * 32, task_id=then * 32, dependency_type=kind
            )
            for first, then, kind in edges
        ],
    )


def test_a_graph_is_a_tree_in_which_what_waits_for_two_stands_twice_and_is_opened_once():
    found = graph(
        {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"},
        ("a", "b", "blocks"),
        ("a", "c", "blocks"),
        ("b", "d", "blocks"),
        ("c", "d", "blocks"),
        ("d", "e", "blocks"),
        ("a", "e", "related"),
        c="a",
    )
    assert graph_lines(found) == [
        "aaaaaaaa  pending  A",
        "|- bbbbbbbb  pending  B",
        "|  `- dddddddd  pending  D",
        "|     `- eeeeeeee  pending  E  (related aaaaaaaa)",
        "`- cccccccc  pending  C  (part of aaaaaaaa)",
        "   `- dddddddd  pending  D  (see above)",
    ]


def test_a_title_can_neither_end_its_label_in_a_diagram_nor_move_the_cursor():
    hostile = '"]; click t1 "javascript:x" %% \x1b[2J<b>'
    lines = mermaid_lines(graph({"a": hostile, "b": "B"}, ("a", "b", "blocks")))
    assert lines[0] == "flowchart LR"
    label = lines[1].removeprefix('  t1["').removesuffix('"]:::pending')
    assert not set(label) & set('"[]<>%\x1b:')
    assert lines[3] == "  t1 --> t2"
    assert "\x1b" not in json.dumps(graph_lines(graph({"a": hostile})))


def test_a_diagram_shows_every_kind_of_edge_and_a_long_chain_needs_no_recursion():
    lines = mermaid_lines(
        graph({"a": "A", "b": "B"}, ("a", "b", "related"), ("b", "a", "duplicate"), b="a")
    )
    assert lines[3:] == ["  t1 -.- t2", "  t2 -. duplicate .- t1", "  t1 -. part .-> t2"]
    nodes = [tasks_pb2.TaskNode(id=str(n), title="x", status="queued") for n in range(3_000)]
    chain = [
        tasks_pb2.TaskDependency(
            task_id=str(n + 1), depends_on_task_id=str(n), dependency_type="blocks"
        )
        for n in range(2_999)
    ]
    assert len(graph_lines(tasks_pb2.TaskGraph(nodes=nodes, dependencies=chain))) == 3_000
