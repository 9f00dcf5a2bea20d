"""The directories of one machine: restored from a checkpoint, made safe, removed in the end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.domains.checkpoints import REPOSITORY_ROOT
from autovibe.domains.checkpoints.git import GitFailedError
from autovibe.kernel.checkpoint_settings import CheckpointSettings
from autovibe.store import CheckpointStore, StatCache
from autovibe.store.tracking import TrackedTree, choose

_SECRET_SECTIONS: Final = frozenset({"credential", "http", "include", "includeif", "url"})
_SECRET_NAME: Final = re.compile("token|passw|secret|smtppass|sshcommand|askpass|proxy")
# User and password in front of a host; for ssh the user is needed and only the password goes.
_WEB_LOGIN: Final = re.compile(r"(?i)\b(https?|ftps?)://[^/?#\s]*@")
_OTHER_PASSWORD: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://([^/?#\s:@]*):[^/?#\s]*@")
# Settings that name programs, which git runs on its own account, some of them for a mere `status`.
_PROGRAM_SECTIONS: Final = frozenset(
    {"alias", "difftool", "filter", "gpg", "guitool", "mergetool", "pager", "sendemail"}
)
_PROGRAM_NAME: Final = re.compile(
    "askpass|browser|command|cmd|driver|editor|external|fsmonitor|hook|pager|program|"
    "(receive|upload)pack|ssh|textconv|vcs"
)
_SHELL_FILES: Final = (
    ".bash_login", ".bash_logout", ".bash_profile", ".bashrc", ".config/fish/config.fish",
    ".profile", ".zlogin", ".zlogout", ".zprofile", ".zshenv", ".zshrc",
)  # fmt: skip
_OFF: Final = ".autovibe-off"
_UNREADABLE_CONFIG: Final = "[core]\n\trepositoryformatversion = 0\n"


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
        for config in _git_configs(self.workspace / ".git"):
            strip_credentials(config)

    def quieten(self) -> list[str]:
        """Let nothing run by itself that came with the files; return what was set aside.

        Shells run their start-up files, and git what its configuration names, at the first harmless
        command that is allowed, and Claude Code both before any. Neither was asked about.

        Raises:
            GitFailedError: git, which knows how to read its files, is not installed.
        """
        for config in _git_configs(self.workspace / ".git"):
            strip_programs(config)
        found: list[str] = []
        for name in _SHELL_FILES:
            file = self.home / name
            inside = file.parent.resolve() == self.home.resolve() / Path(name).parent
            if inside and (file.is_symlink() or file.exists()):
                file.rename(file.with_name(file.name + _OFF))
                found.append(name)
        return found

    def track(
        self, store: CheckpointStore, cache: StatCache, settings: CheckpointSettings
    ) -> TrackedTree:
        """Begin to watch the files; before the agent runs, so that nothing is missed.

        Args:
            store: where its snapshots go.
            cache: what `prepare` knows of the files.
            settings: how to watch.
        """
        roots = {"workspace": self.workspace, "home": self.home}
        return TrackedTree(
            store,
            roots,
            choose(roots, settings.detection),
            cache=cache,
            audit_every=settings.audit_every,
        )

    def remove(self) -> None:
        """Remove everything; what cannot be removed is left."""
        shutil.rmtree(self.root, onerror=_make_writable)


def _git_configs(repository: Path) -> Iterator[Path]:
    """Yield the configuration files of a repository and its submodules.

    No link is followed: it may lead to the user's own repository, which stays as it is.
    """
    if repository.is_symlink():
        return
    for config in (repository / "config", repository / "config.worktree"):
        if config.is_file() and not config.is_symlink():
            yield config
    modules = repository / "modules"
    for folder, _, files in os.walk(modules) if not modules.is_symlink() else ():
        config = Path(folder) / "config"
        if "config" in files and not config.is_symlink():
            yield config


def strip_credentials(config: Path) -> None:
    """Remove what git would use to log in from a repository's configuration (decision C6).

    Whole sections that hold or name credentials go, settings that are named as secrets are, and
    logins in URLs. A file without any of these stays as it is.

    Raises:
        GitFailedError: git, which knows how to read the file, is not installed.
    """

    def change(name: str, value: str | None) -> tuple[str, str | None] | None:
        if _is_secret(name):
            return None
        return name, None if value is None else _without_login(value)

    _rewrite(config, change)


def strip_programs(config: Path) -> None:
    """Remove what git would run from a repository's configuration.

    Raises:
        GitFailedError: git, which knows how to read the file, is not installed.
    """
    _rewrite(config, lambda name, value: None if _is_program(name) else (name, value))


def _rewrite(
    config: Path, change: Callable[[str, str | None], tuple[str, str | None] | None]
) -> None:
    """Change the settings of a file; one without anything to change stays as it is."""
    settings = _read_config(config)
    if settings is None:
        config.write_text(_UNREADABLE_CONFIG, encoding="ascii")
        return
    changed = [change(name, value) for name, value in settings]
    kept = [one for one in changed if one is not None]
    if kept != settings:
        text = "".join(_setting(name, value) for name, value in kept)
        config.write_text(text, encoding="utf-8", errors="surrogateescape")


def _read_config(config: Path) -> list[tuple[str, str | None]] | None:
    """Return the settings of a file as git reads them, `None` if git cannot."""
    command = ["git", "config", "--file", str(config), "--no-includes", "--list", "-z"]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        done = subprocess.run(command, cwd="/", env=environment, capture_output=True, check=False)
    except FileNotFoundError:
        raise GitFailedError("git is not installed; install it and try again.") from None
    if done.returncode != 0:
        return None
    entries = (entry.partition("\n") for entry in os.fsdecode(done.stdout).split("\0") if entry)
    return [(name, value if newline else None) for name, newline, value in entries]


def _is_secret(name: str) -> bool:
    section, _, rest = name.partition(".")
    return section in _SECRET_SECTIONS or bool(_SECRET_NAME.search(rest.rpartition(".")[2]))


def _is_program(name: str) -> bool:
    section, _, rest = name.partition(".")
    key = rest.rpartition(".")[2]
    return section in _PROGRAM_SECTIONS or bool(_PROGRAM_NAME.search(key))


def _without_login(value: str) -> str:
    return _OTHER_PASSWORD.sub(r"\1://\2@", _WEB_LOGIN.sub(r"\1://", value))


def _setting(name: str, value: str | None) -> str:
    """Write one setting, as git reads it back."""
    section, _, rest = name.partition(".")
    part, _, key = rest.rpartition(".")
    quoted = part.replace("\\", "\\\\").replace('"', '\\"')
    header = f'[{section} "{quoted}"]' if part else f"[{section}]"
    if value is None:
        return f"{header}\n\t{key}\n"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\b", "\\b")
    return f'{header}\n\t{key} = "{escaped}"\n'


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
