"""Reading what `git fast-export` printed about a hostile repository, strictly.

Nothing is guessed: a line that is not exactly what git prints ends the reading. Sizes and counts
are bounded before anything is kept.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from autovibe.domains.work.errors import HistoryUnreadableError, HistoryUnrelatedError

COMMIT_LIMIT: Final = 1_000
CHANGE_LIMIT: Final = 200_000
STREAM_LIMIT: Final = 1024 * 1024 * 1024
MESSAGE_LIMIT: Final = 64 * 1024
HEAD_LINE: Final = b"head "
ONE_COMMIT: Final = "leave --keep-commits out to get one commit of all"
_LINE_LIMIT: Final = 64 * 1024
_LINK_LIMIT: Final = 4_096
_HASH: Final = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_MARK: Final = re.compile(rb":[1-9][0-9]{0,9}")
_SIZE: Final = re.compile(rb"data (0|[1-9][0-9]{0,10})")
_MODIFY: Final = re.compile(rb"M ([0-7]{6}) (:[1-9][0-9]{0,9}|[0-9a-f]{40,64}) (.+)", re.DOTALL)
_ESCAPE: Final = re.compile(rb'\\([abfnrtv"\\]|[0-3][0-7]{2})')
_ESCAPED: Final = dict(zip(b'abfnrtv"\\', b'\a\b\f\n\r\t\v"\\', strict=True))
_QUOTED: Final = re.compile(rb'"((?:[^"\\\n]|\\(?:[abfnrtv"\\]|[0-3][0-7]{2}))*)"')
_MODES: Final = frozenset({"100644", "100755", "120000"})
_LINK: Final = "120000"


@dataclass(frozen=True)
class FileVersion:
    """What a commit puts at a path: a mode of git, and the file of ours with the content."""

    mode: str
    file: Path


@dataclass
class AgentCommit:
    """A commit as the agent made it: nothing of it is cleaned yet. `None` deletes a path."""

    author: bytes = b""
    message: bytes = b""
    changes: dict[str, FileVersion | None] = field(default_factory=dict[str, FileVersion | None])


async def read_history(pieces: AsyncIterator[bytes], base: str, folder: Path) -> list[AgentCommit]:
    """Read the commits that lead from `base` to HEAD, the oldest first.

    Args:
        pieces: the line `head HASH`, and what `git fast-export --first-parent` prints.
        base: the hash of the commit that the task began with.
        folder: an empty directory of ours for the contents.

    Raises:
        HistoryUnreadableError: it is none, or larger than the limits.
        HistoryUnrelatedError: the commits do not lead back to `base`.
    """
    return await _Reader(_Bytes(pieces), base.encode(), folder).read()


class _Bytes:
    """Lines and counted bytes of a stream, in bounded memory."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self._total = 0

    async def _more(self) -> None:
        piece = await anext(self._pieces, b"")
        self._total += len(piece)
        if self._total > STREAM_LIMIT:
            raise HistoryUnreadableError(
                f"The agent's commits are larger than {STREAM_LIMIT >> 20} MiB; {ONE_COMMIT}."
            )
        if not piece:
            raise _malformed("it ends too early")
        self._held += piece

    async def line(self) -> bytes:
        while b"\n" not in self._held:
            if len(self._held) > _LINE_LIMIT:
                raise _malformed("a line is too long")
            await self._more()
        line, _, self._held = self._held.partition(b"\n")
        if len(line) > _LINE_LIMIT:
            raise _malformed("a line is too long")
        return line

    async def copy(self, size: int, target: IO[bytes] | None) -> None:
        """Take the next bytes; without a target they are dropped."""
        while size:
            if not self._held:
                await self._more()
            part, self._held = self._held[:size], self._held[size:]
            size -= len(part)
            if target is not None:
                target.write(part)

    async def take(self, size: int) -> bytes:
        while len(self._held) < size:
            await self._more()
        part, self._held = self._held[:size], self._held[size:]
        return part

    async def skip_newline(self) -> None:
        """Take the newline that git puts after counted bytes, if it is there."""
        if not self._held:
            await self._more()
        if self._held.startswith(b"\n"):
            self._held = self._held[1:]


