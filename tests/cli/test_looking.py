"""Differences, trees, files by path, and patches of exact bytes."""

from __future__ import annotations

import pytest

from autovibe.cli.client.tree import tree_lines
from autovibe.v1 import checkpoints_pb2


def of(plane, kind):
    return [request for request in plane.requests if type(request).__name__ == kind]


@pytest.fixture
def task(cli, plane, repo):
    """A task that was run, alone in the plane's list of requests."""
    cli("run", "Mend it", "--repo", str(repo), "--quiet")
    plane.requests.clear()
    (found,) = plane.tasks.values()
    return found


@pytest.mark.parametrize(
    ("arguments", "base", "paths"),
    [
        ((), "", []),
        (("87654321",), "87654321", []),
        (("87654321", "src", "a b"), "87654321", ["src", "a b"]),
        (("src/", "README"), "", ["src/", "README"]),
        (("./87654321",), "", ["./87654321"]),
        (("1234567",), "", ["1234567"]),
    ],
)
def test_what_looks_like_an_id_is_the_base_and_the_rest_are_paths(
    arguments, base, paths, cli, plane
):
    assert cli("checkpoint", "diff", "12345678", *arguments).status == 0
    (request,) = of(plane, "DiffCheckpointsRequest")
    assert (request.base_checkpoint_id, list(request.paths)) == (base, paths)


def test_files_of_a_checkpoint_are_shown_by_path(cli, plane, task):
    checkpoint_id = next(iter(plane.checkpoints))
    shown = cli("checkpoint", "show", checkpoint_id[:8], "src", "README.md", "--home")
    assert "0644" in shown.out
    (request,) = of(plane, "ListCheckpointFilesRequest")
    assert (list(request.paths), request.home) == (["src", "README.md"], True)


def test_task_diff_compares_base_and_result(cli, plane, task):
    result = plane.results[task.id]
    out = cli("task", "diff", task.id[:8], "src", "--patch", "--home").out
    assert "-x\t\n" in out
    assert "\x1b" not in out
    (request,) = of(plane, "DiffCheckpointsRequest")
    assert request.checkpoint_id == result.result_checkpoint_id
    assert request.base_checkpoint_id == result.base_checkpoint_id
    assert (list(request.paths), request.home, request.without_git) == (["src"], True, True)
    assert "changes" in cli("task", "diff", task.id, "--json").document()


def test_task_diff_of_a_running_task_goes_to_its_newest_checkpoint(cli, plane, task):
    result = plane.results[task.id]
    result.status = "in_progress"
    newest = checkpoints_pb2.Checkpoint(id="77777777-own", creating_machine_id=result.machine_id)
    plane.checkpoints[newest.id] = newest
    assert cli("task", "diff", task.id).status == 0
    (request,) = of(plane, "DiffCheckpointsRequest")
    assert request.checkpoint_id == newest.id


def test_task_diff_without_a_checkpoint_says_so(cli, plane, task):
    del plane.results[task.id]
    ended = cli("task", "diff", task.id)
    assert ended.status == 1
    assert "has no checkpoint yet" in ended.err


# Patches


def test_patch_is_written_byte_for_byte_in_all_its_pages(cli, plane, task, tmp_path):
    target = tmp_path / "out.patch"
    ended = cli("apply", task.id[:8], "--patch", str(target), "--include-ignored")
    assert (ended.status, ended.err) == (0, "")
    assert target.read_bytes() == plane.patch
    assert [path.name for path in tmp_path.iterdir()].count("out.patch") == 1
    assert f"git apply {target}" in ended.out
    assert "  x.log" in ended.out
    assert all(request.include_ignored for request in of(plane, "GetTaskPatchRequest"))
    document = cli("apply", task.id, "--patch", str(target), "--json").document()
    assert (document["patch"], document["bytes"]) == (str(target), len(plane.patch))
    assert document["ignored"] == ["x.log"]


def test_patch_on_standard_output_is_nothing_but_the_patch(process, plane):
    child = process("stopped:completes", "apply", "0d4b4c4e", "--patch", "-", text=False)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (0, plane.patch, b"")


