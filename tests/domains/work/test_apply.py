"""Applying results to real repositories, with everything that a machine or a user may do to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from plane import commit_all, make_repository, run_git, write_files

from autovibe.domains.checkpoints.git import GitFailedError, find_work_tree
from autovibe.domains.work.apply import Applied, ApplyPlan, _is_unsafe, apply_result
from autovibe.domains.work.errors import (
    BaseCommitMissingError,
    BranchExistsError,
    NotARepositoryError,
    NothingToApplyError,
    UnsafePathsError,
)
from autovibe.kernel.errors import AutovibeError, InvalidArgumentError
from autovibe.kernel.text import utf8
from autovibe.store import Store

TASK = "6f2b7c1e-0000-4000-8000-000000000001"


@dataclass
class Work:
    """A directory that was imported, and the workspace of the machine that works on it."""

    store: Store
    directory: Path
    workspace: Path
    plan: ApplyPlan

    async def apply(self, **fields: Any) -> Applied:
        """Take the workspace as the result and apply it; nothing of the user's may change."""
        home = self.workspace.parent / "home"
        snapshot = self.store.snapshot({"workspace": self.workspace, "home": home})
        top = self.directory if self.directory.is_dir() else self.directory.parent
        before = _state(top)
        try:
            return await apply_result(
                self.store, replace(self.plan, result_root=snapshot.root, **fields)
            )
        finally:
            assert _state(top) == before


