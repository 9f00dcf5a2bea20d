"""The bubblewrap command line of a machine (decision C2)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.domains.machines.driver import Bind, MachineSpec
from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.drivers.machine import launch
from autovibe.drivers.machine.sandbox import etc, interpreters

WORKSPACE: Final = "/workspace"
OWN: Final = "/run/autovibe"
_INNER: Final = f"{OWN}/inner.py"
_TOP: Final = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_MIB: Final = 1024 * 1024
_SMALL: Final = 16 * _MIB

_ISOLATION: Final = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"),
    *("--new-session", "--die-with-parent", "--clearenv"),
    *("--uid", str(etc.UID), "--gid", str(etc.GID)),
)


@dataclass(frozen=True)
class Descriptors:
    """The descriptors that bubblewrap inherits; `inner` is the control socket of `inner.py`."""

    inner: int
    first_process: int
    block: int
    seccomp: int | None

    def all(self) -> list[int]:
        """Return those besides the control socket."""
        return [self.first_process, self.block, *([] if self.seccomp is None else [self.seccomp])]


def _read_only(host: Path | str, inside: Path | str) -> list[str]:
    return ["--ro-bind", str(host), str(inside)]


def _memory_directory(path: str, size: int | None) -> list[str]:
    return [*([] if size is None else ["--size", str(size)]), "--tmpfs", path]


def _system() -> list[str]:
    """Return /usr and what stands beside it, as links where the host has links."""
    arguments = _read_only("/usr", "/usr")
    for name in _TOP:
        path = Path("/") / name
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            arguments += _read_only(path, path)
    return arguments


def _etc(directory: Path, hostname: str) -> list[str]:
    arguments = ["--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl"]
    for name in etc.write_etc(directory, hostname):
        arguments += _read_only(directory / name, f"/etc/{name}")
    for path in etc.public_paths():
        arguments += _read_only(path, path)
    return arguments


def _bind(bind: Bind) -> list[str]:
    inside = os.path.normpath(bind.inside)
    forbidden = ("/", "/etc", "/home", etc.HOME, "/proc", "/dev", "/run", "/tmp", "/usr", WORKSPACE)  # noqa: S108 - paths inside
    inner_trees = (f"{WORKSPACE}/", f"{etc.HOME}/", "/proc/", "/dev/", "/usr/")
    if not inside.startswith("/") or inside in forbidden or inside.startswith(inner_trees):
        raise MachineSpawnError(
            f"{bind.inside} cannot be a place for {bind.host} in the machine; choose one below"
            f" {OWN} or /opt."
        )
    return _read_only(bind.host, inside)


def check_shown(path: Path, private: interpreters.Private) -> Path:
    """Return a directory the user wants to show in every machine.

    Raises:
        MachineSpawnError: it is missing, is the whole host, or would show autovibe's own files.
    """
    if not path.is_absolute() or not path.exists():
        raise MachineSpawnError(
            f"{path}, listed under [sandbox] ro, does not exist; correct the configuration."
        )
    if private.would_be_shown(path.resolve()):
        raise MachineSpawnError(
            f"{path}, listed under [sandbox] ro, holds autovibe's or your own private files; list"
            " the tool's own directory instead."
        )
    return path


def _shown(spec: MachineSpec, ro_binds: Sequence[Path], private: interpreters.Private) -> list[str]:
    """Return interpreters, tool chains, and what the agent needs."""
    arguments: list[str] = []
    prefix = interpreters.own_prefix()
    if not prefix.is_relative_to("/usr"):
        if private.would_be_shown(prefix):
            raise MachineSpawnError(
                f"The Python that runs autovibe lies in {prefix}, together with your own files;"
                " install autovibe with another Python."
            )
        arguments += _read_only(prefix, prefix)
    closed = private.and_closed(spec.workspace, spec.home)
    for host, inside in interpreters.workspace_interpreters(spec.workspace, closed):
        if not inside.is_relative_to(prefix):
            arguments += _read_only(host, inside)
    for path in ro_binds:
        arguments += _read_only(check_shown(path, private), path)
    for bind in spec.binds:
        arguments += _bind(bind)
    return arguments


def mark(name: str) -> tuple[str, str]:
    """Return the arguments by which the processes of machine `name` are known."""
    return ("--hostname", name)


def command(
    bwrap: Path,
    spec: MachineSpec,
    *,
    name: str,
    scratch: Path,
    ro_binds: Sequence[Path],
    private: interpreters.Private,
    descriptors: Descriptors,
) -> list[str]:
    """Return the whole command. It holds no secret: every user of the host can read it.

    /proc is read-only: as root its /proc/sys could be written from inside, and `core_pattern` is a
    way to run programs on the host [run]. The root and the directories that hold mount points are
    read-only too, so that a mount point's parent cannot be moved away under it.

    Raises:
        MachineSpawnError: something that is to be shown cannot be.
    """
    memory = None if spec.limits.memory_mb is None else spec.limits.memory_mb * _MIB
    arguments = [
        str(bwrap),
        *_ISOLATION,
        *mark(name),
        *("--info-fd", str(descriptors.first_process), "--block-fd", str(descriptors.block)),
        *([] if descriptors.seccomp is None else ["--seccomp", str(descriptors.seccomp)]),
        *_system(),
        *("--proc", "/proc", "--dev", "/dev"),
        *_memory_directory("/dev/shm", memory),  # noqa: S108 - inside
        *_memory_directory("/tmp", memory),  # noqa: S108 - inside
        *_memory_directory("/run", _SMALL),
        *_memory_directory("/home", _SMALL),
        *_memory_directory(OWN, _SMALL),
        *_etc(scratch / "etc", name),
        *_shown(spec, ro_binds, private),
        *("--bind", str(spec.workspace), WORKSPACE, "--bind", str(spec.home), etc.HOME),
        *_read_only(launch.INNER, _INNER),
    ]
    for path in (OWN, "/home", "/dev", "/proc", "/"):
        arguments += ["--remount-ro", path]
    python = str(interpreters.own_interpreter())
    return [*arguments, "--", python, "-I", "-S", _INNER, str(descriptors.inner)]
