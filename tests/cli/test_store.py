"""`autovibe store`: every command on a real store."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from autovibe.cli.local import store_upkeep
from autovibe.store import Store


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "website"
    (tree / "src").mkdir(parents=True)
    (tree / "src" / "app.py").write_bytes(b"print('one')\n" * 10)
    (tree / "data.bin").write_bytes(random.Random(1).randbytes(50_000))
    (tree / "link").symlink_to("src/app.py")
    return tree


@pytest.fixture
def store(cli, tmp_path: Path):
    """Run a store command on a store outside the home."""
    path = tmp_path / "backups"
    assert cli("store", "init", "--store", str(path)).status == 0

    def run(command: str, *arguments: str | Path):
        return cli("store", command, *map(str, arguments), "--store", str(path))

    run.path = path
    return run


def snapshot(store, tree: Path, *more: str) -> str:
    ended = store("snapshot", tree, "--json", *more)
    assert ended.status == 0, ended.err
    return ended.document()["ref"]


def test_snapshot_is_listed_shown_restored_and_read(store, tree, tmp_path):
    ref = snapshot(store, tree, "--note", "the first")
    assert ref.startswith("snapshots/website/")
    root = store("list", "--json").document()["refs"][0]["root"]
    assert "the first" in store("list").out
    listed = store("list", root[:8]).out
    assert "src/app.py" in listed
    assert "link -> src/app.py" in listed
    assert store("cat", ref, "src/app.py").out == "print('one')\n" * 10
    ended = store("restore", ref, "--to", tmp_path / "out", "--json")
    assert ended.document()["skipped"] == []
    assert (tmp_path / "out" / "data.bin").read_bytes() == (tree / "data.bin").read_bytes()
    assert store("restore", ref, "--to", tmp_path / "out").status == 1
    assert "is not empty" in store("restore", ref, "--to", tmp_path / "out").err


def test_changes_are_shown_with_renames_patches_and_history(store, tree):
    first = snapshot(store, tree)
    (tree / "data.bin").rename(tree / "moved.bin")
    (tree / "src" / "app.py").write_bytes(b"print('two')\n" * 10)
    second = snapshot(store, tree)
    assert store("diff", first, second).out.splitlines() == [
        "R  data.bin -> moved.bin (100 %)",
        "M  src/app.py",
    ]
    plain = store("diff", first, second, "--no-renames", "--json").document()["changes"]
    assert {c["path"] for c in plain} == {"data.bin", "moved.bin", "src/app.py"}
    patch = store("diff", first, second, "--patch", "--path", "src").out
    assert patch.startswith("diff --git a/app.py b/app.py\n")
    assert "+print('two')\n" in patch
    found = store("log", "src/app.py", "--json").document()["log"]
    assert [(item["change"], item["refs"]) for item in found] == [
        ("modified", [second]),
        ("added", [first]),
    ]
    assert found[0]["parents"] == [found[1]["root"]]
    assert first in store("log", "src/app.py", "--from", first).out
    assert store("log", "no/such").out == "Nothing.\n"
    forked = store("fork", first, "attempts/second")
    assert forked.status == 0
    assert store("fork", first, "attempts/second").status == 1


def test_chosen_paths_are_restored_in_place(store, tree):
    ref = snapshot(store, tree)
    (tree / "src" / "app.py").write_bytes(b"broken")
    (tree / "data.bin").write_bytes(b"mine")
    ended = store("restore", ref, "--to", tree, "--in-place", "--path", "src")
    assert ended.status == 0
    assert "What stood there before is restore/" in ended.out
    assert (tree / "src" / "app.py").read_bytes() == b"print('one')\n" * 10
    assert (tree / "data.bin").read_bytes() == b"mine"


def test_verify_and_check_find_damage_and_repair_it_from_a_copy(store, tree, tmp_path, cli):
    snapshot(store, tree)
    copy = tmp_path / "copy"
    cli("store", "init", "--store", str(copy))
    cli("store", "snapshot", str(tree), "--store", str(copy))
    assert store("verify").out.endswith("read: whole.\n")
    assert store("verify", "--share", "0.5", "--seed", "1", "--json").document()["ok"]
    assert store("check").status == 0
    (pack,) = (store.path / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    verified = store("verify")
    assert verified.status == 1
    assert "damaged: " in verified.out
    assert "workspace/data.bin" in verified.out
    assert store("check", "--json").document()["corrupt"][0]["paths"] == ["workspace/data.bin"]
    refused = store("check", "--from", copy)
    assert refused.status == 2
    fixed = store("check", "--repair", "--from", copy)
    assert fixed.status == 0, fixed.out
    assert "1 object repaired, 1 pack written anew." in fixed.out
    assert store("check").status == 0


def test_prune_keeps_what_the_rules_say_and_tells_before(store, tree):
    refs = []
    for number in range(3):
        (tree / "data.bin").write_bytes(random.Random(number).randbytes(50_000))
        refs.append(snapshot(store, tree, "--ref", f"daily/{number}"))
    planned = store("prune", "--keep-last", "1", "--dry-run")
    roots = {ref["name"]: ref["root"] for ref in store("list", "--json").document()["refs"]}
    assert f"daily/0 {roots['daily/0']}: would be deleted" in planned.out
    assert len(roots) == 3
    held = store("prune", "--keep-last", "1")
    assert store("fork", roots["daily/0"], "back/0").status == 0
    assert store("cat", "back/0", "src/app.py").out.startswith("print")
    assert store("prune", "--keep-last", "0", "--keep-ref", "daily/*").status == 0
    assert "go when the grace time is over" in held.out
    assert [ref["name"] for ref in store("list", "--json").document()["refs"]] == ["daily/2"]
    document = store("prune", "--grace", "0", "--json").document()
    assert document["refs_kept"] == ["daily/2"]
    assert store("prune", "--keep-within", "30d", "--keep-ref", "daily/*").status == 0
    assert store("prune", "--grace", "soon").status == 2
    assert store("verify").status == 0


def test_prune_of_the_store_of_a_home_keeps_every_ref(cli, home, tree):
    assert cli("store", "init").status == 0
    assert home.stat().st_mode & 0o777 == 0o700
    (home / "autovibe.db").touch()
    first = cli("store", "snapshot", str(tree), "--json").document()["ref"]
    (tree / "data.bin").write_bytes(b"changed")
    cli("store", "snapshot", str(tree))
    refused = cli("store", "prune", "--keep-last", "1", "--json")
    assert refused.status == 1
    assert refused.document()["error"]["reason"] == "STORE_OWNED"
    assert cli("store", "prune", "--keep-last", "1", "--store", str(home / "store")).status == 1
    assert cli("store", "prune", "--keep-last", "2").status == 0
    assert cli("store", "prune").status == 0
    hasty = cli("store", "prune", "--grace", "0", "--json")
    assert hasty.document()["error"]["reason"] == "STORE_OWNED"
    assert "restore_window_days" in hasty.document()["error"]["message"]
    assert cli("store", "prune", "--grace", "0", "--dry-run").status == 0
    (home / "config.toml").write_text("[maintenance]\nrestore_window_days = 0\n")
    assert cli("store", "prune", "--grace", "0").status == 0
    assert first in cli("store", "list").out


def test_snapshots_without_a_server_read_only_what_has_changed(store, tree):
    past = 1_600_000_000_000_000_000
    snapshot(store, tree)
    os.utime(tree / "data.bin", ns=(past, past))
    first = store("snapshot", tree, "--json").document()
    assert first["read_bytes"] > 0  # what has just been made is read again
    assert store("snapshot", tree, "--afresh", "--json").document()["root"] == first["root"]
    assert list((store.path / "trees").iterdir())


def test_archive_is_written_and_read(store, tree, tmp_path, cli):
    ref = snapshot(store, tree)
    root = store("list", "--json").document()["refs"][0]["root"]
    archive = tmp_path / "a.tar"
    ended = store("export", ref, "-o", archive)
    assert ended.status == 0
    assert "Wrote 3 files" in ended.out
    taken = store("export", ref, "-o", archive, "--json")
    assert taken.document()["error"]["reason"] == "STORE_ARCHIVE_UNWRITABLE"
    full = store("export", ref, "-o", "/dev/full/x.tar")
    assert "cannot be written (Not a directory)" in full.err
    other = tmp_path / "other"
    cli("store", "init", "--store", str(other))
    taken = cli("store", "import", str(archive), "in/1", "--store", str(other), "--json")
    assert taken.document()["root"] == root
    piped = subprocess.run(
        [sys.executable, "-m", "autovibe.cli.main", "store", "export", ref, "--path", "src",
         "--store", str(store.path)],
        capture_output=True, check=True, timeout=100,
    )  # fmt: skip
    assert b"app.py" in piped.stdout
    done = subprocess.run(
        [sys.executable, "-m", "autovibe.cli.main", "store", "import", "-", "in/2", "--json",
         "--store", str(other)],
        input=piped.stdout, capture_output=True, check=True, timeout=100,
    )  # fmt: skip
    assert json.loads(done.stdout)["file_count"] == 1


def test_reader_of_an_archive_that_goes_away_is_no_error(store, tree):
    (tree / "large").write_bytes(random.Random(2).randbytes(3 << 20))
    ref = snapshot(store, tree)
    child = subprocess.Popen(
        [sys.executable, "-m", "autovibe.cli.main", "store", "export", ref,
         "--store", str(store.path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert len(child.stdout.read(512)) == 512
    child.stdout.close()
    assert child.stderr is not None
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(60) == 0


def test_stats_tell_what_is_saved(store, tree):
    snapshot(store, tree)
    found = store("stats", "--json").document()
    assert (found["refs"], found["snapshots"], found["snapshot_files"]) == (1, 1, 3)
    assert found["compression_ratio"] > 0
    assert "shared" in store("stats").out


def test_encrypted_store_needs_its_key_file(cli, tree, tmp_path):
    path, key, other = tmp_path / "sealed", tmp_path / "key", tmp_path / "other"
    key.write_text("ab" * 32)
    other.write_bytes(bytes(32))
    (tmp_path / "short").write_bytes(b"short")
    where = ("--store", str(path))
    assert cli("store", "init", *where, "--key-file", str(key)).status == 0
    ended = cli("store", "snapshot", str(tree), *where, "--key-file", str(key), "--json")
    root = ended.document()["root"]
    for wrong in ((), ("--key-file", str(other)), ("--key-file", str(tmp_path / "short"))):
        refused = cli("store", "list", *where, *wrong, "--json")
        assert refused.document()["error"]["reason"] == "STORE_KEY_WRONG"
    shown = cli("store", "cat", root, "src/app.py", *where, "--key-file", str(key))
    assert shown.out.startswith("print('one')")


def test_missing_store_and_snapshot_are_usage_errors(cli, store, tmp_path):
    ended = cli("store", "list", "--store", str(tmp_path / "none"), "--json")
    assert ended.status == 2
    assert ended.document()["error"]["reason"] == "STORE_NOT_FOUND"
    assert not (tmp_path / "none").exists()
    assert "is no ref and no snapshot" in store("list", "nothing/here").err


def test_file_that_could_not_be_captured_whole_is_listed_and_fails(store, tree, monkeypatch):
    really, turns = os.read, iter(range(1_000_000))

    def growing(fd: int, size: int) -> bytes:
        with (tree / "data.bin").open("ab") as file:
            file.write(b"%d" % next(turns))
        return really(fd, size)

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", growing)
        ended = store("snapshot", tree)
    assert ended.status == 1
    assert "workspace/data.bin: changed while it was read" in ended.out
    assert "data.bin  (incomplete)" in store("list", Store.open(store.path).list_refs()[0].name).out


def test_control_characters_of_names_do_not_reach_the_terminal(store, tree):
    (tree / "evil\x1b[31m").write_bytes(b"x")
    ref = snapshot(store, tree)
    assert "\x1b" not in store("list", ref).out
    (tree / "evil\x1b[31m").unlink()
    assert "\x1b" not in store("diff", ref, snapshot(store, tree)).out


def test_interrupted_snapshot_ends_soon_and_leaves_nothing(store, tree):
    with (tree / "endless").open("wb") as file:
        file.write(b"begin")
        file.truncate(1 << 40)  # a hole that takes minutes to hash
    child = subprocess.Popen(
        [sys.executable, "-m", "autovibe.cli.main", "store", "snapshot", str(tree),
         "--store", str(store.path), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    tmp = store.path / "tmp"
    while child.poll() is None and not list(tmp.glob("*.pack")):
        select.select([], [], [], 0.02)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert json.loads(out)["error"]["reason"] == "INTERRUPTED"
    assert list(tmp.iterdir()) == []
    assert store("list").out == "No snapshots.\n"
    (tree / "endless").unlink()
    assert store("snapshot", tree).status == 0


def test_grace_of_nothing_is_a_time():
    assert not store_upkeep.Duration().convert("0", None, None)
    assert store_upkeep.Duration().convert("2d", None, None).days == 2
    assert store_upkeep.Duration().convert("2y", None, None).days == 730
    with pytest.raises(click.BadParameter):
        store_upkeep.Duration().convert("2 fortnights", None, None)