def test_patch_that_cannot_be_had_leaves_no_file(cli, plane, task, tmp_path, fakes):
    plane.refusals["GetTaskPatchRequest"] = fakes.RefusedError(
        fakes.Code.FAILED_PRECONDITION, "NOTHING_TO_APPLY"
    )
    assert cli("apply", task.id, "--patch", str(tmp_path / "out")).status == 1
    assert not (tmp_path / "out").exists()
    plane.refusals.clear()
    ended = cli("apply", task.id, "--patch", str(tmp_path / "nowhere" / "out"))
    assert ended.status == 2
    assert "give --patch another FILE" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--patch", "x", "--branch", "b"),
        ("--patch", "x", "--keep-commits"),
        ("--patch", "-", "--json"),
    ],
)
def test_options_that_exclude_each_other_are_refused(arguments, cli, plane, task):
    assert cli("apply", task.id, *arguments).status == 2
    assert plane.requests == []


def test_keep_commits_reaches_the_service(cli, plane, task):
    assert cli("apply", task.id, "--keep-commits").status == 0
    (request,) = of(plane, "ApplyTaskRequest")
    assert request.keep_commits


# Trees


def make_tree(*nodes: tuple[str, str, str], current: str = "") -> checkpoints_pb2.CheckpointTree:
    """Return a tree of (id, parent, type); ids are one letter each."""
    return checkpoints_pb2.CheckpointTree(
        nodes=[
            checkpoints_pb2.CheckpointNode(
                id=f"{name}0000000-",
                parent_checkpoint_id=f"{parent}0000000-" if parent else "",
                checkpoint_type=kind,
                verification_status="verified",
            )
            for name, parent, kind in nodes
        ],
        current_checkpoint_id=f"{current}0000000-" if current else "",
    )


FORKED = make_tree(
    ("a", "", "genesis"),
    ("b", "a", "automatic"),
    ("c", "b", "automatic"),
    ("d", "c", "automatic"),
    ("e", "d", "automatic"),
    ("f", "e", "final"),
    ("1", "d", "automatic"),
    ("2", "1", "final"),
    current="f",
)


def shapes(found: checkpoints_pb2.CheckpointTree, *, whole: bool = False) -> list[str]:
    """Return the lines of a tree, ids as one letter."""
    lines = tree_lines(found, whole=whole)
    return [" ".join(line.text.replace("0000000", "").split()) for line in lines]


def test_a_chain_goes_down_and_a_fork_to_the_right():
    assert shapes(FORKED, whole=True) == [
        "o a genesis",
        "o b automatic",
        "o c automatic",
        "o d automatic",
        "|-o e automatic",
        "| * f final <- current",
        "`-o 1 automatic",
        "o 2 final",
    ]


CHAIN = [
    ("a", "", "genesis"),
    *((name, parent, "automatic") for name, parent in zip("bcdefg", "abcdef", strict=True)),
]
LONG = make_tree(*CHAIN, current="g")


def test_long_chains_of_automatic_checkpoints_are_shown_as_their_number():
    assert shapes(LONG) == [
        "o a genesis",
        ": 5 automatic checkpoints",
        "* g automatic <- current",
    ]
    # The current one is always shown, and two are not worth hiding.
    assert shapes(make_tree(*CHAIN, current="d")) == [
        "o a genesis",
        "o b automatic",
        "o c automatic",
        "* d automatic <- current",
        "o e automatic",
        "o f automatic",
        "o g automatic",
    ]


def test_a_chain_of_thousands_is_no_matter():
    nodes = [
        checkpoints_pb2.CheckpointNode(
            id=f"{number:08}",
            parent_checkpoint_id=f"{number - 1:08}" if number else "",
            checkpoint_type="automatic",
        )
        for number in range(10_000)
    ]
    found = checkpoints_pb2.CheckpointTree(nodes=nodes)
    assert len(tree_lines(found, whole=True)) == 10_000
    assert [line.hides for line in tree_lines(found, whole=False)] == [9_999, 0]


def test_tree_of_one_project_or_of_all(cli, plane):
    for name in ("site", "calc"):
        cli("project", "create", name)
    plane.tree.CopyFrom(LONG)
    both = cli("checkpoint", "tree").out
    assert both.splitlines()[0] == "calc:"
    assert "\n\nsite:\n" in both
    one = cli("checkpoint", "tree", "--project", "site").out
    assert "site" not in one
    assert "<- current" in one
    assert "--all" in one
    assert "--all" not in cli("checkpoint", "tree", "--project", "site", "--all").out
    document = cli("checkpoint", "tree", "--project", "site", "--json").document()
    assert len(document["nodes"]) == 7
    assert len(cli("checkpoint", "tree", "--json").document()["trees"]) == 2


def test_tree_of_nothing_says_so(cli):
    assert cli("checkpoint", "tree").out == "No checkpoints.\n"
