"""Writing commits into a user's repository through an index and a work tree of our own.

Index and work tree of the user are never touched, and no filter, hook or attribute runs
(decision B10).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.domains.checkpoints.git import GitFailedError, git, ignored_paths
from autovibe.kernel.faults import reach
from autovibe.store import CheckpointStore, Entry

WORKSPACE: Final = "workspace"
_RULES_NAME: Final = ".gitignore"
_RULES_LIMIT: Final = 1024 * 1024
_GITLINK: Final = "160000"
_NO_IDENTITY: Final = (
    "empty ident",
    "auto-detection is disabled",
    "unable to auto-detect",
    "identity unknown",
)


@dataclass(frozen=True)
class Tracked:
    """What the index holds of the directory; paths are relative to it.

    `gitlinks` are submodules. A directory inside a submodule cannot be in the index.
    """

    files: frozenset[str]
    gitlinks: frozenset[str]


@dataclass(frozen=True)
class Author:
    """Who made a commit; `date` is as git reads it, now when it is empty."""

    name: str
    email: str
    date: str

    def environment(self) -> dict[str, str]:
        """Return the variables that tell git."""
        told = {"GIT_AUTHOR_NAME": self.name, "GIT_AUTHOR_EMAIL": self.email}
        return told | ({"GIT_AUTHOR_DATE": self.date} if self.date else {})


class CommitWriter:
    """Makes commits on top of one that is in the repository already.

    Args:
        store: holds the snapshots.
        directory: of the user, inside the repository.
        prefix: its path below the top level, "" or ending in a slash.
        scratch: an empty directory of our own.
    """

    def __init__(self, store: CheckpointStore, directory: Path, prefix: str, scratch: Path) -> None:
        """Prepare to write; nothing is made before `start`."""
        self._store = store
        self._directory = directory
        self._prefix = prefix
        self._scratch = scratch
        self._environment = {"GIT_INDEX_FILE": str(scratch / "index")}
        self._with_rules: set[str] = set()

    async def start(self, commit: str) -> Tracked:
        """Begin with the content of a commit; return what it tracks below the directory."""
        await self._git("read-tree", commit)
        listing = await self._git("ls-files", "--stage", "-z", "--", ".")
        records = [record.partition("\t") for record in listing.split("\0") if record]
        links = frozenset(path for state, _, path in records if state.startswith(_GITLINK))
        return Tracked(frozenset(path for _, _, path in records) - links, links)

    async def restart(self, commit: str) -> None:
        """Go on with the content of a commit, whatever was written since."""
        await self._git("read-tree", commit)

    async def ignored(self, root: str, paths: Sequence[str]) -> set[str]:
        """Return those of the paths that the rules in a snapshot ignore; tracked ones never are.

        The rules are taken from the snapshot and not from the user's work tree, which may look
        different by now.
        """
        top = self._scratch / f"rules-{root[:12]}"
        found = await git(self._directory, "rev-parse", "--absolute-git-dir", "--show-toplevel")
        git_dir, own_top = os.fsdecode(found.out).split("\n")[:2]
        if root not in self._with_rules:
            await asyncio.to_thread(self._write_rules, root, top, Path(own_top))
            self._with_rules.add(root)
        environment = {**self._environment, "GIT_DIR": git_dir, "GIT_WORK_TREE": str(top)}
        return await ignored_paths(top / self._prefix, paths, environment)

    def _write_rules(self, root: str, top: Path, own_top: Path) -> None:
        here = top / self._prefix
        here.mkdir(parents=True)
        for parent in Path(self._prefix).parents if self._prefix else ():
            own = own_top / parent / _RULES_NAME
            if own.is_file() and not own.is_symlink():
                shutil.copyfile(own, top / parent / _RULES_NAME)
        for entry in self._store.entries(root, WORKSPACE):
            parts = entry.path.split("/")
            if parts[-1] != _RULES_NAME or entry.kind != "file" or parts[0] == ".git":
                continue
            if entry.size > _RULES_LIMIT:
                continue
            target = here / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"".join(self._store.read(root, f"{WORKSPACE}/{entry.path}")))

    async def commit(
        self, root: str, changes: Sequence[tuple[str, Entry | None]], parent: str, message: str
    ) -> str:
        """Commit entries of a snapshot on top of `parent`; `None` deletes a path.

        Returns the new commit, or `parent` when git sees no difference.

        Raises:
            GitFailedError: git does not know who commits, or cannot write.
        """
        tree = await self.tree(root, changes, len(parent))
        return await self.commit_changed(tree, parent, message)

    async def tree(
        self, root: str, changes: Sequence[tuple[str, Entry | None]], hash_size: int
    ) -> str:
        """Write entries of a snapshot over what was written before; return the tree.

        Args:
            root: of the snapshot.
            changes: paths below the directory; `None` deletes.
            hash_size: characters of a hash in this repository.
        """
        blobs = [(path, entry) for path, entry in changes if entry is not None and is_blob(entry)]
        written = {path for path, _ in blobs}
        lines = [f"0 {'0' * hash_size}\t{self._prefix}{p}" for p, _ in changes if p not in written]
        hashes = await self._write_blobs(root, blobs)
        reach("blobs_written")
        for (path, entry), blob in zip(blobs, hashes, strict=True):
            lines.append(f"{_git_mode(entry)} {blob}\t{self._prefix}{path}")
        return await self.stage(lines)

    async def stage(self, lines: Sequence[str]) -> str:
        """Change the index by lines of `update-index --index-info`; return the tree of it."""
        records = b"".join(os.fsencode(line) + b"\0" for line in lines)
        await self._git("update-index", "-z", "--index-info", stdin=records)
        return (await self._git("write-tree")).strip()

    async def commit_changed(self, tree: str, parent: str, message: str) -> str:
        """Commit a tree on top of `parent`, or return `parent` when it has this tree.

        Raises:
            GitFailedError: git does not know who commits, or cannot write.
        """
        if await self.has_tree(parent, tree):
            return parent
        return await self.commit_tree(tree, parent, message)

    async def has_tree(self, commit: str, tree: str) -> bool:
        """Return whether a commit has this tree."""
        return (await self._git("rev-parse", f"{commit}^{{tree}}")).strip() == tree

    async def _write_blobs(self, root: str, blobs: Sequence[tuple[str, Entry]]) -> list[str]:
        if not blobs:
            return []
        folder = self._scratch / "blobs"

        def extract() -> list[Path]:
            folder.mkdir()
            return [
                self._extract(root, path, entry, folder / str(number))
                for number, (path, entry) in enumerate(blobs)
            ]

        files = await asyncio.to_thread(extract)
        hashes = await self.write_files(files)
        await asyncio.to_thread(shutil.rmtree, folder)
        return hashes

    async def write_files(self, files: Sequence[Path]) -> list[str]:
        """Write files of ours as blobs, byte for byte; return their hashes."""
        names = "".join(f"{file}\n" for file in files).encode()
        listing = await self._git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names)
        return listing.split()

    def _extract(self, root: str, path: str, entry: Entry, file: Path) -> Path:
        if entry.kind == "symlink":
            file.write_bytes(os.fsencode(entry.target))
            return file
        with file.open("wb") as target:
            for piece in self._store.read(root, f"{WORKSPACE}/{path}"):
                target.write(piece)
        return file

    async def commit_tree(
        self, tree: str, parent: str, message: str, author: Author | None = None
    ) -> str:
        """Commit a tree on top of `parent`, by the user when no author is given.

        Raises:
            GitFailedError: git does not know who commits, or cannot write.
        """
        # A guessed name or address would be an author that nobody configured.
        options = ("-c", "user.useConfigOnly=true", "-c", "i18n.commitEncoding=UTF-8")
        try:
            answer = await self._git(
                *options,
                *("commit-tree", tree, "-p", parent, "-F", "-"),
                stdin=message.encode(),
                environment=author.environment() if author else {},
            )
        except GitFailedError as error:
            if any(sign in error.message.lower() for sign in _NO_IDENTITY):
                raise GitFailedError(
                    "git does not know who you are; set user.name and user.email with `git config`."
                ) from error
            raise
        return answer.strip()

    async def _git(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> str:
        variables = {**self._environment, **(environment or {})}
        answer = await git(self._directory, *arguments, stdin=stdin, environment=variables)
        return os.fsdecode(answer.out)


def is_blob(entry: Entry | None) -> bool:
    """Return whether git can hold the entry: files and links, not directories or devices."""
    return entry is not None and entry.kind in {"file", "symlink"}


def _git_mode(entry: Entry) -> str:
    if entry.kind == "symlink":
        return "120000"
    return "100755" if entry.mode & 0o100 else "100644"
