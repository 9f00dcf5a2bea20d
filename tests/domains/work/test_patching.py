"""The result of a task as a patch: git makes of it exactly what the machine made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from plane import Plane, make_repository, run_git, write_files

from autovibe.domains.work import patching
from autovibe.domains.work.errors import NothingToApplyError, UnsafePathsError
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.paging import encode_token
from autovibe.v1 import work_pb2

FILES = {
    "edited.txt": "one\r\n",
    "deleted.txt": "x\n",
    "run.sh": "#!/bin/sh\n",
    "was-file": "x\n",
    ".gitignore": "*.o\nout/\n",
    "old.o": "kept by git\n",
}


async def worked(plane: Plane, directory: Path, workspace: Path) -> str:
    """Import a directory, let a machine of a task leave a workspace, and return the task."""
    base = (await plane.load(directory)).checkpoint
    task = await plane.task()
    await plane.worker()
    order = await plane.claimed()
    result = await plane.result_of(base, workspace)
    await plane.finish(order, result_checkpoint_id=result.id)
    return task.id


async def patch_of(
    plane: Plane, task_id: str, *, include_ignored: bool = False
) -> tuple[bytes, list[work_pb2.GetTaskPatchResponse]]:
    """Return the patch of a task, and the pages that it came in."""
    pages: list[work_pb2.GetTaskPatchResponse] = []
    token = ""
    while not pages or token:
        page = await plane.services.work.get_task_patch(
            work_pb2.GetTaskPatchRequest(
                task_id=task_id, include_ignored=include_ignored, page_token=token
            )
        )
        pages.append(page)
        token = page.next_page_token
    return b"".join(page.patch for page in pages), pages


def change(workspace: Path) -> None:
    """Change a copy of FILES in every way that git can hold."""
    write_files(
        workspace,
        {
            "edited.txt": b"two\r\nlatin \xe9\n",
            "binary": bytes(range(256)) * 20,
            "sp ace/caf\udce9": "odd\n",
            "new.o": "ignored\n",
            "old.o": "changed\n",
            "out/x": "ignored\n",
            ".git/hooks/post-commit": "#!/bin/sh\n",
        },
    )
    (workspace / "deleted.txt").unlink()
    (workspace / "run.sh").chmod(0o755)
    (workspace / "was-file").unlink()
    (workspace / "was-file").symlink_to("run.sh")


def content(directory: Path) -> dict[str, object]:
    """Return what is in a directory, without its repository."""
    return {
        str(path.relative_to(directory)): (
            path.readlink()
            if path.is_symlink()
            else (path.stat().st_mode & 0o100, path.read_bytes())
        )
        for path in directory.rglob("*")
        if ".git" not in path.relative_to(directory).parts and (path.is_symlink() or path.is_file())
    }


@pytest.fixture
async def project(one_plane: Plane) -> Plane:
    await one_plane.project()
    return one_plane


async def test_git_makes_of_the_patch_what_the_machine_made(project: Plane, tmp_path: Path):
    repository = make_repository(tmp_path / "repo", FILES)
    run_git(repository, "add", "-f", "old.o")
    run_git(repository, "commit", "-q", "-m", "with an object")
    workspace = tmp_path / "machine" / "workspace"
    shutil.copytree(repository, workspace, symlinks=True)
    change(workspace)
    task = await worked(project, repository, workspace)
    data, (page,) = await patch_of(project, task)
    assert sorted(page.ignored) == ["new.o", "out/x"]
    assert "old.o" in [file.path for file in page.files]
    (tmp_path / "patch").write_bytes(data)
    run_git(repository, "apply", "--check", str(tmp_path / "patch"))
    run_git(repository, "apply", str(tmp_path / "patch"))
    expected = content(workspace)
    del expected["new.o"], expected["out/x"]
    assert content(repository) == expected


async def test_a_directory_that_is_no_repository_has_patches_too(project: Plane, tmp_path: Path):
    directory = tmp_path / "plain"
    write_files(directory, FILES)
    workspace = tmp_path / "machine" / "workspace"
    shutil.copytree(directory, workspace)
    change(workspace)
    task = await worked(project, directory, workspace)
    # Nothing says that old.o is tracked.
    data, (page,) = await patch_of(project, task)
    assert sorted(page.ignored) == ["new.o", "old.o", "out/x"]
    data, (page,) = await patch_of(project, task, include_ignored=True)
    assert list(page.ignored) == []
    (tmp_path / "patch").write_bytes(data)
    run_git(directory, "apply", str(tmp_path / "patch"))
    assert content(directory) == content(workspace)


async def test_a_directory_below_the_top_of_its_repository_is_named_in_the_patch(
    project: Plane, tmp_path: Path
):
    top = make_repository(tmp_path / "repo", {"sub/a.txt": "one\n", "b.txt": "one\n"})
    workspace = tmp_path / "machine" / "workspace"
    write_files(workspace, {"a.txt": "two\n"})
    task = await worked(project, top / "sub", workspace)
    data, _ = await patch_of(project, task)
    (tmp_path / "patch").write_bytes(data)
    for place in (top, top / "sub"):
        run_git(place, "apply", str(tmp_path / "patch"))
        assert (top / "sub/a.txt").read_text() == "two\n"
        run_git(top, "checkout", "-q", ".")


async def test_a_long_patch_comes_in_pages(
    project: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(patching, "_PAGE_BYTES", 100)
    repository = make_repository(tmp_path / "repo", FILES)
    workspace = tmp_path / "machine" / "workspace"
    shutil.copytree(repository, workspace, symlinks=True)
    change(workspace)
    task = await worked(project, repository, workspace)
    paged, pages = await patch_of(project, task)
    assert {len(page.patch) for page in pages[:-1]} == {100}
    assert [bool(page.files) for page in pages] == [True] + [False] * (len(pages) - 1)
    monkeypatch.undo()
    assert (await patch_of(project, task))[0] == paged


async def test_nothing_and_what_nobody_may_write_is_refused(project: Plane, tmp_path: Path):
    repository = make_repository(tmp_path / "repo", FILES)
    workspace = tmp_path / "machine" / "workspace"
    shutil.copytree(repository, workspace, symlinks=True)
    write_files(workspace, {"new.o": "ignored\n"})
    task = await worked(project, repository, workspace)
    with pytest.raises(NothingToApplyError, match="--include-ignored"):
        await patch_of(project, task)
    write_files(workspace, {"deep/.GIT/config": "x\n"})
    base = (await project.load(repository)).checkpoint
    evil = await project.task()
    order = await project.claimed()
    result = await project.result_of(base, workspace)
    await project.finish(order, result_checkpoint_id=result.id)
    with pytest.raises(UnsafePathsError, match="deep/"):
        await patch_of(project, evil.id)
    fresh = await project.task()
    with pytest.raises(NothingToApplyError, match="no result yet"):
        await patch_of(project, fresh.id)
    with pytest.raises(InvalidArgumentError):
        await project.services.work.get_task_patch(
            work_pb2.GetTaskPatchRequest(task_id=task, page_token=encode_token("-1"))
        )
