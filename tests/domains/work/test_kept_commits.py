"""Keeping the commits of an agent: real repositories, read in a real sandbox."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from applying import TASK, Start, content_of, tree_of
from plane import commit_all, make_repository, run_git, write_files

from autovibe.domains.machines.errors import NoIsolationError
from autovibe.domains.work.errors import (
    HistoryUnreadableError,
    HistoryUnrelatedError,
    NothingToApplyError,
    UnsafePathsError,
)
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.kernel.clock import SystemClock
from autovibe.runtime.fleet import LocalFleet


@pytest.fixture
def fleet(tmp_path: Path) -> LocalFleet:
    return LocalFleet({}, {"sandbox": SandboxDriver(tmp_path / "scratch")})


def agent_commit(box: Path, message: str, **variables: str) -> str:
    """Commit all of a workspace as the agent does."""
    agent = {
        "GIT_AUTHOR_NAME": "The Agent",
        "GIT_AUTHOR_EMAIL": "agent@example.invalid",
        "GIT_AUTHOR_DATE": "2026-03-04T05:06:07+0530",
        "GIT_COMMITTER_NAME": "The Agent",
        "GIT_COMMITTER_EMAIL": "agent@example.invalid",
    }
    run(box, "add", "-A")
    run(box, "commit", "-q", "--allow-empty", "-m", message, **{**agent, **variables})
    return run(box, "rev-parse", "HEAD")


def run(box: Path, *arguments: str, stdin: bytes = b"", **variables: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=box,
        check=True,
        capture_output=True,
        input=stdin,
        env={**os.environ, **variables},
    )
    return os.fsdecode(done.stdout).strip()


def log(repository: Path, form: str, commit: str = "autovibe/6f2b7c1e") -> list[str]:
    return run_git(repository, "log", f"--format={form}", "--reverse", f"main..{commit}").split(
        "\n"
    )


async def test_the_commits_arrive_with_their_authors_and_what_was_not_committed_last(
    start: Start, fleet: LocalFleet, tmp_path: Path
):
    files = {".gitignore": "*.o\n", "a.txt": "one\n", "gone": "x\n", "was/file": "x\n"}
    repository = make_repository(tmp_path / "repo", files)
    head = run_git(repository, "rev-parse", "HEAD")
    work = await start(repository)
    box = work.workspace
    write_files(box, {"a.txt": "two\n", "caf\udce9 \t.txt": "odd\n", 'q"uote': "q\n"})
    agent_commit(box, "First step\n\nWhy.\n\nSigned-off-by: The Agent <a@b>")
    (box / "gone").unlink()
    shutil.rmtree(box / "was")
    write_files(box, {"was": "a file now\n", "run.sh": "#!/bin/sh\n", "later": "undone\n"})
    (box / "run.sh").chmod(0o755)
    (box / "link").symlink_to("../\udcff")
    agent_commit(box, "Second step")
    (box / "later").unlink()
    write_files(box, {"loose.txt": "not committed\n", "x.o": "ignored\n"})

    plain = await work.apply(branch="plain")
    kept = await work.apply(fleet, keep_commits=True)
    assert kept.kept_commits == 2
    assert tree_of(repository, kept.commit) == tree_of(repository, plain.commit)
    assert run_git(repository, "rev-parse", f"{kept.commit}^{{tree}}") == run_git(
        repository, "rev-parse", f"{plain.commit}^{{tree}}"
    )
    assert run_git(repository, "rev-parse", f"{kept.commit}~3") == head
    assert log(repository, "%s|%an <%ae>|%ai|%cn") == [
        "First step|The Agent <agent@example.invalid>|2026-03-04 05:06:07 +0530|Test Person",
        "Second step|The Agent <agent@example.invalid>|2026-03-04 05:06:07 +0530|Test Person",
        log(repository, "%s|%an <%ae>|%ai|%cn")[-1],
    ]
    assert log(repository, "%s|%an")[-1] == "Fix the greeting|Test Person"
    trailer = "%(trailers:key=Autovibe-Task,valueonly,separator=%x2C)"
    assert log(repository, trailer) == [TASK] * 3
    assert log(repository, "%(trailers:key=Signed-off-by,valueonly,separator=%x2C)")[0]
    second = content_of(repository, f"{kept.commit}~1")
    assert second["was"] == b"a file now\n"
    assert second["later"] == b"undone\n"
    assert second["link"] == b"../\xff"
    assert second["caf\udce9 \t.txt"] == b"odd\n"
    assert tree_of(repository, f"{kept.commit}~1")["run.sh"] == "100755"
    assert run_git(repository, "fsck", "--strict", "--no-dangling") == ""


async def test_nothing_is_added_when_all_was_committed(
    start: Start, fleet: LocalFleet, tmp_path: Path
):
    repository = make_repository(tmp_path / "repo", {"a": "one\n"})
    work = await start(repository)
    write_files(work.workspace, {"a": "two\n"})
    agent_commit(work.workspace, "All of it")
    kept = await work.apply(fleet, keep_commits=True)
    assert log(repository, "%s") == ["All of it"]
    assert kept.commit == run_git(repository, "rev-parse", "autovibe/6f2b7c1e")


@pytest.mark.parametrize("removed", [True, False])
async def test_without_commits_of_the_agent_it_is_one_commit(
    start: Start, fleet: LocalFleet, tmp_path: Path, *, removed: bool
):
    repository = make_repository(tmp_path / "repo", {"a": "one\n"})
    work = await start(repository)
    with pytest.raises(NothingToApplyError):
        await work.apply(fleet, keep_commits=True)
    write_files(work.workspace, {"a": "two\n"})
    if removed:
        shutil.rmtree(work.workspace / ".git")
    kept = await work.apply(fleet, keep_commits=True)
    assert kept.kept_commits == 0
    assert log(repository, "%s") == ["Fix the greeting"]


async def test_what_was_not_committed_at_import_stays_the_first_commit(
    start: Start, fleet: LocalFleet, tmp_path: Path
):
    repository = make_repository(tmp_path / "repo", {"a": "one\n", "b": "one\n"})
    write_files(repository, {"a": "mine\n", "c": "mine\n"})
    work = await start(repository)
    write_files(work.workspace, {"b": "theirs\n"})
    agent_commit(work.workspace, "Mine and theirs")
    plain = await work.apply(branch="plain")
    kept = await work.apply(fleet, keep_commits=True)
    assert log(repository, "%s")[1:] == ["Mine and theirs"]
    assert content_of(repository, kept.commit) == content_of(repository, plain.commit)
    changed = run_git(repository, "diff", "--name-only", f"{kept.commit}~1", kept.commit)
    assert changed == "b"


async def test_a_merge_arrives_as_one_commit_of_all_that_it_brought(
    start: Start, fleet: LocalFleet, tmp_path: Path
):
    repository = make_repository(tmp_path / "repo", {"a": "one\n"})
    work = await start(repository)
    box = work.workspace
    run(box, "checkout", "-q", "-b", "side")
    write_files(box, {"side1": "x\n"})
    agent_commit(box, "On the side")
    write_files(box, {"side2": "x\n"})
    agent_commit(box, "On the side again")
    run(box, "checkout", "-q", "main")
    write_files(box, {"a": "two\n"})
    agent_commit(box, "On main")
    run(box, "merge", "-q", "--no-ff", "-m", "Take the side in", "side")
    run(box, "checkout", "-q", "--detach")
    kept = await work.apply(fleet, keep_commits=True)
    assert log(repository, "%s") == ["On main", "Take the side in"]
    assert set(tree_of(repository, kept.commit)) == {"a", "side1", "side2"}


async def test_ignored_files_that_the_agent_committed_are_in_no_commit(
    start: Start, fleet: LocalFleet, tmp_path: Path
):
    repository = make_repository(tmp_path / "repo", {".gitignore": "*.o\n", "a": "one\n"})
    work = await start(repository)
    write_files(work.workspace, {"a": "two\n", "secret.o": "x\n"})
    run(work.workspace, "add", "-f", "secret.o")
    agent_commit(work.workspace, "With an ignored file")
    kept = await work.apply(fleet, keep_commits=True)
    assert "secret.o" not in tree_of(repository, kept.commit)
    assert kept.ignored == ["secret.o"]
    whole = await work.apply(fleet, keep_commits=True, include_ignored=True, branch="whole")
    assert "secret.o" in tree_of(repository, whole.commit)


async def _amend(box: Path) -> None:
    run(box, "commit", "-q", "--amend", "-m", "not the same any more")


async def _orphan(box: Path) -> None:
    run(box, "checkout", "-q", "--orphan", "fresh")
    agent_commit(box, "From nothing")


async def _back(box: Path) -> None:
    run(box, "reset", "-q", "--hard", "HEAD~1")


async def _anew(box: Path) -> None:
    shutil.rmtree(box / ".git")
    run(box, "init", "-q")
    agent_commit(box, "A repository of my own")


@pytest.mark.parametrize("leave", [_amend, _orphan, _back, _anew])
async def test_a_history_that_does_not_go_on_from_the_import_is_refused(
    start: Start, fleet: LocalFleet, tmp_path: Path, leave: object
):
    repository = make_repository(tmp_path / "repo", {"a": "one\n"})
    write_files(repository, {"a": "two\n"})
    commit_all(repository)
    work = await start(repository)
    box = work.workspace
    run(box, "config", "user.name", "x")
    run(box, "config", "user.email", "x@example.invalid")
    assert callable(leave)
    await leave(box)
    write_files(box, {"a": "three\n"})
    with pytest.raises(HistoryUnrelatedError, match="leave --keep-commits out"):
        await work.apply(fleet, keep_commits=True)
    assert run_git(repository, "branch", "--list").strip("* ") == "main"
    assert (await work.apply()).changes


async def test_nothing_that_the_machines_repository_names_runs_on_the_host(
    start: Start, fleet: LocalFleet, tmp_path: Path
):
    repository = make_repository(tmp_path / "repo", {"a": "one\n"})
    work = await start(repository)
    box = work.workspace
    write_files(box, {"a": "two\n", ".gitattributes": "* filter=evil diff=evil\n"})
    agent_commit(box, "Harmless")
    mark = tmp_path / "ran"
    evil = tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {mark}\n")
    evil.chmod(0o755)
    config = box / ".git" / "config"
    config.write_text(
        config.read_text()
        + f"[core]\n\tfsmonitor = {evil}\n\thooksPath = {tmp_path}\n\tpager = {evil}\n"
        + f"\tsshCommand = {evil}\n\tworktree = {tmp_path}\n\talternateRefsCommand = {evil}\n"
        + f'[diff "evil"]\n\ttextconv = {evil}\n\tcommand = {evil}\n'
        + f'[filter "evil"]\n\tclean = {evil}\n\tsmudge = {evil}\n\trequired = true\n'
        + f'[include]\n\tpath = {tmp_path}/other\n[remote "o"]\n\turl = ext::{evil}\n'
        + "\tpromisor = true\n[extensions]\n\tpartialClone = o\n[alias]\n"
        + f"\tfast-export = !{evil}\n\trev-parse = !{evil}\n"
    )
    write_files(box, {".git/objects/info/alternates": f"{repository}/.git/objects\n"})
    kept = await work.apply(fleet, keep_commits=True)
    assert log(repository, "%s") == ["Harmless"]
    assert content_of(repository, kept.commit)["a"] == b"two\n"
    assert not mark.exists()


async def test_a_configuration_that_git_refuses_is_said(
    start: Start, fleet: LocalFleet, tmp_path: Path
):
    work = await start(make_repository(tmp_path / "repo", {"a": "one\n"}))
    write_files(work.workspace, {"a": "two\n", ".git/config": "[core\n"})
    with pytest.raises(HistoryUnreadableError, match="leave --keep-commits out"):
        await work.apply(fleet, keep_commits=True)


@pytest.mark.parametrize("path", [b".GIT/hooks/x", b"../x", b".git/config", b"git~1/x"])
async def test_a_commit_that_touches_what_nobody_may_write_is_refused(
    start: Start, fleet: LocalFleet, tmp_path: Path, path: bytes
):
    repository = make_repository(tmp_path / "repo", {"a": "one\n"})
    work = await start(repository)
    box = work.workspace
    write_files(box, {"a": "two\n"})
    agent_commit(box, "Honest")
    blob = run(box, "hash-object", "-w", "--stdin", stdin=b"#!/bin/sh\n")
    tree = blob
    for name in reversed(path.split(b"/")):
        kind = b"100644 blob " if tree == blob else b"040000 tree "
        tree = run(box, "mktree", stdin=kind + tree.encode() + b"\t" + name + b"\n")
    author = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x"}
    commit = run(
        box, "commit-tree", tree, "-p", "HEAD", "-m", "bad", **author, GIT_COMMITTER_EMAIL="x"
    )
    run(box, "update-ref", "HEAD", commit)
    with pytest.raises((UnsafePathsError, HistoryUnreadableError)):
        await work.apply(fleet, keep_commits=True)
    assert run_git(repository, "branch", "--list").strip("* ") == "main"


@pytest.mark.parametrize("as_link", [True, False])
async def test_a_git_that_is_no_directory_is_refused(
    start: Start, fleet: LocalFleet, tmp_path: Path, *, as_link: bool
):
    repository = make_repository(tmp_path / "repo", {"a": "one\n"})
    work = await start(repository)
    git_dir = work.workspace / ".git"
    shutil.rmtree(git_dir)
    if as_link:
        git_dir.symlink_to(repository / ".git")
    else:
        git_dir.write_text(f"gitdir: {repository}/.git\n")
    write_files(work.workspace, {"a": "two\n"})
    with pytest.raises(HistoryUnreadableError):
        await work.apply(fleet, keep_commits=True)


async def test_without_a_sandbox_nothing_reads_the_repository(start: Start, tmp_path: Path):
    work = await start(make_repository(tmp_path / "repo", {"a": "one\n"}))
    write_files(work.workspace, {"a": "two\n"})
    agent_commit(work.workspace, "One")
    without = SandboxDriver(tmp_path / "scratch", candidates=[])
    process = ProcessDriver(tmp_path / "scratch", SystemClock())
    for drivers in ({}, {"process": process}, {"sandbox": without}):
        with pytest.raises(NoIsolationError, match="Leave --keep-commits out"):
            await work.apply(LocalFleet({}, drivers), keep_commits=True)
