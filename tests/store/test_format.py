"""Stores of an older format, written here byte by byte as the format page says."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest
import zstandard

from autovibe.store import Kind, Store

_ROOT_DIGITS = 64


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class OldStore:
    """Writes format 1 from its description, not with the code of the store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects: dict[bytes, bytes] = {}
        for part in ("tmp", "packs", "refs/checkpoints"):
            (path / part).mkdir(parents=True)
        (path / "format").write_bytes(b"autovibe-store 1 " + b"a" * 32 + b"\n")

    def put(self, data: bytes) -> bytes:
        self.objects[sha256(data)] = data
        return sha256(data)

    def tree(self, *entries: bytes) -> bytes:
        return self.put(b"autovibe-tree 1\n" + b"".join(entries))

    def finish(self, root: bytes) -> None:
        pack, index = bytearray(b"AVPACK1\n"), []
        for digest, data in self.objects.items():
            frame = zstandard.ZstdCompressor(level=1).compress(data)
            pack += struct.pack("<32sQQ", digest, len(data), len(frame))
            index.append((digest, len(pack), len(frame), len(data)))
            pack += frame
        name = "0123456789abcdef" * 2
        (self.path / "packs" / f"{name}.pack").write_bytes(pack)
        body = struct.pack("<8sQQ", b"AVINDX1\n", len(index), len(pack))
        body += b"".join(struct.pack("<32sQQQ", *record) for record in sorted(index))
        (self.path / "packs" / f"{name}.idx").write_bytes(body + sha256(body))
        (self.path / "refs" / "checkpoints" / "old").write_bytes(root.hex().encode() + b"\n")


def entry(kind: bytes, name: bytes, mode: int, *, size=0, flags=0, tail=b"") -> bytes:
    owner = (os.getuid(), os.getgid())
    head = struct.pack("<cBHIIqQH", kind, flags, mode, *owner, 1_500_000_000, size, len(name))
    return head + name + tail


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, str]:
    store = OldStore(tmp_path / "store")
    small = store.put(b"written by format 1\n")
    chunks = [b"\0" * (1 << 20), b"x" * (1 << 20), b"end"]
    parts = b"".join(store.put(chunk) for chunk in chunks)
    whole = b"".join(chunks)
    listed = store.put(b"autovibe-list 1\n" + parts)
    empty = store.tree()
    inner = store.tree(
        entry(b"d", b"empty", 0o755, tail=empty),
        entry(b"f", b"large", 0o644, size=len(whole), flags=16, tail=sha256(whole) + listed),
        entry(b"l", b"link", 0o777, size=5, tail=b"small"),
        entry(b"f", b"small", 0o600, size=20, tail=small),
    )
    root = store.tree(entry(b"d", b"w", 0o755, tail=inner))
    store.finish(root)
    return store.path, root.hex()


def test_store_of_format_1_is_read_and_raised(old: tuple[Path, str], tmp_path: Path):
    path, root = old
    store = Store.open(path)
    assert (path / "format").read_text().split()[:2] == ["autovibe-store", "3"]
    assert store.store_id == "a" * 32
    assert dict(store.refs()) == {"checkpoints/old": root}
    kinds = {e.path: e.kind for e in store.entries(root, "w")}
    assert kinds == {
        "empty": Kind.DIR,
        "large": Kind.FILE,
        "link": Kind.SYMLINK,
        "small": Kind.FILE,
    }
    assert store.verify(root).ok
    assert store.check().ok
    store.restore(root, tmp_path / "out", path="w")
    assert (tmp_path / "out" / "small").read_bytes() == b"written by format 1\n"
    restored = (tmp_path / "out" / "large").read_bytes()
    assert restored == bytes(1 << 20) + b"x" * (1 << 20) + b"end"
    assert (tmp_path / "out" / "large").stat().st_blocks * 512 < 2 << 20
    assert (tmp_path / "out" / "link").readlink() == Path("small")
    assert list((tmp_path / "out" / "empty").iterdir()) == []


def test_old_pack_that_lost_its_index_gets_one_again(old: tuple[Path, str]):
    path, root = old
    (index,) = (path / "packs").glob("*.idx")
    before = index.read_bytes()
    index.unlink()
    assert Store.open(path).verify(root).ok
    assert index.read_bytes() == before


def test_blocks_are_as_the_format_page_says(tmp_path: Path):
    (tmp_path / "tree").mkdir()
    contents = [b"first", b"", b"the third"]
    for number, content in enumerate(contents):
        (tmp_path / "tree" / f"f{number}").write_bytes(content)
    store = Store.open(tmp_path / "store")
    store.snapshot({"w": tmp_path / "tree"})
    (pack,), (index,) = ((store.path / "packs").glob(f"*.{kind}") for kind in ("pack", "idx"))
    data, listed = pack.read_bytes(), index.read_bytes()
    at, found, places, blocks = 8, {}, [], []
    assert data[:at] == b"AVPACK2\n"
    while at < len(data):
        stored, size, count = struct.unpack_from("<QQI", data, at)
        at += 20
        table = list(struct.iter_unpack("<32sQ", data[at : at + 40 * count]))
        at += 40 * count
        content = zstandard.ZstdDecompressor().decompress(data[at : at + stored])
        assert len(content) == size
        start = 0
        for address, length in table:
            found[address] = content[start : start + length]
            places.append((address, len(blocks), start, length))
            start += length
        blocks.append((at, stored, size))
        at += stored
    assert {sha256(content): content for content in found.values()} == found
    assert found.keys() >= {sha256(content) for content in contents}
    assert len(blocks) == 3  # all files, and two directories
    head = struct.pack("<8sQQQ", b"AVINDX2\n", len(found), len(data), len(blocks))
    body = head + b"".join(struct.pack("<QQQ", *block) for block in blocks)
    body += b"".join(struct.pack("<32sIQQ", *place) for place in sorted(places))
    assert listed == body + sha256(body)


def test_new_snapshots_beside_those_of_format_1_share_their_content(
    old: tuple[Path, str], tmp_path: Path
):
    path, root = old
    store = Store.open(path)
    store.restore(root, tmp_path / "out", path="w", exact=True)
    taken = store.snapshot({"w": tmp_path / "out"})
    assert len(taken.new_objects) == 2  # only directories are written anew
    assert store.diff(root, taken.root) == []
    store.write_ref("checkpoints/new", taken.root)
    assert store.prune().objects_removed == 0
    assert Store.open(path).verify(root).ok
    assert [ref.name for ref in store.list_refs()] == ["checkpoints/new", "checkpoints/old"]


def test_format_1_that_cannot_be_written_is_read_as_it_is(
    old: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
):
    path, root = old
    monkeypatch.setattr(os, "access", lambda *_: False)
    store = Store.open(path, create=False)
    assert store.verify(root).ok
    assert (path / "format").read_text().split()[1] == "1"


def test_holes_are_refused_in_a_tree_of_format_1(tmp_path: Path):
    old = OldStore(tmp_path / "store")
    blob = old.put(b"x" * 10)
    holes = struct.pack("<IQQ", 1, 0, 5)
    inner = old.tree(entry(b"f", b"f", 0o644, size=10, flags=128, tail=blob + holes))
    root = old.tree(entry(b"d", b"w", 0o755, tail=inner))
    old.finish(root)
    assert not Store.open(old.path).verify(root.hex()).ok
