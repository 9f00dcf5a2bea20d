"""What both drivers do to start a program: paths and environment, the handshake, the record."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from autovibe.domains.machines.driver import MachineSpec
from autovibe.domains.machines.errors import MachineSpawnError

SPAWN_TIMEOUT_S: Final = 30.0
INNER: Final = Path(__file__).with_name("inner.py")
OPEN_FILES: Final = 65536
SYSTEM_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")
_PLACEHOLDER: Final = re.compile(r"\{autovibe:(workspace|home|port)\}")


@dataclass(frozen=True)
class Inside:
    """How the program sees its machine."""

    workspace: str
    home: str
    tmp: str
    user: str
    port: int

    def replace(self, text: str) -> str:
        """Fill in the placeholders, each once: what was filled in is not looked at again."""
        values = {"workspace": self.workspace, "home": self.home, "port": str(self.port)}
        return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def check_spec(spec: MachineSpec) -> None:
    """Refuse what no driver can start.

    Raises:
        MachineSpawnError: the id, a directory, the program or the thread does not fit.
    """
    if threading.current_thread() is not threading.main_thread():
        raise MachineSpawnError(
            "Start machines from the main thread: a machine ends with the thread that started it."
        )
    if not _SAFE_ID.fullmatch(spec.machine_id):
        raise MachineSpawnError(f"{spec.machine_id!r} cannot name a machine; give it a UUID.")
    for directory in (spec.workspace, spec.home):
        if not (directory.is_absolute() and directory.is_dir()):
            raise MachineSpawnError(
                f"{directory} is not a directory; create it before the machine."
            )
    for bind in spec.binds:
        if not bind.host.exists():
            raise MachineSpawnError(
                f"{bind.host} is to be shown in the machine but does not exist."
            )
    if not spec.argv or not spec.argv[0]:
        raise MachineSpawnError("There is no program to start; give one.")


def vm_id(driver: str, machine_id: str) -> str:
    """Return a driver's own name for a machine.

    The whole id, not a part: leftovers are found by it, and a part could be another machine's.
    """
    return f"{driver}-{machine_id}"


def environment(spec: MachineSpec, inside: Inside) -> dict[str, str]:
    """Return exactly what the program gets: the spec's variables over the five that all have."""
    env = {
        "HOME": inside.home,
        "LANG": "C.UTF-8",
        "PATH": SYSTEM_PATH,
        "TMPDIR": inside.tmp,
        "USER": inside.user,
    }
    env.update({name: inside.replace(value) for name, value in spec.env.items()})
    prefix = [inside.replace(directory) for directory in spec.path_prefix]
    env["PATH"] = ":".join([*prefix, env["PATH"]])
    return env


def orders(
    spec: MachineSpec,
    inside: Inside,
    *,
    supervise: bool = False,
    join: Sequence[Path] = (),
    rlimits: Mapping[str, int] | None = None,
) -> dict[str, object]:
    """Return what `inner.py` is told."""
    return {
        "argv": [inside.replace(argument) for argument in spec.argv],
        "env": environment(spec, inside),
        "cwd": inside.workspace,
        "port": inside.port,
        "supervise": supervise,
        "parent": os.getpid(),
        "rlimits": {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": _open_files(), **(rlimits or {})},
        "join": [str(group / "cgroup.procs") for group in join],
    }


def _open_files() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)


def start(
    command: Sequence[str], *, keep: Sequence[int], stdout: int, stderr_path: Path | None
) -> subprocess.Popen[bytes]:
    """Start the outermost process of a machine with an empty environment.

    Args:
        command: program and arguments; no secret, they can be read by every user of the host.
        keep: descriptors that it inherits besides the standard streams.
        stdout: descriptor of its standard output.
        stderr_path: as in `MachineSpec`.

    Raises:
        MachineSpawnError: it could not be started.
    """
    errors: IO[bytes] | None = None
    try:
        if stderr_path is not None:
            errors = stderr_path.open("ab", buffering=0)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT if errors is None else errors,
            pass_fds=tuple(keep),
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise MachineSpawnError(f"{command[0]} could not be started: {error}.") from error
    finally:
        if errors is not None:
            errors.close()


async def readable(descriptor: int) -> None:
    """Wait until a descriptor can be read (a pidfd: until the process has ended)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def send_orders(control: socket.socket, message: Mapping[str, object]) -> None:
    """Tell `inner.py` what to do; the words go over the socket, so nobody else sees them."""
    body = json.dumps(message).encode()
    with contextlib.suppress(OSError):  # an inner that is gone: its answer says why
        await asyncio.get_running_loop().sock_sendall(control, len(body).to_bytes(8, "big") + body)


async def receive_answer(control: socket.socket) -> tuple[Mapping[str, object], list[int]]:
    """Return the answer of `inner.py` and the descriptors in it, once the program runs.

    Raises:
        MachineSpawnError: the program could not be started.
    """
    data = b""
    descriptors: list[int] = []
    try:
        while True:
            await readable(control.fileno())
            piece, received, _, _ = socket.recv_fds(control, 65536, 1, socket.MSG_CMSG_CLOEXEC)
            descriptors += received
            if not piece:
                break
            data += piece
        answer: dict[str, object] = {}
        for line in data.splitlines():
            answer.update(json.loads(line))
        if "error" in answer:
            raise MachineSpawnError(  # noqa: TRY301 - the handler closes what was received
                f"The program could not be started in the machine: {answer['error']};"
                " check that it is installed where the machine can see it."
            )
        if not answer.get("ready"):
            raise MachineSpawnError("The machine ended before its program ran.")  # noqa: TRY301 - as above
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return answer, descriptors


def explain(error: MachineSpawnError, printed: bytes) -> MachineSpawnError:
    """Return the error with the last thing that the failed machine printed."""
    lines = printed.decode(errors="replace").strip().splitlines()
    if not lines:
        return error
    said = "".join(c if c.isprintable() else "?" for c in lines[-1])[:500]
    return MachineSpawnError(f"{error.message} It said: {said}")
