"""Finding out whether a driver works, by really running something with it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from autovibe.domains.machines.driver import Machine, MachineSpec
from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.kernel.ids import new_id


async def run_trivial(
    launch: Callable[[MachineSpec], Awaitable[Machine]], scratch: Path, python: Path
) -> dict[str, str]:
    """Run an empty program in an empty machine and return how its limits were kept.

    Raises:
        MachineSpawnError: it could not be started, or did not end as it should.
    """
    with contextlib.ExitStack() as stack:
        workspace, home = (_empty_directory(stack, scratch) for _ in range(2))
        program = [str(python), "-I", "-S", "-c", "pass"]
        machine = await launch(MachineSpec(str(new_id()), workspace, home, program, {}))
        try:
            ended = await machine.wait()
        finally:
            await machine.destroy()
    if ended.code != 0:
        raise MachineSpawnError(f"An empty program in a machine ended with {ended.code}.")
    return dict(machine.enforced)


def _empty_directory(stack: contextlib.ExitStack, parent: Path) -> Path:
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(stack.enter_context(tempfile.TemporaryDirectory(dir=parent)))
    except OSError as error:
        raise MachineSpawnError(f"{parent} cannot be written: {error}.") from error
