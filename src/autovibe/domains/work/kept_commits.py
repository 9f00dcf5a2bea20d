"""The commits that an agent made in its machine, made anew in the user's repository (decision B10).

Git of the host never opens the machine's repository: a `HistoryReader` prints it where it can do
no harm, and what is printed is read by `history_stream`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.domains.work.commit_writer import WORKSPACE, Author, CommitWriter
from autovibe.domains.work.errors import HistoryUnreadableError
from autovibe.domains.work.history_stream import (
    MESSAGE_LIMIT,
    ONE_COMMIT,
    AgentCommit,
    read_history,
)
from autovibe.domains.work.ports import HistoryReader
from autovibe.kernel.text import printable
from autovibe.store import CheckpointStore, PathNotFoundError

_TRAILER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*: .*")
_FORGED: Final = re.compile(r"\s*autovibe-task\s*:", re.IGNORECASE)
_AUTHOR: Final = re.compile(rb"([^<>]*)<([^<>]*)>(?: (-?[0-9]{1,20}) ([+-][0-9]{4}))?")
# Git itself takes these away from both ends of a name, and refuses what is nothing else.
_CRUD: Final = " .,:;<>\"\\'"
_NAME_LIMIT: Final = 200
_LATEST: Final = 4_102_444_800  # the year 2100
_LARGEST_ZONE: Final = 1400
_UNKNOWN_NAME: Final = "unknown"
_UNKNOWN_EMAIL: Final = "unknown@machine.invalid"


@dataclass(frozen=True)
class CleanCommit:
    """What is kept of a commit beside its files. `author.date` is empty when it had none."""

    author: Author
    message: str


async def agent_commits(
    store: CheckpointStore, history: HistoryReader, result_root: str, base: str, scratch: Path
) -> list[AgentCommit]:
    """Read the commits in the repository of a result, the oldest first.

    Args:
        store: holds the result.
        history: prints a repository.
        result_root: of the result.
        base: the commit of the import.
        scratch: an empty directory of our own.

    Raises:
        NoIsolationError: the repository cannot be opened safely here.
        HistoryUnreadableError: it is damaged, or larger than the limits.
        HistoryUnrelatedError: its commits do not go on from `base`.
    """
    repository, contents = scratch / "repository", scratch / "contents"
    contents.mkdir()
    try:
        await asyncio.to_thread(store.restore, result_root, repository, path=f"{WORKSPACE}/.git")
    except PathNotFoundError:
        # A subdirectory of a repository was imported, or the agent removed it.
        return []
    # A file or a link named `.git` is put into the directory under that name.
    if (repository / "HEAD").is_symlink() or not (repository / "HEAD").is_file():
        raise HistoryUnreadableError(
            f"What is named .git in the machine is no repository; {ONE_COMMIT}."
        )
    async with contextlib.aclosing(history.export_history(repository, base)) as pieces:
        return await read_history(pieces, base, contents)


def clean_commit(commit: AgentCommit, task_id: str) -> CleanCommit:
    """Return author and message without anything that a terminal or git would obey."""
    return CleanCommit(_author(commit.author), _message(commit.message, task_id))


def _author(line: bytes) -> Author:
    found = _AUTHOR.fullmatch(line)
    if found is None:
        return Author(_UNKNOWN_NAME, _UNKNOWN_EMAIL, "")
    name = _one_line(found[1]) or _UNKNOWN_NAME
    email = _one_line(found[2]).replace(" ", "") or _UNKNOWN_EMAIL
    date = ""
    if found[3] is not None and 0 <= int(found[3]) <= _LATEST:
        zone = found[4].decode()
        minutes_fit = int(zone[3:]) < 60
        fits = int(zone[1:]) <= _LARGEST_ZONE and minutes_fit
        # The @ keeps git from reading a small number as a date of another form.
        date = f"@{int(found[3])} {zone if fits else '+0000'}"
    return Author(name, email, date)


def _one_line(text: bytes) -> str:
    shown = "".join(
        char
        for char in text[: _NAME_LIMIT * 4].decode("utf-8", "replace")
        if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )
    return shown[:_NAME_LIMIT].strip(_CRUD)


def _message(text: bytes, task_id: str) -> str:
    decoded = text[:MESSAGE_LIMIT].decode("utf-8", "replace").replace("\r\n", "\n")
    lines = [line.rstrip() for line in printable(decoded).split("\n")]
    kept = [line for line in lines if not _FORGED.match(line)]
    body = "\n".join(kept).strip("\n") or "(no message)"
    last = body.rsplit("\n\n", 1)[-1].split("\n")
    joins = "\n\n" in body and all(_TRAILER.fullmatch(line) for line in last)
    return f"{body}\n{'' if joins else chr(10)}Autovibe-Task: {task_id}\n"


async def write_commits(
    writer: CommitWriter,
    commits: Sequence[AgentCommit],
    left_out: Collection[str],
    parent: str,
    task_id: str,
) -> str:
    """Make each commit anew on top of `parent`, all but the paths that are left out.

    Returns the last one. The writer must stand at `parent`, and does so again afterwards.

    Raises:
        GitFailedError: git does not know who commits, or cannot write.
    """
    files = list(
        dict.fromkeys(
            version.file
            for commit in commits
            for path, version in commit.changes.items()
            if version is not None and path not in left_out
        )
    )
    blobs = dict(zip(files, await writer.write_files(files), strict=True))
    none = "0" * len(parent)
    beginning = parent
    for commit in commits:
        wanted = [item for item in commit.changes.items() if item[0] not in left_out]
        lines = [f"0 {none}\t{path}" for path, version in wanted if version is None]
        lines += [
            f"{version.mode} {blobs[version.file]}\t{path}"
            for path, version in wanted
            if version is not None
        ]
        tree = await writer.stage(lines)
        clean = clean_commit(commit, task_id)
        parent = await writer.commit_tree(tree, parent, clean.message, clean.author)
    await writer.restart(beginning)
    return parent


def apply_message(title: str, task_id: str, *, after_others: bool) -> str:
    """Return the message of the commit of all, or of what the agent had not committed."""
    rest = "What the agent had not committed.\n\n" if after_others else ""
    return f"{title}\n\n{rest}Autovibe-Task: {task_id}\n"


def paths_of(commits: Sequence[AgentCommit]) -> list[str]:
    """Return every path that the commits touch, once."""
    return list(dict.fromkeys(path for commit in commits for path in commit.changes))
