"""Applying results to real repositories, with everything that a machine may have made."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from applying import TASK, Start, blob_of, content_of, tree_of
from plane import commit_all, make_repository, run_git, write_files

from autovibe.domains.work.errors import (
    BaseCommitMissingError,
)

_FILES = {
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


async def test_every_kind_of_change_arrives_as_one_commit(start: Start, tmp_path: Path):
    repository = make_repository(tmp_path / "repo", _FILES)
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
    tree = tree_of(repository, applied.commit)
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
    assert blob_of(repository, applied.commit, "edited.txt") == b"two\n"
    assert blob_of(repository, applied.commit, "link") == b"../\xff/elsewhere"
    assert blob_of(repository, applied.commit, "was-dir") == b"now a file\n"
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
    content = content_of(repository, first)
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
    assert tree_of(repository, first)["staged.sh"] == "100755"
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
    assert not set(left_out) & set(tree_of(repository, applied.commit))

    whole = await work.apply(include_ignored=True, branch="whole")
    assert set(left_out) - set(tree_of(repository, whole.commit)) == {
        "node_modules/dep/.git/config"
    }
    assert whole.ignored == ["node_modules/dep/.git/config"]


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
    assert content_of(main, "autovibe/6f2b7c1e") == {"a.txt": b"two\n", "b.txt": b"mine\n"}


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
    assert blob_of(repository, applied.commit, "b.txt") == b"two\n"
    assert blob_of(repository, applied.parent_commit, "a.txt") == b"own\n"
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
    content = content_of(repository, applied.commit)
    assert {path: content[path] for path in new} == new
    tree = tree_of(repository, applied.commit)
    assert (tree["run"], tree["link"]) == ("100755", "120000")
    raw = run_git(repository, "cat-file", "commit", applied.commit)
    assert "\nencoding " not in raw
    assert "Grüße 😀" in raw


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
    assert content_of(repository, applied.commit) == {
        "b.txt": b"one\n",
        "d/a.txt": b"two\n",
        "d/new.txt": b"two\n",
    }
