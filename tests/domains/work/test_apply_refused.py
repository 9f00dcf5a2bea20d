"""Results that are not applied, and what is said then."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from applying import Start, tree_of
from plane import commit_all, make_repository, run_git, write_files

from autovibe.domains.checkpoints.git import GitFailedError
from autovibe.domains.work.apply import _is_unsafe, apply_result
from autovibe.domains.work.errors import (
    BaseCommitMissingError,
    BranchExistsError,
    NotARepositoryError,
    NothingToApplyError,
    UnsafePathsError,
)
from autovibe.kernel.errors import AutovibeError, InvalidArgumentError


async def test_a_result_without_anything_for_git_is_refused(start: Start, tmp_path: Path):
    repository = make_repository(tmp_path / "repo", {".gitignore": "*.o\n", "a.txt": "one\n"})
    work = await start(repository)
    with pytest.raises(NothingToApplyError):
        await work.apply()
    (work.workspace / "empty").mkdir()
    (work.workspace / "a.txt").chmod(0o600)  # git knows only whether a file can be run
    write_files(work.workspace, {".git/config": "[core]\n"})
    with pytest.raises(NothingToApplyError):
        await work.apply()
    write_files(work.workspace, {"x.o": "i"})
    with pytest.raises(NothingToApplyError) as refused:
        await work.apply()
    assert "--include-ignored" in refused.value.message
    assert run_git(repository, "branch", "--list").strip("* ") == "main"


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/post-checkout/x",
        "sub/.git/config",
        ".GIT/config",
        ".Git",
        ".g\u200cit/config",
        "\ufeff.git/config",
        ".gi\u206at",
        "git~1/config",
        "GIT~2",
        ".git /config",
        ".git./config",
        ".git::$INDEX_ALLOCATION/config",
        ".git:stream",
        "a\\..\\.git\\config",
        "..",
        "../x",
        "a/../../x",
        "./x",
        "/etc/passwd",
        "a//b",
        "",
    ],
)
def test_a_path_that_some_system_takes_for_the_repository_or_outside_is_unsafe(path: str):
    assert _is_unsafe(path)


@pytest.mark.parametrize(
    "path",
    [".gitignore", ".gitattributes", ".github/x", "git", "a.git/config", "..x", "x..", "a:b"],
)
def test_ordinary_paths_are_not_unsafe(path: str):
    assert not _is_unsafe(path)


@pytest.mark.parametrize(
    "path", ["sub/.git/config", ".GIT/config", ".g\u200cit/config", "git~1", "sub/.git. /x", "a\\b"]
)
async def test_a_result_with_a_hostile_path_is_refused_whole_with_the_list(
    start: Start, tmp_path: Path, path: str
):
    repository = make_repository(tmp_path / "repo", {"a.txt": "one\n"})
    work = await start(repository)
    write_files(work.workspace, {"a.txt": "two\n", path: "x", "esc\x1b[2J\\": "x"})
    with pytest.raises(UnsafePathsError) as refused:
        await work.apply()
    assert "\x1b" not in refused.value.message
    assert "\\x1b[2J" in refused.value.message
    assert refused.value.params["paths"].count("\n") == 1
    assert run_git(repository, "branch", "--list").strip("* ") == "main"


async def test_changes_inside_a_submodule_are_refused_and_others_leave_it_alone(
    start: Start, tmp_path: Path
):
    library = make_repository(tmp_path / "library", {"lib.c": "x\n"})
    repository = make_repository(tmp_path / "repo", {"a.txt": "one\n"})
    run_git(
        repository,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "-q",
        "add",
        str(library),
        "lib",
    )
    commit_all(repository)
    work = await start(repository)
    write_files(work.workspace, {"a.txt": "two\n"})
    applied = await work.apply()
    assert tree_of(repository, applied.commit)["lib"] == "160000"
    write_files(work.workspace, {"lib/lib.c": "changed\n"})
    with pytest.raises(UnsafePathsError) as refused:
        await work.apply(branch="second")
    assert "lib/lib.c" in refused.value.message


async def test_a_branch_that_exists_or_a_name_that_is_none_is_refused(start: Start, tmp_path: Path):
    repository = make_repository(tmp_path / "repo")
    run_git(repository, "branch", "taken")
    work = await start(repository)
    write_files(work.workspace, {"a.txt": "two\n"})
    for branch in ("taken", "main"):
        with pytest.raises(BranchExistsError) as refused:
            await work.apply(branch=branch)
        assert "--branch" in refused.value.message
    for branch in (
        "-d",
        "a..b",
        "a b",
        "a~1",
        "@{-1}",
        "HEAD",
        ".x",
        "x.lock",
        "a\nb",
        "a/",
        "\x1b",
    ):
        with pytest.raises(InvalidArgumentError):
            await work.apply(branch=branch)
    with pytest.raises(GitFailedError):
        await work.apply(branch="taken/below")
    home = work.workspace.parent / "home"
    result = work.store.snapshot({"workspace": work.workspace, "home": home}).root
    plan = replace(work.plan, result_root=result, branch="race")
    answers = await asyncio.gather(
        *(apply_result(work.store, plan) for _ in range(3)), return_exceptions=True
    )
    # Whoever comes later is refused, or finds that the branch is what it would have made.
    made = [answer for answer in answers if not isinstance(answer, AutovibeError)]
    assert {answer.commit for answer in made} == {run_git(repository, "rev-parse", "race")}


async def test_without_its_repository_or_its_commit_a_result_is_refused_with_the_way_out(
    start: Start, tmp_path: Path
):
    repository = make_repository(tmp_path / "repo")
    work = await start(repository)
    write_files(work.workspace, {"a.txt": "two\n"})
    for commit in ("1" * 40, "HEAD", "main", "--help", "1" * 64):
        with pytest.raises(BaseCommitMissingError) as refused:
            await work.apply(head_commit=commit)
        assert "checkpoint restore" in refused.value.message
    tree = run_git(repository, "rev-parse", "HEAD^{tree}")
    with pytest.raises(BaseCommitMissingError):
        await work.apply(head_commit=tree)
    with pytest.raises(BaseCommitMissingError):
        await work.apply(head_commit="")
    with pytest.raises(GitFailedError) as refused:
        await work.apply(dirty_cut=True)
    assert "checkpoint restore" in refused.value.message
    shutil.rmtree(repository / ".git")
    with pytest.raises(NotARepositoryError):
        await work.apply()
    with pytest.raises(NotARepositoryError):
        await work.apply(directory=repository / "gone")


async def test_a_repository_without_a_commit_cannot_be_applied_to(start: Start, tmp_path: Path):
    unborn = tmp_path / "unborn"
    unborn.mkdir()
    run_git(unborn, "init", "-q")
    write_files(unborn, {"a": "1"})
    work = await start(unborn)
    write_files(work.workspace, {"a": "2"})
    with pytest.raises(BaseCommitMissingError):
        await work.apply()


async def test_without_a_configured_identity_the_answer_says_what_to_set(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    repository = make_repository(tmp_path / "repo")
    work = await start(repository)
    write_files(work.workspace, {"a.txt": "two\n"})
    run_git(repository, "config", "--unset", "user.name")
    run_git(repository, "config", "--unset", "user.email")
    with pytest.raises(GitFailedError) as refused:
        await work.apply()
    assert "user.name and user.email" in refused.value.message
    assert run_git(repository, "branch", "--list").strip("* ") == "main"

    run_git(tmp_path, "config", "--global", "user.name", "Global Person")
    run_git(tmp_path, "config", "--global", "user.email", "global@example.invalid")
    first = await work.apply()
    assert run_git(repository, "log", "-1", "--format=%an/%cn", first.commit) == (
        "Global Person/Global Person"
    )
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Author Person")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "not-this-one"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "not-this-one"))
    second = await work.apply(branch="second")
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert run_git(repository, "log", "-1", "--format=%an/%cn", second.commit) == (
        "Author Person/Global Person"
    )
