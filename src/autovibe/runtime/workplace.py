"""The directories of one machine: restored from a checkpoint, made safe, removed in the end."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from autovibe.domains.checkpoints import REPOSITORY_ROOT
from autovibe.store import CheckpointStore, StatCache

_URL: Final = re.compile(
    r"^(?P<lead>\s*(?:push)?url\s*=\s*)(?P<url>\S+)(?P<tail>.*)$", re.IGNORECASE
)
_SECTION: Final = re.compile(r"^\s*\[\s*(?P<name>[A-Za-z0-9.-]+)")
_SECRET_SECTIONS: Final = frozenset({"credential", "http", "include", "includeif", "url"})


@dataclass(frozen=True)
class Workplace:
    """Host directories of one machine."""

    root: Path

    @property
    def tree(self) -> Path:
        """What a checkpoint holds."""
        return self.root / "tree"

    @property
    def workspace(self) -> Path:
        """The files that the agent works on."""
        return self.tree / "workspace"

    @property
    def home(self) -> Path:
        """The agent's home, its conversation included."""
        return self.tree / "home"

    @property
    def settings(self) -> Path:
        """Files that the machine sees read-only."""
        return self.root / "settings"

    @property
    def stderr(self) -> Path:
        """What the agent writes on standard error."""
        return self.root / "stderr.log"

    def prepare(self, store: CheckpointStore, checkpoint_root: str, cache: StatCache) -> None:
        """Restore a checkpoint into fresh directories.

        Raises:
            AutovibeError: the store cannot give the checkpoint, or the disk is full.
        """
        self.root.mkdir(mode=0o700, parents=True)
        self.settings.mkdir(mode=0o700)
        store.restore(checkpoint_root, self.tree, cache=cache)
        for directory in (self.workspace, self.home):
            directory.mkdir(mode=0o755, exist_ok=True)
        own_repository = self.tree / REPOSITORY_ROOT
        if own_repository.is_dir():
            git_file = self.workspace / ".git"
            git_file.unlink(missing_ok=True)
            own_repository.rename(git_file)
        strip_credentials(self.workspace / ".git/config")

    def remove(self) -> None:
        """Remove everything; what cannot be removed is left."""
        shutil.rmtree(self.root, onerror=_make_writable)


def strip_credentials(config: Path) -> None:
    """Remove what git would use to log in from a repository's configuration (decision C6).

    Whole sections that hold or name credentials go, and user and password in remote URLs.
    """
    if config.is_symlink() or not config.is_file():
        return
    kept: list[str] = []
    section = ""
    for line in config.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        header = _SECTION.match(line)
        if header:
            section = header["name"].split(".", 1)[0].lower()
        if section in _SECRET_SECTIONS:
            continue
        kept.append(_without_login(line))
    config.write_text("\n".join(kept) + "\n", encoding="utf-8", errors="surrogateescape")


def _without_login(line: str) -> str:
    match = _URL.match(line)
    if match is None:
        return line
    parts = urlsplit(match["url"])
    if "@" not in parts.netloc or parts.scheme not in {"http", "https"}:
        return line
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[1]))
    return f"{match['lead']}{bare}{match['tail']}"


def _make_writable(_function: object, path: str, _error: object) -> None:
    """Remove a read-only directory's content by making its parent writable once."""
    target = Path(path)
    try:
        target.parent.chmod(0o700)
        if target.is_dir() and not target.is_symlink():
            target.chmod(0o700)
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.unlink(missing_ok=True)
    except OSError:
        # The machine's directory stays; the sweep of the next start tries again.
        return
