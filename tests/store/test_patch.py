from __future__ import annotations

import os
import pkgutil
import random
import subprocess
from pathlib import Path

import pytest

from autovibe import store as store_package
from autovibe.store import Store, patch
from autovibe.store.patching import hunks


def git(directory: Path, *arguments: str, stdin: bytes | None = None) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
    command = ["git", "-c", "core.autocrlf=false", *arguments]
    done = subprocess.run(
        command, cwd=directory, input=stdin, capture_output=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape")


def as_git_sees(directory: Path) -> list[str]:
    """Names, modes and blobs of everything but empty directories."""
    git(directory, "init", "-q")
    git(directory, "add", "-A", "-f")
    return git(directory, "ls-files", "-s", "-z").split("\0")


def apply_and_compare(store: Store, old: str, new: str, tmp_path: Path, text: str) -> None:
    """Apply a patch with git to the old state and compare with the new one."""
    work, wanted = tmp_path / "work", tmp_path / "wanted"
    store.restore(old, work, path="w")
    store.restore(new, wanted, path="w")
    git(work, "init", "-q")
    git(work, "apply", "--whitespace=nowarn", "-", stdin=text.encode("utf-8", "surrogateescape"))
    assert as_git_sees(work) == as_git_sees(wanted)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "src").mkdir(parents=True)
    lines = [f"line {number}\n" for number in range(60)]
    (top / "src" / "long.py").write_text("".join(lines))
    (top / "no-newline").write_bytes(b"one\ntwo")
    (top / "gains-newline").write_bytes(b"one\ntwo")
    (top / "crlf").write_bytes(b"a\r\nb\r\nc\r\n")
    (top / "latin1").write_bytes(b"caf\xe9\nold\n")
    (top / "deleted").write_bytes(b"bye\n")
    (top / "deleted-empty").write_bytes(b"")
    (top / "becomes-link").write_bytes(b"text\n")
    (top / "becomes-file").symlink_to("deleted")
    (top / "link").symlink_to("src/long.py")
    (top / "run.sh").write_bytes(b"#!/bin/sh\n")
    (top / "with space").write_bytes(b"x\n")
    (top / 'quote"\t\\').write_bytes(b"x\n")
    (top / os.fsdecode(b"raw-\xff")).write_bytes(b"x\n")
    (top / "ünïcode").write_bytes(b"x\n")
    return top


def edit(top: Path) -> None:
    lines = (top / "src" / "long.py").read_text().splitlines(keepends=True)
    lines[3] = "changed\n"
    lines[30:33] = ["replaced\n"]
    lines.insert(50, "inserted\n")
    (top / "src" / "long.py").write_text("".join(lines))
    (top / "no-newline").write_bytes(b"one\nthree")
    (top / "gains-newline").write_bytes(b"one\ntwo\n")
    (top / "crlf").write_bytes(b"a\r\nB\r\nc\n")
    (top / "latin1").write_bytes(b"caf\xe9\nn\xe9w\n")
    (top / "deleted").unlink()
    (top / "deleted-empty").unlink()
    (top / "becomes-link").unlink()
    (top / "becomes-link").symlink_to("run.sh")
    (top / "becomes-file").unlink()
    (top / "becomes-file").write_bytes(b"now a file\n")
    (top / "link").unlink()
    (top / "link").symlink_to("elsewhere")
    (top / "run.sh").chmod(0o755)
    (top / "new" / "deep").mkdir(parents=True)
    (top / "new" / "deep" / "file").write_bytes(b"new\n")
    (top / "new-empty").write_bytes(b"")
    (top / "new-executable").write_bytes(b"#!/bin/sh")
    (top / "new-executable").chmod(0o755)
    for name in ("with space", 'quote"\t\\', "ünïcode", os.fsdecode(b"raw-\xff")):
        (top / name).write_bytes(b"y\n")


def test_patch_of_every_kind_of_change_is_applied_by_git(store: Store, tree: Path, tmp_path: Path):
    old = store.snapshot({"w": tree}).root
    edit(tree)
    new = store.snapshot({"w": tree}).root
    text = patch(store, old, new, path="w")
    apply_and_compare(store, old, new, tmp_path, text)
    assert "--- a/src/long.py\n+++ b/src/long.py\n@@ -1,7 +1,7 @@\n" in text
    assert "\\ No newline at end of file\n" in text
    assert "new file mode 120000\n" in text
    assert "old mode 100644\nnew mode 100755\n" in text


