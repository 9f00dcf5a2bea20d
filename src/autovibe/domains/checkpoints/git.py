"""Reading and writing a user's git repository without obeying anything that stands in it.

Every command runs without hooks, file-system monitors, system configuration, pagers, prompts and
any way to another repository (decision B10). Nothing here touches an index or a work tree of the
user.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autovibe.kernel.errors import AutovibeError, Code

_SAFE_OPTIONS: Final = (
    "--no-pager",
    "--no-optional-locks",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.protectHFS=true",
    "-c",
    "core.protectNTFS=true",
    "-c",
    "core.quotePath=false",
    "-c",
    "gc.auto=0",
)
_KEPT_VARIABLES: Final = (
    "HOME",
    "PATH",
    "XDG_CONFIG_HOME",
    "GIT_CONFIG_GLOBAL",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
)
_SAFE_VARIABLES: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    # A missing object of a partial clone is fetched on sight, by whatever command the remote's URL
    # names. No configuration can allow what this variable does not name.
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
_NESTED_LIMIT: Final = 20
_FATAL: Final = 128


class GitFailedError(AutovibeError):
    """A git command failed for a reason that nobody expected."""

    code = Code.FAILED_PRECONDITION
    reason = "GIT_FAILED"


@dataclass(frozen=True)
class GitOutput:
    """What a git command printed."""

    status: int
    out: bytes
    err: str


async def git(
    directory: Path,
    *arguments: str,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> GitOutput:
    """Run one git command in a directory.

    Args:
        directory: where to run it.
        arguments: sub-command and its arguments.
        stdin: given on standard input.
        environment: added to the few variables that are passed on.
        check: raise when the exit status is not zero.

    Raises:
        GitFailedError: git is not installed, or failed and `check` is set.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *_SAFE_OPTIONS,
            *arguments,
            cwd=directory,
            env={**kept, **_SAFE_VARIABLES, **(environment or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise GitFailedError("git is not installed; install it and try again.") from None
    try:
        out, err = await process.communicate(stdin)
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    status = process.returncode or 0
    message = err.decode(errors="replace").strip()
    if check and status != 0:
        raise GitFailedError(
            f"git {arguments[0]} failed in {directory}: {message or f'exit status {status}'}.",
            command=arguments[0],
        )
    return GitOutput(status, out, message)


@dataclass(frozen=True)
class WorkTree:
    """What git says about a directory at import.

    `prefix` is the directory's path below the top level, "" or ending in a slash. `head_commit` is
    empty before the first commit. `dirty_paths` are relative to the directory, deleted ones too;
    ignored files are not among them.
    """

    top_level: Path
    prefix: str
    head_commit: str
    dirty_paths: Sequence[str] = field(default_factory=tuple[str, ...])


async def find_work_tree(directory: Path) -> WorkTree | None:
    """Return what git says about a directory, `None` outside a work tree.

    Raises:
        GitFailedError: git is missing, or refuses the directory because of its owner.
    """
    where = await git(directory, "rev-parse", "--show-toplevel", "--show-prefix", check=False)
    if where.status != 0:
        if "dubious ownership" in where.err:
            raise untrusted(directory)
        return None
    lines = os.fsdecode(where.out).split("\n")
    if not lines[0]:
        return None
    head = await git(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False)
    status = await git(
        directory,
        "status",
        "--porcelain=v1",
        "-z",
        "--untracked-files=all",
        "--no-renames",
        "--ignore-submodules=all",
        "--",
        ".",
        environment=await _own_filters_off(directory),
    )
    prefix = lines[1] if len(lines) > 1 else ""
    dirty = tuple(
        os.fsdecode(record[3:]).removeprefix(prefix)
        for record in status.out.split(b"\0")
        if len(record) > 3
    )
    head_commit = head.out.decode().strip() if head.status == 0 else ""
    return WorkTree(Path(lines[0]), prefix, head_commit, dirty)


def untrusted(directory: Path) -> GitFailedError:
    """Return the error for a repository of another user, which git refuses to read."""
    return GitFailedError(
        f"git does not trust {directory}, because another user owns it; run: "
        f"git config --global --add safe.directory {directory}"
    )


async def _own_filters_off(directory: Path) -> dict[str, str]:
    """Return variables that switch off the content filters which the repository itself configures.

    `git status` runs the clean filter of a file that may have changed. One in the repository's own
    configuration came with the directory, which may have been restored from a machine; those in
    the user's configuration are the user's.
    """
    listing = await git(directory, "config", "--list", "--show-scope", "--name-only", "-z")
    fields = os.fsdecode(listing.out).split("\0")
    own = [
        name
        for scope, name in zip(fields[::2], fields[1::2], strict=False)
        if scope not in {"system", "global", "command"} and name.startswith("filter.")
    ]
    variables = {"GIT_CONFIG_COUNT": str(len(own))}
    for number, name in enumerate(own):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = "false" if name.endswith(".required") else ""
    return variables


async def untracked_paths(directory: Path) -> list[str]:
    """List the untracked files of a directory, ignored ones included, relative to it.

    Repositories within it, submodules too, have tracked files of their own and are asked in turn.
    """
    found: list[str] = []
    await _add_untracked(directory, "", found, _NESTED_LIMIT)
    return found


async def _add_untracked(directory: Path, prefix: str, found: list[str], levels: int) -> None:
    here = directory / prefix
    listing = await git(here, "ls-files", "--others", "-z", "--", ".")
    nested = await _submodules(here)
    for path in _paths(listing.out):
        # Only a repository within this one is listed as a directory.
        if path.endswith("/"):
            nested.append(path)
        else:
            found.append(prefix + path)
    for path in nested:
        if levels and (here / path / ".git").exists():
            await _add_untracked(directory, prefix + path.rstrip("/") + "/", found, levels - 1)


async def _submodules(directory: Path) -> list[str]:
    listing = await git(directory, "ls-files", "--stage", "-z", "--", ".")
    records = (record.partition("\t") for record in _paths(listing.out))
    return [path for state, _, path in records if state.startswith("160000 ")]


async def ignored_paths(
    directory: Path, paths: Sequence[str], environment: Mapping[str, str] | None = None
) -> set[str]:
    """Return those of the paths that the repository ignores; tracked ones never are.

    Args:
        directory: what the paths are relative to.
        paths: need not exist.
        environment: as for `git`.
    """
    if not paths:
        return set()
    # A name may begin with a colon, which would be read as magic.
    given = b"".join(b"./" + os.fsencode(path) + b"\0" for path in paths)
    # Exit status 1 means that none is ignored.
    answer = await git(
        directory,
        "check-ignore",
        "-z",
        "--stdin",
        stdin=given,
        environment=environment,
        check=False,
    )
    if answer.status >= _FATAL:
        raise GitFailedError(f"git check-ignore failed in {directory}: {answer.err}.")
    return {path.removeprefix("./") for path in _paths(answer.out)}


def _paths(listing: bytes) -> list[str]:
    return [os.fsdecode(path) for path in listing.split(b"\0") if path]