class _Reader:
    def __init__(self, source: _Bytes, base: bytes, folder: Path) -> None:
        self._source = source
        self._tip = base
        self._folder = folder
        self._blobs: dict[bytes, Path] = {}
        self._commits: list[AgentCommit] = []
        self._changes = 0

    async def read(self) -> list[AgentCommit]:
        head = await self._source.line()
        if not (head.startswith(HEAD_LINE) and _HASH.fullmatch(head[len(HEAD_LINE) :])):
            raise _malformed("it does not begin with its HEAD")
        is_base = head[len(HEAD_LINE) :] == self._tip
        line = await self._source.line()
        while line != b"done":
            line = await self._command(line)
        if not self._commits and not is_base:
            # HEAD lies before the commit of the import.
            raise history_unrelated()
        return self._commits

    async def _command(self, line: bytes) -> bytes:
        """Read one command; return the line after it."""
        if line == b"blob":
            await self._blob()
        elif line.startswith(b"commit "):
            return await self._commit()
        elif line.startswith(b"reset "):
            following = await self._source.line()
            return await self._source.line() if following.startswith(b"from ") else following
        elif line not in {b"", b"feature done"}:
            raise _malformed("it holds an unknown command")
        return await self._source.line()

    async def _mark(self) -> bytes:
        line = await self._source.line()
        mark = line.removeprefix(b"mark ")
        if not _MARK.fullmatch(mark) or line == mark:
            raise _malformed("a mark is missing")
        return mark

    async def _size(self, line: bytes) -> int:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise _malformed("a size is missing")
        return int(found[1])

    async def _blob(self) -> None:
        mark = await self._mark()
        if len(self._blobs) >= CHANGE_LIMIT:
            raise _too_many()
        size = await self._size(await self._source.line())
        path = self._folder / str(len(self._blobs))
        with path.open("xb") as target:
            await self._source.copy(size, target)
        await self._source.skip_newline()
        self._blobs[mark] = path

    async def _commit(self) -> bytes:
        if len(self._commits) >= COMMIT_LIMIT:
            raise HistoryUnreadableError(
                f"The agent made more than {COMMIT_LIMIT:,} commits; {ONE_COMMIT}."
            )
        mark = await self._mark()
        commit = AgentCommit()
        line = await self._source.line()
        while not line.startswith(b"data "):
            if line.startswith(b"author "):
                commit.author = line.removeprefix(b"author ")
            elif not line.startswith((b"committer ", b"encoding ")):
                raise _malformed("a commit has an unknown line")
            line = await self._source.line()
        size = await self._size(line)
        commit.message = await self._source.take(min(size, MESSAGE_LIMIT))
        await self._source.copy(size - len(commit.message), None)
        await self._source.skip_newline()
        line = await self._source.line()
        if line != b"from " + self._tip:
            raise history_unrelated()
        line = await self._source.line()
        # What was merged arrives with the merge: only first parents are followed.
        while line.startswith(b"merge "):
            line = await self._source.line()
        while line.startswith((b"M ", b"D ")):
            self._change(commit, line)
            line = await self._source.line()
        self._commits.append(commit)
        self._tip = mark
        return line

    def _change(self, commit: AgentCommit, line: bytes) -> None:
        self._changes += 1
        if self._changes > CHANGE_LIMIT:
            raise _too_many()
        if line.startswith(b"D "):
            commit.changes[_path(line[2:])] = None
            return
        found = _MODIFY.fullmatch(line)
        if found is None:
            raise _malformed("a change is malformed")
        mode, path = found[1].decode(), _path(found[3])
        if mode not in _MODES:
            raise HistoryUnreadableError(
                "One of the agent's commits holds a submodule or another thing that is no file or "
                f"link; {ONE_COMMIT}."
            )
        file = self._blobs.get(found[2])
        if file is None:
            raise _malformed("a content is missing")
        if mode == _LINK and not _is_link_target(file):
            raise _malformed("a link leads nowhere")
        commit.changes[path] = FileVersion(mode, file)


def _is_link_target(file: Path) -> bool:
    return 0 < file.stat().st_size <= _LINK_LIMIT and b"\0" not in file.read_bytes()


def _path(text: bytes) -> str:
    if text.startswith(b'"'):
        found = _QUOTED.fullmatch(text)
        if found is None:
            raise _malformed("a path is malformed")
        text = _ESCAPE.sub(_unescaped, found[1])
    if not text or b"\0" in text:
        raise _malformed("a path is malformed")
    # As the store and the file system give names: bytes that are no UTF-8 as lone surrogates.
    return text.decode("utf-8", "surrogateescape")


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([_ESCAPED[code[0]] if len(code) == 1 else int(code, 8)])


def history_unrelated() -> HistoryUnrelatedError:
    """Return the error for commits that do not go on from the one of the import."""
    return HistoryUnrelatedError(
        "The agent's commits do not go on from the commit that the task began with (it amended, "
        f"rebased or left it); {ONE_COMMIT}."
    )


def _too_many() -> HistoryUnreadableError:
    return HistoryUnreadableError(
        f"The agent's commits change more than {CHANGE_LIMIT:,} files; {ONE_COMMIT}."
    )


def _malformed(why: str) -> HistoryUnreadableError:
    return HistoryUnreadableError(
        f"The repository in the machine cannot be read ({why}); {ONE_COMMIT}."
    )