def test_reverse_patch_is_applied_by_git(store: Store, tree: Path, tmp_path: Path):
    old = store.snapshot({"w": tree}).root
    edit(tree)
    new = store.snapshot({"w": tree}).root
    apply_and_compare(store, new, old, tmp_path, patch(store, new, old, path="w"))


def test_patch_against_nothing_creates_the_tree(store: Store, tree: Path, tmp_path: Path):
    root = store.snapshot({"w": tree}).root
    (tmp_path / "nothing").mkdir()
    empty = store.snapshot({"w": tmp_path / "nothing"}).root
    assert patch(store, None, root, path="w") == patch(store, empty, root, path="w")
    apply_and_compare(store, empty, root, tmp_path, patch(store, None, root, path="w"))


def test_binary_file_is_a_note_or_a_patch_that_git_applies(
    store: Store, tree: Path, tmp_path: Path
):
    (tree / "image").write_bytes(b"\0\1\2" * 500)
    (tree / "gone.bin").write_bytes(b"\0gone")
    old = store.snapshot({"w": tree}).root
    (tree / "image").write_bytes(random.Random(1).randbytes(3000) + b"\0")
    (tree / "gone.bin").unlink()
    (tree / "new.bin").write_bytes(b"\0")
    new = store.snapshot({"w": tree}).root
    note = patch(store, old, new, path="w")
    assert "Binary files a/image and b/image differ\n" in note
    assert "Binary files /dev/null and b/new.bin differ\n" in note
    apply_and_compare(store, old, new, tmp_path, patch(store, old, new, path="w", binary=True))


def test_only_chosen_paths_are_in_the_patch(store: Store, tree: Path):
    old = store.snapshot({"w": tree}).root
    edit(tree)
    new = store.snapshot({"w": tree}).root
    text = patch(store, old, new, path="w", paths=["crlf"])
    assert text.count("diff --git") == 1
    assert text == patch(store, old, new, path="w/crlf")
    (tree / "new" / "new").write_bytes(b"same name as its directory\n")
    newer = store.snapshot({"w": tree}).root
    assert "+same name" in patch(store, new, newer, path="w/new")


def test_empty_directories_special_files_and_fine_modes_are_not_in_the_patch(
    store: Store, tree: Path
):
    old = store.snapshot({"w": tree}).root
    (tree / "hollow").mkdir()
    os.mkfifo(tree / "fifo")
    (tree / "crlf").chmod(0o600)
    new = store.snapshot({"w": tree}).root
    assert len(store.diff(old, new)) == 3
    assert patch(store, old, new) == ""


def test_file_beyond_comparison_is_replaced_as_one_block(store: Store, tree: Path, tmp_path: Path):
    rng = random.Random(2)
    (tree / "huge").write_text("".join(f"{rng.random()}\n" for _ in range(3000)))
    old = store.snapshot({"w": tree}).root
    (tree / "huge").write_text("".join(f"{rng.random()}\n" for _ in range(3000)))
    new = store.snapshot({"w": tree}).root
    text = patch(store, old, new, path="w")
    assert "@@ -1,3000 +1,3000 @@" in text
    apply_and_compare(store, old, new, tmp_path, text)


@pytest.mark.parametrize("seed", range(5))
def test_random_edits_are_applied_by_git(store: Store, tmp_path: Path, seed: int):
    rng = random.Random(seed)
    tree = tmp_path / "tree"
    tree.mkdir()
    for index in range(30):
        lines = [rng.choice("abcd") for _ in range(rng.randrange(40))]
        (tree / f"f{index}").write_text("\n".join(lines) + rng.choice(["", "\n"]))
    old = store.snapshot({"w": tree}).root
    for path in tree.iterdir():
        lines = path.read_text().splitlines(keepends=True)
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(lines) + 1)
            lines[at : at + rng.randrange(3)] = [rng.choice("abcdX") + "\n"] * rng.randrange(3)
        path.write_text("".join(lines))
    new = store.snapshot({"w": tree}).root
    apply_and_compare(store, old, new, tmp_path, patch(store, old, new, path="w"))


def test_hunks_of_equal_content_are_none():
    lines = [f"{number}\n" for number in range(20)]
    assert list(hunks(lines, lines)) == []


def test_no_name_of_the_package_is_that_of_a_module_too():
    # Whoever imports such a module would find it in place of what the package means.
    modules = {module.name for module in pkgutil.iter_modules(store_package.__path__)}
    assert modules.isdisjoint(store_package.__all__)
