"""Text patches between two snapshots, in the form that `git apply` takes."""

from __future__ import annotations

import base64
import hashlib
import zlib
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from autovibe.store.errors import PathNotFoundError
from autovibe.store.model import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from autovibe.store.protocol import CheckpointStore

_CONTEXT: Final = 3
_BINARY_PROBE: Final = 8_000  # where git looks for a NUL
_TEXT_LIMIT: Final = 4 << 20  # larger files are treated as binary
_COMPARE_LIMIT: Final = 4_000_000  # product of line counts beyond which a block is replaced whole
_ABSENT: Final = "0" * 40
_LINE_BYTES: Final = 52
_ESCAPES: Final = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    34: '\\"',
    92: "\\\\",
}

# From old line, to old line, from new line, to new line; equal when the flag says so.
_Block = tuple[bool, int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Side:
    mode: str
    data: bytes

    @property
    def is_binary(self) -> bool:
        return len(self.data) > _TEXT_LIMIT or b"\0" in self.data[:_BINARY_PROBE]

    @property
    def blob(self) -> str:
        """The id that git gives this content."""
        header = b"blob %d\0" % len(self.data)
        return hashlib.sha1(header + self.data, usedforsecurity=False).hexdigest()


def patch(
    store: CheckpointStore,
    a: str | None,
    b: str,
    *,
    path: str = "",
    paths: Collection[str] | None = None,
    binary: bool = False,
    renames: bool = False,
) -> str:
    """Return the changes from snapshot `a` to `b` as one patch in git's format.

    Bytes that are not UTF-8 are surrogates: write it with `errors="surrogateescape"` and
    `newline=""`. Git knows neither empty directories nor special files nor more of a mode than the
    executable bit: such changes are not in the patch.

    Args:
        store: any store.
        a: the older snapshot; None for nothing.
        b: the newer one.
        path: the directory that paths are relative to.
        paths: only these paths, as `diff` gives them; all by default.
        binary: write binary content, so that `git apply` can apply it; a note otherwise.
        renames: write a file that was renamed as such.

    Raises:
        PathNotFoundError: the snapshots do not have `path`.
        ObjectMissingError: a part is not in the store.
        ObjectCorruptError: a part is damaged.
    """
    sections = iter_patch(store, a, b, path=path, paths=paths, binary=binary, renames=renames)
    return "".join(sections)


def iter_patch(
    store: CheckpointStore,
    a: str | None,
    b: str,
    *,
    path: str = "",
    paths: Collection[str] | None = None,
    binary: bool = False,
    prefix: str = "",
    renames: bool = False,
) -> Iterator[str]:
    """Yield the patch of each changed path; arguments and errors as for `patch`.

    `prefix` is put before each path: where the directory lies in a repository, "" or ending in a
    slash.
    """
    chosen = None if paths is None else frozenset(paths)
    for change in store.diff(a, b, path=path, renames=renames):
        if chosen is not None and change.path not in chosen:
            continue
        before = change.path if change.old is None else change.old.path
        old = None if a is None else _load(store, a, path, before, change.old)
        new = _load(store, b, path, change.path, change.new)
        if old is not None and new is not None and old.mode[:2] != new.mode[:2]:
            # A link has become a file or the reverse: git writes a deletion and an addition.
            yield _section(prefix + change.path, old, None, binary=binary)
            yield _section(prefix + change.path, None, new, binary=binary)
        elif change.change == "renamed" and old is not None and new is not None:
            rename = (change.similarity, prefix + before)
            yield _section(prefix + change.path, old, new, binary=binary, rename=rename)
        elif old != new:
            yield _section(prefix + change.path, old, new, binary=binary)


def _load(
    store: CheckpointStore, root: str, base: str, path: str, entry: Entry | None
) -> _Side | None:
    if entry is None or entry.kind not in {Kind.FILE, Kind.SYMLINK}:
        return None
    if entry.kind is Kind.SYMLINK:
        return _Side("120000", entry.target.encode("utf-8", "surrogateescape"))
    mode = "100755" if entry.mode & 0o100 else "100644"
    if entry.sha256 is None:
        return None
    try:
        return _Side(mode, b"".join(store.read(root, f"{base}/{path}")))
    except PathNotFoundError:  # `base` is the file itself, and its path is its own name
        return _Side(mode, b"".join(store.read(root, base)))


def _section(
    path: str,
    old: _Side | None,
    new: _Side | None,
    *,
    binary: bool,
    rename: tuple[int, str] | None = None,
) -> str:
    before_path = rename[1] if rename else path
    lines = [f"diff --git {quote('a/' + before_path)} {quote('b/' + path)}\n"]
    if old is None and new is not None:
        lines.append(f"new file mode {new.mode}\n")
    elif new is None and old is not None:
        lines.append(f"deleted file mode {old.mode}\n")
    elif old is not None and new is not None and old.mode != new.mode:
        lines += (f"old mode {old.mode}\n", f"new mode {new.mode}\n")
    if rename:
        lines += (
            f"similarity index {rename[0]}%\n",
            f"rename from {quote(before_path)}\n",
            f"rename to {quote(path)}\n",
        )
    before, after = old.data if old else b"", new.data if new else b""
    if old is not None and new is not None and before == after:
        return "".join(lines)
    same_mode = f" {new.mode}" if old and new and old.mode == new.mode else ""
    old_blob, new_blob = old.blob if old else _ABSENT, new.blob if new else _ABSENT
    lines.append(f"index {old_blob}..{new_blob}{same_mode}\n")
    if before == after:  # an empty file was added or deleted
        return "".join(lines)
    old_name = _label("a/" + before_path) if old else "/dev/null"
    new_name = _label("b/" + path) if new else "/dev/null"
    if any(side is not None and side.is_binary for side in (old, new)):
        if binary:
            lines += ("GIT binary patch\n", *_literal(after), "\n")
        else:
            lines.append(f"Binary files {old_name.strip()} and {new_name.strip()} differ\n")
        return "".join(lines)
    lines += (f"--- {old_name}\n", f"+++ {new_name}\n")
    lines += hunks(_lines(before), _lines(after))
    return "".join(lines)


def quote(name: str) -> str:
    """Quote a path as git does when it holds anything but plain printable ASCII."""
    raw = name.encode("utf-8", "surrogateescape")
    if all(32 <= byte < 127 and byte not in {34, 92} for byte in raw):
        return name
    quoted = "".join(
        _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in raw
    )
    return f'"{quoted}"'


def _label(name: str) -> str:
    quoted = quote(name)
    # A tab ends the name where a blank would leave it open whether a time follows.
    return f"{quoted}\t" if " " in quoted and quoted == name else quoted


def _literal(data: bytes) -> Iterator[str]:
    yield f"literal {len(data)}\n"
    packed = zlib.compress(data)
    for at in range(0, len(packed), _LINE_BYTES):
        line = packed[at : at + _LINE_BYTES]
        length = (
            chr(ord("A") + len(line) - 1) if len(line) <= 26 else chr(ord("a") + len(line) - 27)
        )
        yield f"{length}{base64.b85encode(line, pad=True).decode('ascii')}\n"


def _lines(data: bytes) -> list[str]:
    """Split at newlines only, keeping them: a carriage return is content."""
    parts = data.decode("utf-8", "surrogateescape").split("\n")
    last = parts.pop()
    return [f"{part}\n" for part in parts] + ([last] if last else [])


def hunks(old: list[str], new: list[str]) -> Iterator[str]:
    """Yield the lines of a unified diff with three lines of context."""
    for group in _groups(_blocks(old, new)):
        old_from, old_to = group[0][1], group[-1][2]
        new_from, new_to = group[0][3], group[-1][4]
        yield f"@@ -{_range(old_from, old_to)} +{_range(new_from, new_to)} @@\n"
        for equal, i, j, k, m in group:
            if equal:
                yield from _marked(" ", old[i:j])
            else:
                yield from _marked("-", old[i:j])
                yield from _marked("+", new[k:m])


def _marked(mark: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.endswith("\n"):
            yield mark + line
        else:
            yield f"{mark}{line}\n\\ No newline at end of file\n"


def _range(start: int, stop: int) -> str:
    count = stop - start
    if count == 1:
        return str(start + 1)
    return f"{start + 1 if count else start},{count}"


def _blocks(old: list[str], new: list[str]) -> list[_Block]:
    """Return alternating equal and changed blocks; equal ends are cut off before comparing."""
    head = 0
    limit = min(len(old), len(new))
    while head < limit and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < limit - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old_end, new_end = len(old) - tail, len(new) - tail
    blocks: list[_Block] = [(True, 0, head, 0, head)] if head else []
    if (old_end - head) * (new_end - head) > _COMPARE_LIMIT:
        blocks.append((False, head, old_end, head, new_end))
    else:
        matcher = SequenceMatcher(None, old[head:old_end], new[head:new_end], autojunk=False)
        blocks += [
            (tag == "equal", i + head, j + head, k + head, m + head)
            for tag, i, j, k, m in matcher.get_opcodes()
        ]
    if tail:
        blocks.append((True, old_end, len(old), new_end, len(new)))
    return blocks


def _groups(blocks: list[_Block]) -> Iterator[list[_Block]]:
    """Cut the blocks into hunks: at equal runs longer than twice the context."""
    group: list[_Block] = []
    for index, (equal, i, j, k, m) in enumerate(blocks):
        if not equal:
            group.append((False, i, j, k, m))
            continue
        first, last = index == 0, index == len(blocks) - 1
        if not (first or last) and j - i <= 2 * _CONTEXT:
            group.append((True, i, j, k, m))
            continue
        lead, follow = min(j, i + _CONTEXT), max(i, j - _CONTEXT)
        if group:
            group.append((True, i, lead, k, k + lead - i))
            yield group
            group = []
        if not last:
            group.append((True, follow, j, m - (j - follow), m))
    if any(not block[0] for block in group):
        yield group
