from __future__ import annotations

from pathlib import Path

import pytest

from autovibe.cli.client.task_file import MAX_BYTES, parse_graph, read_graph
from autovibe.kernel.errors import InvalidArgumentError

PAGE = Path(__file__).parents[2] / "docs/formats/task-graph.md"


def test_the_example_of_the_format_page_is_read():
    graph = parse_graph(PAGE.read_text().split("```yaml\n")[1].split("```")[0])
    assert graph.project == "website"
    by_key = {task.key: task for task in graph.tasks}
    assert list(by_key) == ["design", "server", "page", "release"]
    assert list(by_key["release"].after) == ["server", "page"]
    assert list(by_key["server"].after) == ["design"]
    assert by_key["page"].timeout_s == 1800
    assert dict(by_key["page"].labels) == {"team": "web", "size": "small"}
    assert by_key["server"].budget == "3.00CAD"
    assert by_key["page"].budget == "1.00CAD"
    assert by_key["release"].permission_level == "supervised"


def test_values_are_taken_as_they_are_written():
    (task,) = parse_graph(
        "tasks:\n  1.0:\n    prompt: no\n    budget: 1.50\n    trust_agent: true\n"
        "    after: [2026-11-23, on]\n    args: [0x10, null]\n"
    ).tasks
    assert (task.key, task.prompt, task.budget, task.trust_agent) == ("1.0", "no", "1.50", True)
    assert list(task.after) == ["2026-11-23", "on"]
    assert list(task.agent_args) == ["0x10", "null"]


def test_lists_of_a_task_replace_those_of_the_defaults_and_labels_are_added():
    (task,) = parse_graph(
        "defaults: {args: [a, b], labels: {x: 1, y: 1}}\n"
        "tasks: {t: {prompt: p, args: c, labels: {y: 2}}}\n"
    ).tasks
    assert list(task.agent_args) == ["c"]
    assert dict(task.labels) == {"x": "1", "y": "2"}


@pytest.mark.parametrize(
    ("written", "line", "says"),
    [
        ("", 1, "tasks"),
        ("project: x\n", 1, "tasks"),
        ("tasks:\n  a:\n    prompt: x\n    color: red\n", 4, "'color'"),
        ("tasks: {a: {prompt: x}}\nmore: 1\n", 2, "'more'"),
        ("defaults:\n  prompt: x\ntasks: {}\n", 2, "'prompt'"),
        ("tasks:\n  a: {prompt: x}\n  a: {prompt: y}\n", 3, "twice"),
        ("version: 2\ntasks: {}\n", 1, "newer"),
        ("tasks:\n  a: &x {prompt: y}\n", 2, "anchors"),
        ("tasks:\n  a: *x\n", 2, "anchors"),
        ("tasks:\n  a: {prompt: [x]}\n", 2, "text"),
        ("tasks:\n  a:\n    after: {b: c}\n", 3, "list"),
        ("tasks:\n  a:\n    timeout: soon\n", 3, "soon"),
        ("tasks:\n  a:\n    trust_agent: yes\n", 3, "true or false"),
        ("tasks:\n  - a\n", 2, "names and values"),
        ("tasks: {a: {prompt: x}}\n---\ntasks: {}\n", 2, "second document"),
        ("tasks:\n  a: {prompt: x\n  b: y\n", 3, ""),
        ("tasks: " + "[" * 100_000, 1, "nests"),
        ("tasks: {a: {prompt: !!python/object/apply:os.system [x]}}", 1, "text"),
        ("tasks: {a: {prompt: 'x\x07'}}", 1, ""),
    ],
)
def test_what_is_wrong_is_said_with_its_line(written: str, line: int, says: str):
    with pytest.raises(InvalidArgumentError) as refused:
        parse_graph(written)
    assert refused.value.message.startswith(f"Line {line}: ")
    assert says in refused.value.message


def test_files_that_are_too_large_no_text_or_not_there_are_refused(tmp_path: Path):
    path = tmp_path / "graph.yaml"
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        read_graph(path)
    path.write_bytes(b"tasks:\n  \xff: x\n")
    with pytest.raises(InvalidArgumentError, match="Line 2: "):
        read_graph(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InvalidArgumentError, match="larger"):
        read_graph(path)
