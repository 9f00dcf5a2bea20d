"""Look into the transcripts that Claude Code keeps in the home of its machine.

The home belongs to a hostile machine: names may be links, pipes or devices, files may grow without
end. Everything is opened relative to directory descriptors, without following links and without
waiting (decision C12), and each look reads a bounded amount.
"""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from collections import OrderedDict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.agents.json_shape import as_object, as_objects, as_text

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

_SESSION: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MAX_ENTRIES: Final = 512
"""Entries looked at in one directory."""
_MAX_READ: Final = 32 * 1024 * 1024
"""Bytes read in one look over all files; the next look goes on from there."""
_MAX_LINE: Final = 8 * 1024 * 1024
"""A longer line is skipped."""
_MAX_IDS: Final = 200_000
_MAX_SESSIONS: Final = 64


@dataclass
class _File:
    """How far one transcript has been read: up to the end of its last complete line."""

    inode: int
    offset: int = 0
    in_long_line: bool = False
    ids: set[str] = field(default_factory=set[str])


@dataclass
class _Session:
    """The files that the last look found; what is gone or was replaced counts no more."""

    files: dict[str, _File] = field(default_factory=dict[str, _File])


class TranscriptIndex:
    """Remembers which tool results are on disk, so that each look reads only what is new.

    May be used from several threads.
    """

    def __init__(self) -> None:
        """Start with nothing read."""
        self._lock = threading.Lock()
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    def holds(self, home: Path, session_id: str, tool_use_ids: Sequence[str]) -> bool:
        """Return whether a session's transcripts hold a result for each of these tool calls."""
        wanted = set(tool_use_ids)
        if not wanted:
            return True
        if not _SESSION.fullmatch(session_id):
            return False
        with self._lock:
            session = self._session(home, session_id)
            session.files = _Look(home, session_id, session.files).files
            return all(any(call in f.ids for f in session.files.values()) for call in wanted)

    def exists(self, home: Path, session_id: str) -> bool:
        """Return whether a session has a transcript with at least one complete line."""
        if not _SESSION.fullmatch(session_id):
            return False
        with self._lock:
            session = self._session(home, session_id)
            session.files = _Look(home, session_id, session.files).files
            return any(file.offset > 0 for file in session.files.values())

    def _session(self, home: Path, session_id: str) -> _Session:
        key = (str(home), session_id)
        session = self._sessions.setdefault(key, _Session())
        self._sessions.move_to_end(key)
        while len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session


class _Look:
    """One look at all files of a session: reads what has been added since the last one."""

    def __init__(self, home: Path, session_id: str, known: dict[str, _File]) -> None:
        self.files: dict[str, _File] = {}
        self._known = known
        self._budget = _MAX_READ
        try:
            self._walk(home, session_id)
        except OSError:
            return  # Not there yet, or not what it should be: then it holds nothing.

    def _walk(self, home: Path, session_id: str) -> None:
        with ExitStack() as stack:
            root = stack.enter_context(_opened(str(home), _DIRECTORY, None))
            device = os.fstat(root).st_dev
            claude = stack.enter_context(_opened(".claude", _DIRECTORY, root))
            projects = stack.enter_context(_opened("projects", _DIRECTORY, claude))
            for project in _names(projects):
                for directory, name, label in _session_files(projects, project, session_id):
                    self._read(directory, name, label, device)

    def _read(self, directory: int, name: str, label: str, device: int) -> None:
        try:
            with _opened(name, _FILE, directory) as descriptor:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_dev != device:
                    return
                known = self._known.get(label)
                if known is None or known.inode != status.st_ino or known.offset > status.st_size:
                    known = _File(status.st_ino)
                self.files[label] = known
                wanted = min(self._budget, status.st_size - known.offset)
                data = os.pread(descriptor, wanted, known.offset) if wanted > 0 else b""
        except OSError:
            return
        self._budget -= len(data)
        _take(data, known)


@contextmanager
def _opened(name: str, flags: int, directory: int | None) -> Generator[int]:
    descriptor = os.open(name, flags, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(directory: int) -> list[str]:
    names: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) >= _MAX_ENTRIES:
                break
    return sorted(names)


def _session_files(projects: int, project: str, session_id: str) -> Generator[tuple[int, str, str]]:
    """Yield directory descriptor, name and a unique label of each transcript of a session."""
    try:
        with _opened(project, _DIRECTORY, projects) as directory:
            yield directory, f"{session_id}.jsonl", project
            with (
                _opened(session_id, _DIRECTORY, directory) as own,
                _opened("subagents", _DIRECTORY, own) as subagents,
            ):
                for name in _names(subagents):
                    if name.endswith(".jsonl"):
                        yield subagents, name, f"{project}/{name}"
    except OSError:
        return


def _take(data: bytes, known: _File) -> None:
    """Add the results in the complete lines of `data`, and move the offset behind them."""
    end = data.rfind(b"\n") + 1
    lines = data[:end].split(b"\n")
    if end and known.in_long_line:
        lines = lines[1:]
        known.in_long_line = False
    for line in lines:
        if b'"tool_result"' in line and len(line) <= _MAX_LINE and len(known.ids) < _MAX_IDS:
            known.ids.update(_results(line))
    known.offset += end
    if len(data) - end > _MAX_LINE:
        known.offset += len(data) - end
        known.in_long_line = True


def _results(line: bytes) -> list[str]:
    """Return the ids of the tool results in one row of the conversation itself.

    Other rows repeat requests as they were sent, before the conversation was written.
    """
    try:
        row = as_object(json.loads(line))
    except (ValueError, RecursionError):
        return []
    if row.get("type") != "user":
        return []
    blocks = as_objects(as_object(row.get("message")).get("content"))
    return [
        as_text(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"
    ]
