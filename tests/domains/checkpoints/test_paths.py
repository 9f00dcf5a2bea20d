"""Looking at parts of checkpoints, and at those of several machines."""

from __future__ import annotations

from pathlib import Path

import pytest
from plane import Plane, write_files

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import checkpoints_pb2

FILES = {
    "a.txt": "1\n",
    "src/b.txt": "1\n",
    "src/deep/c.txt": "1\n",
    "srcs": "1\n",
    "caf\udce9": "1\n",
}


@pytest.fixture
async def pair(one_plane: Plane, tmp_path: Path) -> tuple[Plane, str]:
    """A checkpoint in which every file differs from its parent."""
    directory = tmp_path / "dir"
    write_files(directory, FILES)
    await one_plane.project()
    await one_plane.load(directory)
    write_files(directory, dict.fromkeys(FILES, "2\n"))
    return one_plane, (await one_plane.load(directory)).checkpoint.id


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], ["a.txt", "caf\\xe9", "src/b.txt", "src/deep/c.txt", "srcs"]),
        (["src"], ["src/b.txt", "src/deep/c.txt"]),
        (["./src/deep/", "a.txt"], ["a.txt", "src/deep/c.txt"]),
        (["."], ["a.txt", "caf\\xe9", "src/b.txt", "src/deep/c.txt", "srcs"]),
        (["caf\\xe9"], ["caf\\xe9"]),
        (["nothing"], []),
    ],
)
async def test_files_and_differences_are_filtered_by_path(
    pair: tuple[Plane, str], paths: list[str], expected: list[str]
):
    plane, checkpoint_id = pair
    diff = await plane.services.checkpoints.diff_checkpoints(
        checkpoints_pb2.DiffCheckpointsRequest(
            checkpoint_id=checkpoint_id, paths=paths, with_patch=True
        )
    )
    assert sorted(change.path for change in diff.changes) == expected
    assert diff.patch.count("diff --git") == len(expected)
    shown: list[str] = []
    token = ""
    while True:
        page = await plane.services.checkpoints.list_checkpoint_files(
            checkpoints_pb2.ListCheckpointFilesRequest(
                checkpoint_id=checkpoint_id, paths=paths, page_size=2, page_token=token
            )
        )
        shown += [file.path for file in page.files if file.kind == "file"]
        token = page.next_page_token
        if not token:
            break
    assert sorted(shown) == expected


@pytest.mark.parametrize("path", ["/etc", "..", "a/../../b"])
async def test_paths_that_leave_the_tree_are_refused(pair: tuple[Plane, str], path: str):
    plane, checkpoint_id = pair
    with pytest.raises(InvalidArgumentError):
        await plane.services.checkpoints.diff_checkpoints(
            checkpoints_pb2.DiffCheckpointsRequest(checkpoint_id=checkpoint_id, paths=[path])
        )


async def test_checkpoints_of_several_machines_are_one_list(pair: tuple[Plane, str]):
    plane, checkpoint_id = pair
    project_id = (await plane.project("other")).id
    machines = [(await plane.machine(project_id)).id for _ in range(3)]
    made: list[str] = []
    for machine in machines:
        plane.clock.advance(seconds=1)
        made.append((await plane.checkpoint(project_id, creating_machine_id=machine)).id)
    listed = await plane.services.checkpoints.list_checkpoints(
        checkpoints_pb2.ListCheckpointsRequest(machine_ids=machines[:2])
    )
    assert [item.id for item in listed.checkpoints] == [made[1], made[0]]
    assert checkpoint_id not in made
