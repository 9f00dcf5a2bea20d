from __future__ import annotations

from pathlib import Path

import pytest
from applying import Start, blob_of
from plane import make_repository, run_git, write_files

from autovibe.domains.work.errors import BranchExistsError


@pytest.mark.parametrize("dirty", [False, True], ids=["clean", "dirty"])
async def test_a_second_apply_of_the_same_result_finds_its_own_branch(
    start: Start, tmp_path: Path, *, dirty: bool
):
    repository = make_repository(tmp_path / "repo")
    if dirty:
        write_files(repository, {"mine.txt": "mine\n"})
    work = await start(repository)
    write_files(work.workspace, {"a.txt": "two\n"})
    first = await work.apply()
    run_git(repository, "config", "user.name", "Somebody Else")
    again = await work.apply()
    assert again == first
    assert run_git(repository, "rev-parse", first.branch) == first.commit


async def test_a_branch_that_went_on_or_holds_another_result_is_left_alone(
    start: Start, tmp_path: Path
):
    repository = make_repository(tmp_path / "repo")
    work = await start(repository)
    write_files(work.workspace, {"a.txt": "two\n"})
    first = await work.apply()

    async def is_refused() -> None:
        before = run_git(repository, "rev-parse", first.branch)
        with pytest.raises(BranchExistsError):
            await work.apply()
        assert run_git(repository, "rev-parse", first.branch) == before

    write_files(work.workspace, {"a.txt": "three\n"})
    await is_refused()
    write_files(work.workspace, {"a.txt": "two\n"})
    tree = f"{first.commit}^{{tree}}"
    # A commit by hand on top; one that claims to be the task's; one of another task.
    for message in ("by hand", "more\n\nAutovibe-Task: {}", "x\n\nAutovibe-Task: other"):
        said = message.format(work.plan.task_id)
        commit = run_git(repository, "commit-tree", tree, "-p", first.commit, "-m", said)
        run_git(repository, "update-ref", f"refs/heads/{first.branch}", commit)
        await is_refused()
    run_git(repository, "update-ref", f"refs/heads/{first.branch}", first.commit)
    assert (await work.apply()).commit == first.commit
    assert blob_of(repository, first.commit, "a.txt") == b"two\n"
