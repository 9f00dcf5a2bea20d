"""Finding files that were renamed: a deletion and an addition of (nearly) the same content."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from autovibe.store.model import Change, Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LEAST_PER_CENT: Final = 50
_LARGEST_BYTES: Final = 256 << 10
_MOST_PAIRS: Final = 10_000


def pair_renames(changes: list[Change], read: Callable[[Change], bytes]) -> list[Change]:
    """Replace deletions and additions of files by renames; sorted as before, by the new path.

    First files with the same content, of which those with the same name go together; then files
    of at most 256 KiB whose lines are the same for at least 50 per cent. Empty files pair with
    nothing.

    Args:
        changes: the differences.
        read: gives the content of the file of a deletion or addition.
    """
    old = [c for c in changes if c.change == "deleted" and _is_file(c.old)]
    new = [c for c in changes if c.change == "added" and _is_file(c.new)]
    pairs = dict(_same(old, new))
    taken = set(pairs.values())
    rest_old = [c for c in old if c.path not in taken]
    rest_new = [c for c in new if c.path not in pairs]
    similar = _similar(rest_old, rest_new, read)
    by_path = {change.path: change for change in old}
    gone = taken | {path for path, _ in similar.values()}
    found: list[Change] = []
    for change in changes:
        if change.change == "added" and change.path in pairs:
            found.append(_renamed(change, by_path[pairs[change.path]], 100))
        elif change.change == "added" and change.path in similar:
            path, per_cent = similar[change.path]
            found.append(_renamed(change, by_path[path], per_cent))
        elif change.change != "deleted" or change.path not in gone:
            found.append(change)
    return found


def _renamed(added: Change, deleted: Change, per_cent: int) -> Change:
    return replace(added, change="renamed", old=deleted.old, similarity=per_cent)


def _is_file(entry: Entry | None) -> bool:
    return entry is not None and entry.kind is Kind.FILE and bool(entry.sha256) and entry.size > 0


def _same(old: list[Change], new: list[Change]) -> Iterator[tuple[str, str]]:
    """Yield the new and the old path of files with the same content."""
    by_content: dict[str | None, list[str]] = {}
    for change in old:
        by_content.setdefault(change.old.sha256 if change.old else None, []).append(change.path)
    waiting = list(new)
    for same_name in (True, False):
        later: list[Change] = []
        for change in waiting:
            paths = by_content.get(change.new.sha256 if change.new else None, [])
            name = _name(change.path)
            fits = [path for path in paths if not same_name or _name(path) == name]
            if fits:
                paths.remove(fits[0])
                yield change.path, fits[0]
            else:
                later.append(change)
        waiting = later


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _similar(
    old: list[Change], new: list[Change], read: Callable[[Change], bytes]
) -> dict[str, tuple[str, int]]:
    """Return for new paths the old path that is most like it, and how much."""
    olds = [c for c in old if c.old and c.old.size <= _LARGEST_BYTES]
    news = [c for c in new if c.new and c.new.size <= _LARGEST_BYTES]
    if not olds or not news or len(olds) * len(news) > _MOST_PAIRS:
        return {}
    old_lines = {change.path: _lines(read(change)) for change in olds}
    scores: list[tuple[int, bool, str, str]] = []
    for change in news:
        lines = _lines(read(change))
        for path, before in old_lines.items():
            per_cent = _alike(before, lines)
            if per_cent >= _LEAST_PER_CENT:
                differs = _name(path) != _name(change.path)
                scores.append((-per_cent, differs, path, change.path))
    pairs: dict[str, tuple[str, int]] = {}
    used: set[str] = set()
    for score, _, old_path, new_path in sorted(scores):
        if old_path not in used and new_path not in pairs:
            used.add(old_path)
            pairs[new_path] = (old_path, -score)
    return pairs


def _lines(data: bytes) -> Counter[bytes]:
    return Counter(data.splitlines(keepends=True))


def _alike(old: Counter[bytes], new: Counter[bytes]) -> int:
    """Return the share of bytes in lines that both have, in per cent of the larger side."""
    shared = sum(len(line) * count for line, count in (old & new).items())
    largest = max(sum(len(line) * count for line, count in side.items()) for side in (old, new))
    return min(99, shared * 100 // largest) if largest else 0