def _state(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Return every byte of work tree, index, HEAD and settings, without what a commit adds."""
    found: dict[str, tuple[int, bytes]] = {}
    for folder, folders, files in os.walk(directory):
        if folder.endswith(".git"):
            folders[:] = [name for name in folders if name in {"hooks", "info", "worktrees"}]
        for name in [*files, *folders]:
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if path.is_symlink():
                content = os.fsencode(path.readlink())
            else:
                content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(directory))] = (mode, content)
    return found


@pytest.fixture
def start(tmp_path: Path):
    """Give a function that imports a directory and lets a machine begin to work on it."""
    store = Store.open(tmp_path / "store")

    async def begin(directory: Path, exclude: Any = None) -> Work:
        home = tmp_path / "machine" / "home"
        home.mkdir(parents=True)
        base = store.snapshot({"workspace": directory, "home": home}, exclude=exclude)
        tree = await find_work_tree(directory)
        workspace = tmp_path / "machine" / "workspace"
        store.restore(base.root, workspace, path="workspace")
        plan = ApplyPlan(
            task_id=TASK,
            title="Fix the greeting",
            directory=directory,
            head_commit=tree.head_commit if tree else "",
            dirty_paths=[utf8(path) for path in tree.dirty_paths] if tree else [],
            base_root=base.root,
            result_root=base.root,
            branch="autovibe/6f2b7c1e",
            include_ignored=False,
        )
        return Work(store, directory, workspace, plan)

    return begin


Start = Callable[..., Any]


def _tree(repository: Path, commit: str) -> dict[str, str]:
    """Return the mode of every path of a commit."""
    listing = run_git(repository, "ls-tree", "-r", "-z", commit)
    records = (record.partition("\t") for record in listing.split("\0") if record)
    return {path: state.split(" ")[0] for state, _, path in records}


def _blob(repository: Path, commit: str, path: str) -> bytes:
    done = subprocess.run(
        ["git", "cat-file", "blob", f"{commit}:{path}"],
        cwd=repository,
        check=True,
        capture_output=True,
    )
    return done.stdout


def _content(repository: Path, commit: str) -> dict[str, bytes]:
    return {path: _blob(repository, commit, path) for path in _tree(repository, commit)}


async def test_every_kind_of_change_arrives_as_one_commit(start: Start, tmp_path: Path):
    files = {
        "kept.txt": "kept\n",
        "edited.txt": "one\n",
        "deleted.txt": "x\n",
        "run.sh": "#!/bin/sh\n",
        "plain.sh": "#!/bin/sh\n",
        "was-file": "x\n",
        "was-dir/a": "x\n",
        "was-dir/b/c": "x\n",
        "target": "x\n",
        "caf\udce9.txt": "latin\n",
    }
    repository = make_repository(tmp_path / "repo", files)
    (repository / "plain.sh").chmod(0o755)
    (repository / "link").symlink_to("target")
    head = commit_all(repository)
    work = await start(repository)
    box = work.workspace
    write_files(box, {"edited.txt": "two\n", "caf\udce9.txt": "changed\n", "\udcff\udcfe": "new\n"})
    (box / "deleted.txt").unlink()
    (box / "run.sh").chmod(0o755)
    (box / "plain.sh").chmod(0o644)
    (box / "was-file").unlink()
    write_files(box, {"was-file/inner/x": "now a directory\n"})
    shutil.rmtree(box / "was-dir")
    write_files(box, {"was-dir": "now a file\n"})
    (box / "link").unlink()
    (box / "link").symlink_to("../\udcff/elsewhere")
    (box / "target").unlink()
    (box / "target").symlink_to("kept.txt")
    (box / "empty-dir").mkdir()
    odd = {"-option": "a", ":(top)magic": "b", "new\nline": "c", "sp ace\t*?[x]": "d", "ünï": "e"}
    write_files(box, odd)
    write_files(box, {".git/hooks/post-commit": "#!/bin/sh\n", ".git/config": "[core]\n"})

    applied = await work.apply()
    assert applied.commit == run_git(repository, "rev-parse", "refs/heads/autovibe/6f2b7c1e")
    assert applied.parent_commit == head
    assert run_git(repository, "rev-parse", f"{applied.commit}^@") == head
    tree = _tree(repository, applied.commit)
    assert set(tree) == {
        "kept.txt",
        "edited.txt",
        "run.sh",
        "plain.sh",
        "was-file/inner/x",
        "was-dir",
        "target",
        "link",
        "caf\udce9.txt",
        "\udcff\udcfe",
        *odd,
    }
    assert (tree["run.sh"], tree["plain.sh"], tree["link"], tree["target"]) == (
        "100755",
        "100644",
        "120000",
        "120000",
    )
    assert _blob(repository, applied.commit, "edited.txt") == b"two\n"
    assert _blob(repository, applied.commit, "link") == b"../\xff/elsewhere"
    assert _blob(repository, applied.commit, "was-dir") == b"now a file\n"
    told = run_git(
        repository,
        "log",
        "-1",
        "--format=%an <%ae>|%cn|%s|%(trailers:key=Autovibe-Task,valueonly,separator=%x2C)",
        applied.commit,
    )
    assert told == f"Test Person <person@example.invalid>|Test Person|Fix the greeting|{TASK}"
    assert run_git(repository, "fsck", "--strict", "--no-dangling") == ""
    assert run_git(repository, "status", "--porcelain") == ""


async def test_what_was_not_committed_at_import_is_a_first_commit_of_its_own(
    start: Start, tmp_path: Path
):
    repository = make_repository(
        tmp_path / "repo",
        {
            ".gitignore": "*.log\n",
            "a.txt": "one\n",
            "b.txt": "one\n",
            "gone.txt": "x\n",
            "caf\udce9": "x\n",
            "was": "file\n",
            "same": "x\n",
        },
    )
    head = run_git(repository, "rev-parse", "HEAD")
    write_files(repository, {"a.txt": "mine\n", "new/mine.txt": "mine\n", "my.log": "ignored\n"})
    write_files(repository, {"staged.sh": "#!/bin/sh\n", "\udcfe.txt": "mine\n"})
    (repository / "staged.sh").chmod(0o755)
    run_git(repository, "add", "staged.sh")
    (repository / "gone.txt").unlink()
    (repository / "caf\udce9").unlink()
    (repository / "was").unlink()
    write_files(repository, {"was/now": "directory\n"})
    (repository / "same").touch()
    make_repository(repository / "nested", {"n": "of another repository\n"})

    work = await start(repository)
    write_files(work.workspace, {"b.txt": "theirs\n", "new/mine.txt": "both\n"})
    # The user goes on working meanwhile.
    write_files(repository, {"a.txt": "later\n", "later.txt": "later\n"})
    applied = await work.apply()

    first = applied.parent_commit
    assert run_git(repository, "rev-parse", f"{first}^@") == head
    content = _content(repository, first)
    assert content == {
        ".gitignore": b"*.log\n",
        "a.txt": b"mine\n",
        "b.txt": b"one\n",
        "new/mine.txt": b"mine\n",
        "staged.sh": b"#!/bin/sh\n",
        "\udcfe.txt": b"mine\n",
        "was/now": b"directory\n",
        "same": b"x\n",
    }
    assert _tree(repository, first)["staged.sh"] == "100755"
    changed = run_git(repository, "diff", "--name-only", first, applied.commit)
    assert changed.split("\n") == ["b.txt", "new/mine.txt"]
    for commit in (first, applied.commit):
        trailer = run_git(repository, "log", "-1", "--format=%(trailers:key=Autovibe-Task)", commit)
        assert TASK in trailer
    assert "Uncommitted work" in run_git(repository, "log", "-1", "--format=%s", first)
    assert [(change.path, change.change) for change in applied.changes] == [
        ("b.txt", "modified"),
        ("new/mine.txt", "modified"),
    ]


async def test_a_subdirectory_is_applied_at_its_place_by_the_rules_of_the_whole_repository(
    start: Start, tmp_path: Path
):
    repository = make_repository(
        tmp_path / "repo",
        {
            ".gitignore": "*.top\n/only-top\nsub/deep/by-parent\n",
            "sub/.gitignore": "*.mid\n",
            "sub/deep/a.txt": "one\n",
            "sub/deep/gone.txt": "x\n",
            "other/a.txt": "one\n",
        },
    )
    directory = repository / "sub" / "deep"
    write_files(directory, {"a.txt": "mine\n", "b.txt": "mine\n"})
    write_files(repository, {"other/a.txt": "not imported\n"})
    work = await start(directory)
    ignored = {"x.top": "i", "x.mid": "i", "by-parent": "i"}
    write_files(work.workspace, {"c.txt": "theirs\n", "only-top": "theirs\n", **ignored})
    (work.workspace / "gone.txt").unlink()
    applied = await work.apply()
    assert run_git(repository, "diff", "--name-only", "HEAD", applied.parent_commit).split(
        "\n"
    ) == [
        "sub/deep/a.txt",
        "sub/deep/b.txt",
    ]
    assert run_git(
        repository, "diff", "--name-status", applied.parent_commit, applied.commit
    ).split("\n") == ["A\tsub/deep/c.txt", "D\tsub/deep/gone.txt", "A\tsub/deep/only-top"]
    assert applied.ignored == sorted(ignored)


async def test_ignored_files_are_left_out_unless_they_are_wanted(start: Start, tmp_path: Path):
    repository = make_repository(
        tmp_path / "repo", {".gitignore": "*.o\nbuild/\n!keep.o\n", "a.txt": "one\n"}
    )
    write_files(repository, {"tracked.o": "one\n"})
    run_git(repository, "add", "-f", "tracked.o")
    run_git(repository, "commit", "-q", "-m", "tracked all the same")
    write_files(repository, {".git/info/exclude": "*.local\n"})
    run_git(tmp_path, "config", "--global", "core.excludesFile", str(tmp_path / "global-ignore"))
    (tmp_path / "global-ignore").write_text("*.swp\n")
    work = await start(repository)
    box = work.workspace
    write_files(
        box,
        {
            "a.txt": "two\n",
            "tracked.o": "two\n",
            "keep.o": "kept\n",
            "x.o": "i",
            "build/deep/x.txt": "i",
            "x.local": "i",
            "x.swp": "i",
            # The machine's own rules count too, as they will in the result.
            ".gitignore": "*.o\n!keep.o\nnode_modules/\n",
            "node_modules/dep/index.js": "i",
            "node_modules/dep/.git/config": "[core]\n",
            "pkg/.gitignore": "gen\n",
            "pkg/gen": "i",
            "pkg/source": "wanted\n",
        },
    )
    applied = await work.apply()
    assert [change.path for change in applied.changes] == [
        ".gitignore",
        "a.txt",
        "keep.o",
        "pkg/.gitignore",
        "pkg/source",
        "tracked.o",
    ]
    left_out = [
        "build/deep/x.txt",
        "node_modules/dep/.git/config",
        "node_modules/dep/index.js",
        "pkg/gen",
        "x.local",
        "x.o",
        "x.swp",
    ]
    assert applied.ignored == left_out
    assert not set(left_out) & set(_tree(repository, applied.commit))

    whole = await work.apply(include_ignored=True, branch="whole")
    assert set(left_out) - set(_tree(repository, whole.commit)) == {"node_modules/dep/.git/config"}
    assert whole.ignored == ["node_modules/dep/.git/config"]


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
    assert _tree(repository, applied.commit)["lib"] == "160000"
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
    assert sorted(isinstance(answer, AutovibeError) for answer in answers) == [False, True, True]


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


async def test_a_linked_work_tree_and_a_repository_of_long_hashes_are_applied_to(
    start: Start, tmp_path: Path
):
    main = tmp_path / "main"
    main.mkdir()
    run_git(main, "init", "-q", "-b", "main", "--object-format=sha256")
    run_git(main, "config", "user.name", "Test Person")
    run_git(main, "config", "user.email", "person@example.invalid")
    write_files(main, {"a.txt": "one\n", "gone": "x"})
    commit_all(main)
    linked = tmp_path / "linked"
    run_git(main, "worktree", "add", "-q", "-b", "side", str(linked))
    write_files(linked, {"b.txt": "mine\n"})
    work = await start(linked)
    write_files(work.workspace, {"a.txt": "two\n"})
    (work.workspace / "gone").unlink()
    (work.workspace / ".git").unlink()
    applied = await work.apply()
    assert len(applied.commit) == 64
    assert _content(main, "autovibe/6f2b7c1e") == {"a.txt": b"two\n", "b.txt": b"mine\n"}


def _trap(repository: Path, marks: Path) -> None:
    """Make hooks, filters, monitors and remotes of a repository leave a mark when they run."""
    marks.mkdir()
    script = marks.parent / "evil.sh"
    script.write_text(f'#!/bin/sh\ntouch "{marks}/$(basename "$0")-$$"\n')
    script.chmod(0o755)
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in (
        "pre-commit",
        "commit-msg",
        "post-commit",
        "post-index-change",
        "reference-transaction",
        "post-checkout",
    ):
        shutil.copy(script, hooks / hook)
    settings = {
        "core.hooksPath": str(hooks),
        "core.fsmonitor": str(script),
        "core.attributesFile": str(marks.parent / "attributes"),
        "core.pager": str(script),
        "core.editor": str(script),
        "core.alternateRefsCommand": str(script),
        "commit.gpgSign": "true",
        "gpg.program": str(script),
        "filter.evil.clean": str(script),
        "filter.evil.smudge": str(script),
        "filter.evil.process": str(script),
        "filter.evil.required": "true",
        "diff.evil.textconv": str(script),
        "diff.evil.command": str(script),
        "merge.evil.driver": str(script),
        "protocol.ext.allow": "always",
        "remote.origin.url": f"ext::{script} %S",
        "remote.origin.promisor": "true",
        "remote.origin.partialCloneFilter": "blob:none",
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
    }
    for name, value in settings.items():
        run_git(repository, "config", name, value)
    (marks.parent / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "attributes").write_text("* filter=evil\n")


def _ran(marks: Path) -> list[str]:
    return sorted(path.name for path in marks.iterdir())


def _run_carelessly(repository: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=False)


async def test_nothing_of_user_or_machine_runs_while_a_result_is_applied(
    start: Start, tmp_path: Path
):
    repository = make_repository(tmp_path / "repo", {"a.txt": "one\n", "b.txt": "one\n"})
    write_files(repository, {"a.txt": "own\n"})
    work = await start(repository)
    marks = tmp_path / "marks"
    _trap(repository, marks)
    write_files(
        work.workspace,
        {
            "b.txt": "two\n",
            ".gitattributes": "* filter=evil diff=evil\n",
            "sub/.gitattributes": "*",
        },
    )
    shutil.copytree(
        repository / ".git" / "hooks", work.workspace / ".git" / "hooks", dirs_exist_ok=True
    )
    applied = await work.apply()
    assert _ran(marks) == []
    assert _blob(repository, applied.commit, "b.txt") == b"two\n"
    assert _blob(repository, applied.parent_commit, "a.txt") == b"own\n"
    # An absent commit of a partial clone is not fetched either.
    with pytest.raises(BaseCommitMissingError):
        await work.apply(head_commit="1" * 40, branch="other")
    assert _ran(marks) == []
    # The traps work: git by itself walks into them.
    _run_carelessly(repository, "cat-file", "-e", "1" * 40)
    assert any(name.startswith("evil") for name in _ran(marks))
    _run_carelessly(repository, "update-ref", "refs/heads/trap", "HEAD")
    assert any(name.startswith("reference-transaction") for name in _ran(marks))


async def test_line_endings_and_encodings_arrive_as_they_are_whatever_the_user_has_set(
    start: Start, tmp_path: Path
):
    repository = make_repository(
        tmp_path / "repo",
        {".gitattributes": "*.enc working-tree-encoding=UTF-16\n*.id ident\n", "lf.txt": "a\nb\n"},
    )
    for name, value in {
        "core.autocrlf": "true",
        "core.eol": "crlf",
        "core.safecrlf": "true",
        "i18n.commitEncoding": "ISO-8859-1",
        "core.ignoreCase": "true",
        "core.fileMode": "false",
        "core.symlinks": "false",
    }.items():
        run_git(repository, "config", name, value)
    work = await start(repository)
    new: Mapping[str, bytes] = {
        "lf.txt": b"a\nb\nc\n",
        "crlf.txt": b"a\r\nb\r\n",
        "mixed.txt": b"a\r\nb\n\r",
        "binary.bin": bytes(range(256)) * 20,
        "x.enc": "ü".encode("utf-16"),
        "x.id": b"$Id$\n",
        "Lf.txt": b"another case\n",
        "run": b"#!/bin/sh\n",
    }
    write_files(work.workspace, new)
    (work.workspace / "run").chmod(0o755)
    (work.workspace / "link").symlink_to("run")
    applied = await work.apply(title="Grüße 😀")
    content = _content(repository, applied.commit)
    assert {path: content[path] for path in new} == new
    tree = _tree(repository, applied.commit)
    assert (tree["run"], tree["link"]) == ("100755", "120000")
    raw = run_git(repository, "cat-file", "commit", applied.commit)
    assert "\nencoding " not in raw
    assert "Grüße 😀" in raw


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


async def test_a_changed_work_tree_is_no_obstacle_to_applying(start: Start, tmp_path: Path):
    repository = make_repository(tmp_path / "repo", {"d/a.txt": "one\n", "b.txt": "one\n"})
    work = await start(repository)
    write_files(work.workspace, {"d/a.txt": "two\n", "d/new.txt": "two\n"})
    # Meanwhile the user removed the directory, put a link there, staged, and moved on.
    shutil.rmtree(repository / "d")
    (repository / "d").symlink_to("/")
    write_files(repository, {"b.txt": "staged\n"})
    run_git(repository, "add", "-A")
    run_git(repository, "commit", "-q", "-m", "moved on")
    write_files(repository, {"b.txt": "unstaged\n", ".gitignore": "*\n"})
    (repository / ".git" / "index.lock").write_text("")  # as an editor may hold it just now
    applied = await work.apply()
    (repository / ".git" / "index.lock").unlink()
    assert applied.parent_commit == run_git(repository, "rev-parse", "HEAD~1")
    assert _content(repository, applied.commit) == {
        "b.txt": b"one\n",
        "d/a.txt": b"two\n",
        "d/new.txt": b"two\n",
    }
