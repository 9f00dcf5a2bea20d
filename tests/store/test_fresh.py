from __future__ import annotations

import hashlib
import os
import signal
import stat
from pathlib import Path

import pytest

from autovibe.store import ObjectCorruptError, Progress, Store, fresh, partner, rereading
from autovibe.store.partner import Partner


def make_many(tree: Path) -> dict[str, bytes]:
    """Make so many files that a second process helps to write them."""
    contents: dict[str, bytes] = {}
    for number in range(900):
        contents[f"d{number % 7}/e{number % 3}/f{number}"] = b"%d " % (number % 800) * number
    contents["d0/large"] = bytes(range(256)) * 12_000
    for name, data in contents.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    return contents


def found_in(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


@pytest.fixture
def partners(monkeypatch: pytest.MonkeyPatch) -> list[Partner]:
    """The second processes that a test has started."""
    seen: list[Partner] = []

    class Seen(Partner):
        def __init__(self, top: int) -> None:
            super().__init__(top)
            seen.append(self)

    monkeypatch.setattr(fresh, "Partner", Seen)
    monkeypatch.setattr(fresh, "is_worthwhile", lambda: True)
    return seen


def test_many_files_are_written_by_two_processes(
    store: Store, tmp_path: Path, partners: list[Partner]
):
    contents = make_many(tmp_path / "tree")
    (tmp_path / "tree" / "d1" / "secret").write_bytes(b"s")
    (tmp_path / "tree" / "d1" / "secret").chmod(0o640)
    (tmp_path / "tree" / "d2").chmod(0o777)
    (tmp_path / "tree" / "d3" / "e0").chmod(0o555)
    taken = store.snapshot({"w": tmp_path / "tree"})
    seen: list[Progress] = []
    done = store.restore(taken.root, tmp_path / "out", path="w", progress=seen.append)
    assert len(partners) == 1
    assert done.files == seen[-1].items == len(contents) + 1
    assert done.bytes == seen[-1].bytes == sum(map(len, contents.values())) + 1
    assert found_in(tmp_path / "out") == contents | {"d1/secret": b"s"}
    assert store.snapshot({"w": tmp_path / "out"}).root == taken.root


@pytest.mark.parametrize("when", ["at once", "later"])
def test_restore_goes_on_alone_when_the_second_process_dies(
    store: Store, tmp_path: Path, partners: list[Partner], when: str
):
    contents = make_many(tmp_path / "tree")
    taken = store.snapshot({"w": tmp_path / "tree"})
    killed: list[int] = []

    def kill(at: Progress) -> None:
        if not killed and (when == "at once" or at.items > 300):
            killed.append(partners[0]._process.pid)
            os.kill(killed[0], signal.SIGKILL)

    store.restore(taken.root, tmp_path / "out", path="w", progress=kill)
    assert killed
    assert found_in(tmp_path / "out") == contents
    assert store.snapshot({"w": tmp_path / "out"}).root == taken.root


def test_restore_and_verification_do_without_a_second_process_that_cannot_be_had(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    contents = make_many(tmp_path / "tree")
    taken = store.snapshot({"w": tmp_path / "tree"})
    monkeypatch.setattr(partner.sys, "executable", "")
    for module in (fresh, rereading):
        monkeypatch.setattr(module, "is_worthwhile", lambda: True)
    monkeypatch.setattr(rereading, "_BATCH_CONTENTS", 100)
    store.restore(taken.root, tmp_path / "out", path="w")
    assert found_in(tmp_path / "out") == contents
    assert store.verify(taken.root).ok


def test_damage_that_the_second_process_meets_is_reported_and_leaves_nothing(
    store: Store, tmp_path: Path, partners: list[Partner]
):
    make_many(tmp_path / "tree")
    (tmp_path / "tree" / "d6" / "broken").write_bytes(b"unlike everything else")
    taken = store.snapshot({"w": tmp_path / "tree"})
    digest = hashlib.sha256(b"unlike everything else").digest()
    at = store.objects.locate(digest)
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset + at.stored // 2] ^= 0xFF
    pack.write_bytes(data)
    with pytest.raises(ObjectCorruptError):
        store.restore(taken.root, tmp_path / "out", path="w")
    assert len(partners) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_restore_into_a_directory_that_passes_attributes_on_is_exact_nevertheless(
    store: Store, tmp_path: Path
):
    make_many(tmp_path / "tree")
    taken = store.snapshot({"w": tmp_path / "tree"})
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o2777)
    store.restore(taken.root, out, path="w")
    assert not out.stat().st_mode & stat.S_ISGID
    assert not (out / "d0" / "e0").stat().st_mode & stat.S_ISGID
    assert store.snapshot({"w": out}).root == taken.root
