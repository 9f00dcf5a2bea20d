"""Printing the history of a repository that came out of a machine, inside a sandbox.

Such a repository is hostile: its configuration names programs that git would run. So git opens it
only where there is no network, nothing of the host's but its programs, and a limit on everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from autovibe.domains.machines.driver import Bind, Limits, MachineDriver, MachineSpec
from autovibe.domains.machines.errors import MachineSpawnError, NoIsolationError
from autovibe.domains.work import HistoryUnreadableError, history_unrelated
from autovibe.kernel.ids import new_id

_INSIDE: Final = "/opt/repository"
_LIMITS: Final = Limits(cpus=1.0, memory_mb=1024, processes=32)
_TIMEOUT_S: Final = 120
_NO_HEAD: Final = 10
_NO_BASE: Final = 11
_SCRIPT: Final = f"""
head=$(git rev-parse --verify --quiet 'HEAD^{{commit}}') || exit {_NO_HEAD}
git cat-file -e "$1^{{commit}}" || exit {_NO_BASE}
printf 'head %s\\n' "$head"
exec git fast-export --use-done-feature --reference-excluded-parents --first-parent \\
    --reencode=no --signed-tags=strip --tag-of-filtered-object=drop "$1..HEAD"
"""
_ENVIRONMENT: Final = {
    "GIT_DIR": _INSIDE,
    # Over core.worktree, which may name what is not there.
    "GIT_WORK_TREE": "/",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}


async def export_history(
    driver: MachineDriver | None, repository: Path, base: str
) -> AsyncGenerator[bytes]:
    """Yield what `work.HistoryReader` says.

    Raises:
        NoIsolationError: no sandbox can be started here.
        HistoryUnreadableError: git failed, or took too long.
        HistoryUnrelatedError: the repository does not hold `base`.
    """
    await _check(driver)
    assert driver is not None
    with (
        tempfile.TemporaryDirectory(prefix="autovibe-history-") as workspace,
        tempfile.TemporaryDirectory(prefix="autovibe-history-") as home,
    ):
        spec = MachineSpec(
            machine_id=str(new_id()),
            workspace=Path(workspace),
            home=Path(home),
            argv=["/bin/sh", "-c", _SCRIPT, "sh", base],
            env=_ENVIRONMENT,
            binds=[Bind(repository, _INSIDE)],
            limits=_LIMITS,
            # What git complains of comes from the machine too; the exit status says enough.
            stderr_path=Path("/dev/null"),
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                async with contextlib.aclosing(_run(driver, spec)) as pieces:
                    async for piece in pieces:
                        yield piece
        except TimeoutError:
            raise _unreadable(f"it took longer than {_TIMEOUT_S} seconds") from None


async def _check(driver: MachineDriver | None) -> None:
    probe = None if driver is None else await driver.probe()
    if driver is None or not driver.isolated or probe is None or not probe.ok:
        why = probe.reason if probe is not None and probe.reason else "There is none."
        raise NoIsolationError(
            "The agent's commits are read in a sandbox, and none can be started here: "
            f"{why} Leave --keep-commits out to get one commit of all."
        )


async def _run(driver: MachineDriver, spec: MachineSpec) -> AsyncGenerator[bytes]:
    try:
        machine = await driver.spawn(spec)
    except MachineSpawnError as error:
        raise _unreadable(error.message.rstrip(".")) from error
    try:
        async for line in machine.output():
            yield line
        ended = await machine.wait()
    finally:
        await machine.destroy()
    if ended.code == _NO_BASE:
        raise history_unrelated()
    if ended.code == _NO_HEAD:
        raise _unreadable("its HEAD is no commit")
    if ended.code != 0:
        raise _unreadable(f"git ended with {ended.code}")


def _unreadable(why: str) -> HistoryUnreadableError:
    return HistoryUnreadableError(
        f"The repository in the machine cannot be read ({why}); leave --keep-commits out to get "
        "one commit of all."
    )
