"""Everything that a restore must bring back, compared by a tool that is not ours."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autovibe.store import Kind, Store, UnsafeTreeError
from autovibe.store.opening import read_holes
from autovibe.store.tree import FILE, TreeEntry, decode_tree, encode_tree

_MIB = 1 << 20


def differences(one: Path, other: Path) -> list[str]:
    """Return what rsync would change to make `other` equal to `one`."""
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed here; .ci/run installs it")
    command = ["rsync", "-aHAX", "--checksum", "--dry-run", "--itemize-changes", "--delete"]
    done = subprocess.run(
        [*command, f"{one}/", f"{other}/"], capture_output=True, text=True, check=True, timeout=100
    )
    return done.stdout.splitlines()


def holes(path: Path) -> tuple[tuple[int, int], ...]:
    with path.open("rb") as file:
        return read_holes(file.fileno(), os.fstat(file.fileno()))


def sparse(path: Path, size: int, *data: tuple[int, bytes]) -> None:
    """Write a file that has nothing but holes around these pieces of data."""
    with path.open("wb") as file:
        for offset, content in data:
            file.seek(offset)
            file.write(content)
        file.truncate(size)


@pytest.fixture
def awkward(tricky: Path) -> Path:
    """The tricky tree with holes, link groups over directories and times on everything."""
    sparse(tricky / "holes-only", 3 * _MIB + 17)
    sparse(tricky / "hole-first", 2 * _MIB, (_MIB + 4096, b"data" * 5000))
    sparse(tricky / "hole-last", 5 * _MIB, (0, b"data"), (_MIB, b"x" * 4096))
    sparse(tricky / "small-hole", 64 << 10, (60 << 10, b"end"))
    (tricky / "zeros-no-holes").write_bytes(bytes(2 * _MIB))
    os.link(tricky / "hole-last", tricky / "empty-dir" / "also")
    os.utime(tricky / "empty-dir" / "inner", ns=(5, 1_600_000_000_123_456_789))
    os.utime(tricky / "dangling", ns=(3, 987_654_321), follow_symlinks=False)
    return tricky


def test_rsync_finds_no_difference_after_a_restore(store: Store, awkward: Path, tmp_path: Path):
    taken = store.snapshot({"w": awkward})
    assert (taken.torn, taken.unreadable, taken.excluded) == ((), (), ())
    result = store.restore(taken.root, tmp_path / "out", path="w", exact=True)
    assert result.skipped == ()
    assert differences(awkward, tmp_path / "out") == []


def test_rsync_finds_no_difference_after_a_restore_in_place(
    store: Store, awkward: Path, tmp_path: Path
):
    taken = store.snapshot({"w": awkward})
    out = tmp_path / "out"
    store.restore(taken.root, out, path="w", exact=True)
    (out / "plain.txt").write_bytes(b"changed")
    (out / "hole-last").write_bytes(b"no holes any more, and all its names with it")
    (out / "script.sh").chmod(0o600)
    (out / "link").unlink()
    (out / "link").mkdir()
    (out / "link" / "new").write_bytes(b"new")
    shutil.rmtree(out / "nested")
    (out / "nested").symlink_to("/etc")
    assert differences(awkward, out) != []
    store.restore(taken.root, out, path="w", exact=True, onto_same=True)
    assert differences(awkward, out) == []


def test_holes_stay_where_they_were_and_zeros_stay_zeros(
    store: Store, awkward: Path, tmp_path: Path
):
    if not holes(awkward / "holes-only"):
        pytest.skip("this file system knows no holes")
    taken = store.snapshot({"w": awkward})
    store.restore(taken.root, tmp_path / "out", path="w")
    for name in ("holes-only", "hole-first", "hole-last", "small-hole"):
        assert holes(tmp_path / "out" / name) == holes(awkward / name) != ()
    assert holes(tmp_path / "out" / "zeros-no-holes") == ()


def test_huge_hole_costs_neither_space_nor_memory(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    sparse(tree / "disk.img", 512 << 20, (300 << 20, b"boot"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = store.snapshot({"w": tree})
    store.restore(taken.root, tmp_path / "out", path="w")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 16 << 10
    assert taken.stored_bytes < 100_000
    restored = (tmp_path / "out" / "disk.img").stat()
    assert restored.st_size == 512 << 20
    assert restored.st_blocks * 512 < _MIB
    assert store.verify(taken.root).ok


def test_large_file_takes_constant_memory(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    piece = random.Random(1).randbytes(_MIB)
    with (tree / "large").open("wb") as file:
        for number in range(128):
            file.write(number.to_bytes(4, "big") + piece[4:])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = store.snapshot({"w": tree})
    store.restore(taken.root, tmp_path / "out", path="w")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10
    assert differences(tree, tmp_path / "out") == []


def test_torn_file_with_holes_is_flagged_and_restored_readably(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tree = tmp_path / "tree"
    tree.mkdir()
    sparse(tree / "busy", 3 * _MIB, (2 * _MIB, b"data" * 2000))
    pread, turns = os.read, iter(range(1000))

    def grow(fd: int, size: int) -> bytes:
        os.truncate(tree / "busy", 3 * _MIB + next(turns) + 1)
        return pread(fd, size)

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", grow)
        taken = store.snapshot({"w": tree})
    assert taken.torn == ("w/busy",)
    (entry,) = store.entries(taken.root, "w")
    assert not entry.complete
    result = store.restore(taken.root, tmp_path / "out", path="w")
    assert [(skipped.path, "changed" in skipped.why) for skipped in result.skipped] == [
        ("busy", True)
    ]


def test_special_files_are_recorded_and_never_opened(
    store: Store, tricky: Path, monkeypatch: pytest.MonkeyPatch
):
    opened: list[object] = []
    really = os.open
    monkeypatch.setattr(
        os, "open", lambda name, *a, **k: opened.append(name) or really(name, *a, **k)
    )
    taken = store.snapshot({"w": tricky})
    assert {b"fifo", b"socket"} & set(map(os.fsencode, (n for n in opened if n))) == set()
    special = [(e.path, e.special) for e in store.entries(taken.root, "w") if e.special]
    assert special == [("fifo", "fifo"), ("socket", "socket")]
    assert taken.special == ("w/fifo", "w/socket")


_NAME = st.binary(min_size=1, max_size=12).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in {b".", b".."}
)
_CONTENT = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.integers(0, 3), st.binary(max_size=9)).map(
        lambda pair: bytes(pair[0] * _MIB) + pair[1]
    ),
)
_LEAF = st.one_of(
    st.tuples(st.just("file"), _CONTENT, st.integers(0o400, 0o777), st.integers(0, 2**62)),
    st.tuples(st.just("hole"), st.integers(0, 300_000), st.integers(0, 64)),
    st.tuples(st.just("link"), _NAME),
    st.tuples(st.just("hard"), st.integers(0, 5)),
    st.tuples(st.just("dir")),
)
_TREE = st.dictionaries(st.lists(_NAME, min_size=1, max_size=3).map(b"/".join), _LEAF, max_size=12)


def plant(top: Path, wanted: dict[bytes, tuple[object, ...]]) -> None:
    """Make a tree; what cannot stand where it should is left out."""
    files: list[Path] = []
    for name, (kind, *values) in wanted.items():
        path = top / os.fsdecode(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "file":
                content, mode, mtime_ns = values
                with path.open("xb") as file:
                    file.write(content)
                path.chmod(mode)
                os.utime(path, ns=(0, mtime_ns))
                files.append(path)
            elif kind == "hole":
                offset, length = values
                sparse(path, offset + length, (offset, b"d" * min(length, 3)))
                files.append(path)
            elif kind == "link":
                path.symlink_to(os.fsdecode(values[0]))
            elif kind == "hard" and files:
                path.hardlink_to(files[values[0] % len(files)])
            elif kind == "dir":
                path.mkdir()
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue


_SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def _restores_to_itself(tmp_path: Path, wanted: dict[bytes, tuple[object, ...]]) -> None:
    work = tmp_path / f"case-{len(list(tmp_path.iterdir()))}"
    (work / "tree").mkdir(parents=True)
    plant(work / "tree", wanted)
    store = Store.open(work / "store")
    taken = store.snapshot({"w": work / "tree"})
    store.restore(taken.root, work / "out", path="w", exact=True)
    assert store.snapshot({"w": work / "out"}).root == taken.root
    assert differences(work / "tree", work / "out") == []
    shutil.rmtree(work)


@given(wanted=_TREE)
@_SETTINGS
def test_every_tree_restores_to_itself(tmp_path: Path, wanted: dict[bytes, tuple[object, ...]]):
    _restores_to_itself(tmp_path, wanted)


@pytest.mark.long
@given(wanted=_TREE)
@settings(_SETTINGS, max_examples=3000, derandomize=False)
def test_thousands_of_trees_restore_to_themselves(
    tmp_path: Path, wanted: dict[bytes, tuple[object, ...]]
):
    _restores_to_itself(tmp_path, wanted)


def test_time_beyond_what_the_format_holds_does_not_end_a_snapshot(store: Store, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "from-the-future").write_bytes(b"x")
    os.utime(tree / "from-the-future", ns=(0, 14 * 10**18))  # the year 2413
    if (tree / "from-the-future").stat().st_mtime_ns <= 1 << 63:
        pytest.skip("this file system does not know such years either")
    taken = store.snapshot({"w": tree})
    store.restore(taken.root, tmp_path / "out", path="w")
    assert (tmp_path / "out" / "from-the-future").stat().st_mtime_ns == (1 << 63) - 1


_ENTRIES = st.lists(
    st.builds(
        TreeEntry,
        name=_NAME,
        kind=st.just(FILE),
        mode=st.integers(0, 0o7777),
        uid=st.integers(0, 2**32 - 1),
        gid=st.integers(0, 2**32 - 1),
        mtime_ns=st.integers(-(2**63), 2**63 - 1),
        size=st.integers(1000, 2**63),
        flags=st.sampled_from([0, 1, 2]),
        digest=st.binary(min_size=32, max_size=32),
        chunks=st.one_of(st.just(b""), st.binary(min_size=32, max_size=32)),
        target=st.just(b""),
        link=st.one_of(st.just(b""), _NAME),
        xattrs=st.lists(st.tuples(_NAME, st.binary(max_size=20)), max_size=2).map(tuple),
        holes=st.sampled_from([(), ((0, 10),), ((5, 1), (7, 900))]),
    ),
    max_size=4,
    unique_by=lambda entry: entry.name,
).map(lambda entries: sorted(entries, key=lambda entry: entry.name))


@given(entries=_ENTRIES, at=st.integers(0, 10_000), byte=st.integers(0, 255))
@settings(_SETTINGS, max_examples=200)
def test_tree_is_read_as_it_was_written_and_a_changed_one_is_read_or_refused(
    entries: list[TreeEntry], at: int, byte: int
):
    data = encode_tree(entries)
    assert decode_tree(data) == entries
    changed = bytearray(data)
    changed[at % len(data)] = byte
    for hostile in (bytes(changed), data[: at % len(data)], data + bytes(changed)):
        try:
            read = decode_tree(hostile)
        except UnsafeTreeError:
            continue
        assert encode_tree(read)[16:] == hostile[16:] or hostile.startswith(b"autovibe-tree 1")


def test_kinds_in_a_listing_are_those_of_the_tree(store: Store, awkward: Path):
    taken = store.snapshot({"w": awkward})
    kinds = {entry.path: entry.kind for entry in store.entries(taken.root, "w")}
    assert kinds["nested/.git"] is Kind.DIR
    assert kinds["worktree/.git"] is Kind.FILE
    assert kinds["empty-dir/inner"] is Kind.DIR
    assert kinds["absolute"] is Kind.SYMLINK
