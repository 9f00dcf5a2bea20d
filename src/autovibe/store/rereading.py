"""Reading many contents back from the disk and comparing their hashes, by two processes."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.store import tree
from autovibe.store.bulk import PieceReader, check_all
from autovibe.store.errors import UnsafeTreeError
from autovibe.store.packfile import HASH_BYTES
from autovibe.store.partner import Partner, is_worthwhile
from autovibe.store.reading import check_depth
from autovibe.store.tree import (
    decode_directory,
    decode_entry,
    decode_list,
    decode_tree,
    encode_entry,
    is_safe_name,
    part_ids,
    split_tree,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from autovibe.store.bulk import Content, Piece
    from autovibe.store.places import Places, QuickReader
    from autovibe.store.tree import TreeEntry

_BATCH_BYTES: Final = 2 << 20
_BATCH_CONTENTS: Final = 512
# More than these wait for nobody's memory: then this process reads before it looks further.
_MOST_WAITING: Final = 64
# Below that the other process would not be at work before this one is done.
_FEW_BATCHES: Final = 3


def _place(content: Content) -> tuple[str, int, int]:
    piece = content[1][0]
    return piece[2], piece[3], piece[5]


class Rereader:
    """Takes contents, reads them from the disk and compares their hashes.

    `failed` are the ids of those that are damaged, complete after `finish`.
    """

    def __init__(self, told: Callable[[int, int], None], *, alone: bool = False) -> None:
        """Wait for contents.

        Args:
            told: called with the number of contents and of bytes read since the last call.
            alone: do it in this one process.
        """
        self.failed: list[bytes] = []
        self._told = told
        self._reader = PieceReader(from_disk=True)
        self._batch: list[Content] = []
        self._batch_bytes = 0
        self._batches = 0
        self._waiting: deque[list[Content]] = deque()
        self._helps = not alone and is_worthwhile()
        self._partner: Partner[list[Content]] | None = None

    def take(self, content: Content) -> None:
        """Take a content of one piece at least; neighbours should follow each other."""
        self._batch.append(content)
        for piece in content[1]:
            self._batch_bytes += piece[1]
        if self._batch_bytes >= _BATCH_BYTES or len(self._batch) >= _BATCH_CONTENTS:
            self._hand_over()
            self._feed(wait=False)
            while len(self._waiting) > _MOST_WAITING:
                self._check(self._waiting.popleft())
                self._feed(wait=False)

    def _hand_over(self) -> None:
        self._waiting.append(sorted(self._batch, key=_place))
        self._batch, self._batch_bytes = [], 0
        self._batches += 1
        if self._batches == _FEW_BATCHES and self._helps:
            with contextlib.suppress(OSError):  # no process can be had: this one does it all
                self._partner = Partner(-1)

    def _feed(self, *, wait: bool) -> None:
        partner = self._partner
        if partner is None:
            return
        for batch, answer in partner.answers(wait=wait):
            self._note(batch, answer)
        while self._waiting and partner.waits:
            batch = self._waiting.popleft()
            partner.send(batch, batch)
        self._waiting.extend(partner.lost)
        partner.lost.clear()

    def _check(self, batch: list[Content]) -> None:
        self._note(batch, check_all(batch, self._reader))

    def _note(self, batch: list[Content], answer: tuple[int, ...]) -> None:
        self.failed += [batch[at][0] for at in answer[1:]]
        self._told(len(batch) - len(answer) + 1, answer[0])

    def finish(self) -> None:
        """Read all that is left."""
        if self._batch:
            self._hand_over()
        while self._waiting or (self._partner is not None and self._partner.busy):
            self._feed(wait=not self._waiting)
            if self._waiting:
                self._check(self._waiting.popleft())

    def close(self) -> None:
        """Let go of the other process and of what is open. Calling twice is allowed."""
        self._reader.close()
        if self._partner is not None:
            self._partner.close()


def reread(
    contents: Collection[Content], told: Callable[[int, int], None], *, alone: bool = False
) -> list[bytes]:
    """Read contents in the order of the disk; return the ids of damaged ones (see `Rereader`)."""
    rereader = Rereader(told, alone=alone)
    try:
        for content in sorted(contents, key=_place):
            rereader.take(content)
        rereader.finish()
    finally:
        rereader.close()
    return rereader.failed


@dataclass(slots=True)
class Needs:
    """What one snapshot needs, found by reading its trees; each is read once.

    `objects` has the lengths of all objects by their ids; `take` gets the content of each file.
    """

    quick: QuickReader
    take: Callable[[Content], None]
    objects: dict[bytes, int] = field(default_factory=dict[bytes, int])
    whole: bool = True
    _contents: set[bytes] = field(default_factory=set[bytes])
    _trees: set[bytes] = field(default_factory=set[bytes])

    def add(self, root: bytes) -> None:
        """Collect everything below a root; `whole` says afterwards whether all has a place.

        Raises:
            AutovibeError: a tree or list cannot be read, or is none.
        """
        waiting = [(root, 0)]
        while waiting:
            digest, depth = waiting.pop()
            if digest in self._trees or digest == tree.EMPTY_TREE:
                continue
            self._trees.add(digest)
            check_depth(depth)
            for data in self._directories(digest):
                self._entries(data, waiting, depth + 1)

    def _directories(self, digest: bytes) -> list[bytes]:
        """Return the trees that a directory consists of."""
        data = self._own(digest)
        parts = part_ids(data)
        if not parts:
            return [data]
        decode_directory(data, self._own)  # refuses parts that do not follow each other
        return [self.quick.get(part) for part in parts]

    def _entries(self, data: bytes, waiting: list[tuple[bytes, int]], depth: int) -> None:
        """Take what the entries of a tree need; most need not be decoded for that."""
        split = split_tree(data)
        if split is None:  # of format 1
            split = {entry.name: encode_entry(entry) for entry in decode_tree(data)}
        seen, find, take = self._contents, self.quick.places.find, self.take
        for name, encoded in split.items():
            if not is_safe_name(name):
                msg = f"A tree has the name {name!r}, which no snapshot writes: verify the store."
                raise UnsafeTreeError(msg)
            kind, flags = encoded[0], encoded[1]
            if kind == tree.FILE and not flags:
                digest = encoded[-HASH_BYTES:]
                if digest in seen:
                    continue
                piece = find(digest)
                if piece is not None:
                    seen.add(digest)
                    self.objects[digest] = piece[1]
                    take((digest, [piece]))
                else:
                    self.whole = False
            elif kind in {tree.FILE, tree.DIR}:
                self._entry(decode_entry(encoded), waiting, depth)

    def _entry(self, entry: TreeEntry, waiting: list[tuple[bytes, int]], depth: int) -> None:
        if entry.kind == tree.DIR:
            waiting.append((entry.digest, depth))
        elif not entry.flags & tree.UNREADABLE:
            if entry.chunks:
                ids = decode_list(self._own(entry.chunks), entry.size)
                self._content(entry.chunks + entry.digest, entry.digest, ids)
            else:
                self._content(entry.digest, entry.digest, [entry.digest])

    def _own(self, digest: bytes) -> bytes:
        data = self.quick.get(digest)
        self.objects[digest] = len(data)
        return data

    def _content(self, key: bytes, digest: bytes, ids: list[bytes]) -> None:
        if key in self._contents:
            return
        self._contents.add(key)
        pieces = found_all(self.quick.places, ids)
        if pieces is None:
            self.whole = False
            return
        for piece in pieces:
            self.objects[piece[0]] = piece[1]
        self.take((digest, pieces))


def found_all(places: Places, ids: Collection[bytes]) -> list[Piece] | None:
    """Return where objects lie; None when one of them is not where it can be read directly."""
    pieces: list[Piece] = []
    for digest in ids:
        piece = places.find(digest)
        if piece is None:
            return None
        pieces.append(piece)
    return pieces
