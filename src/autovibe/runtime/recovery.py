"""Ending what dead control-plane processes left behind (decision A7).

Every step may be done twice: two processes recover at once, and one of them may be killed while it
does. An instance's row and lock go last, so that whoever comes next finds what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.domains.machines.driver import MachineDriver
from autovibe.drivers.machine.launch import vm_id
from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.faults import reach
from autovibe.kernel.protoconv import from_struct, from_timestamp
from autovibe.runtime.instance import (
    DEAD_AFTER,
    HEARTBEAT_S,
    boot_id,
    host_name,
    lock_path,
    sort_instances,
)
from autovibe.runtime.sampling import SAMPLE_S
from autovibe.runtime.waking import PatientRhythm
from autovibe.runtime.workplace import Workplace
from autovibe.sdk.services import Services
from autovibe.v1 import checkpoints_pb2, identity_pb2, machines_pb2, metering_pb2, work_pb2

_logger = logging.getLogger(__name__)

RECOVERY_S: Final = 30.0
"""How often a control plane that stays looks for what dead ones left."""

_DIED: Final = (
    "The control plane that ran this machine ended; what it used in the "
    f"{SAMPLE_S:.0f} seconds before, at most, was not recorded."
)
_OPEN: Final = ("spawning", "active", "working", "checkpointing", "error")
_NOTHING_DONE: Final = frozenset({"spawning", "active"})
"""A machine without a gateway: its agent has not worked yet."""


@contextlib.contextmanager
def _logged(doing: str) -> Generator[None]:
    """Log a failure: what could not be done is left to the next time."""
    try:
        yield
    except (AutovibeError, OSError) as error:
        _logger.warning("%s: %s", doing, error)


@dataclass(frozen=True)
class Recovery:
    """Finds dead instances, ends their machines, settles their holds, releases their orders.

    Nothing of a living instance is touched.
    """

    services: Services
    drivers: Mapping[str, MachineDriver]
    own_id: uuid.UUID
    run_path: Path
    machines_path: Path
    clock: Clock

    async def at_start(self) -> None:
        """Recover what dead instances left. A failure is logged and left to the next time."""
        await self._recover([str(self.own_id)])

    async def again(self) -> None:
        """Recover once more while this instance works: its own expired orders and holds, too."""
        await self._recover([])
        with _logged("releasing holds"):
            await self.services.metering.recover_reservations(
                metering_pb2.RecoverReservationsRequest()
            )

    async def at_end(self) -> None:
        """End the machines that this instance could not report the end of: the server was away.

        Nothing of it runs any more; after this its row goes, and nobody would look for them.
        """
        request = machines_pb2.ListMachinesRequest(statuses=_OPEN, page_size=500)
        with _logged("ending machines"):
            while True:
                page = await self.services.machines.list_machines(request)
                for machine in page.machines:
                    if _instance_of(machine) == str(self.own_id):
                        await self._end_machine(machine, same_boot=True)
                        await self._terminate(machine)
                if not page.next_page_token:
                    return
                request.page_token = page.next_page_token

    async def serve(self) -> None:
        """Recover again and again until cancelled.

        A host that has slept gives everybody the time of one heartbeat before it takes anybody for
        dead.
        """
        rhythm = PatientRhythm(self.clock, RECOVERY_S, HEARTBEAT_S)
        while True:
            rhythm.begin()
            await asyncio.sleep(rhythm.pause_s)
            if rhythm.is_due():
                with _logged("recovering"):
                    await self.again()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncGenerator[None]:
        """Recover again and again until the block ends, in which all work of this process is."""
        task = asyncio.create_task(self.serve(), name="recovery")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.at_end()

    async def _recover(self, spared: Sequence[str]) -> None:
        """Recover dead instances, then release the orders whose lease nobody prolonged.

        An expired order of a living instance is that one's own affair: it may have been asleep. One
        of a dead instance that could not be recovered may have a machine that still runs.
        """
        living, dead = await sort_instances(
            self.services.identity, self.own_id, self.run_path, self.clock
        )
        spared = [*spared, *living]
        for instance in dead:
            spared.append(instance.id)
            with _logged(f"recovering instance {instance.id}"):
                await self._recover_instance(instance)
                lock_path(self.run_path, instance.id).unlink(missing_ok=True)
        with _logged("releasing expired orders"):
            await self.services.work.abandon_executions(
                work_pb2.AbandonExecutionsRequest(expired=True, living_instance_ids=spared)
            )

    async def _recover_instance(self, instance: identity_pb2.Instance) -> None:
        same_host = instance.host == host_name()
        same_boot = same_host and instance.boot_id == boot_id()
        machines = await self._machines_of(instance)
        for machine in machines:
            if same_host and machine.status != "terminated":
                await self._end_machine(machine, same_boot=same_boot)
        reach("machines_ended")
        for machine in machines:
            # The machine stays findable until its execution has ended.
            await self.services.work.abandon_executions(
                work_pb2.AbandonExecutionsRequest(
                    machine_id=machine.id, result_checkpoint_id=machine.last_checkpoint_id
                )
            )
            if same_host:
                await self._remove_workplace(machine)
            if machine.status != "terminated":
                await self._terminate(machine)
        # Those that have an order and no machine yet.
        await self.services.work.abandon_executions(
            work_pb2.AbandonExecutionsRequest(instance_id=instance.id)
        )
        reach("executions_abandoned")
        await self.services.metering.recover_reservations(
            metering_pb2.RecoverReservationsRequest(instance_ids=[instance.id])
        )
        reach("holds_recovered")
        await self.services.identity.remove_instance(
            identity_pb2.RemoveInstanceRequest(id=instance.id)
        )

    async def _machines_of(self, instance: identity_pb2.Instance) -> list[machines_pb2.Machine]:
        """Return the machines that an instance left, those it had just terminated too.

        A machine is terminated a moment before its execution is finished; between them the process
        may have died.
        """
        started = from_timestamp(instance.started_at)
        recent = from_timestamp(instance.heartbeat_at) - DEAD_AFTER
        found: list[machines_pb2.Machine] = []
        token = ""
        while True:
            page = await self.services.machines.list_machines(
                machines_pb2.ListMachinesRequest(page_size=500, page_token=token)
            )
            found += [
                machine
                for machine in page.machines
                if _instance_of(machine) == instance.id
                and (
                    machine.status != "terminated"
                    or from_timestamp(machine.terminated_at) >= recent
                )
            ]
            token = page.next_page_token
            # The newest come first, and none is older than the instance that started it.
            if not token or from_timestamp(page.machines[-1].spawned_at) < started:
                return found

    async def _end_machine(self, machine: machines_pb2.Machine, *, same_boot: bool) -> None:
        """End what runs of a machine; its row may not name what the driver had just started."""
        driver = self.drivers.get(machine.hypervisor)
        if driver is None:
            return
        name = machine.vm_id or vm_id(machine.hypervisor, machine.id)
        pid = from_struct(machine.metadata).get("pid") if same_boot else None
        await driver.end_leftover(name, int(pid) if pid else None)

    async def _terminate(self, machine: machines_pb2.Machine) -> None:
        kept = self._workplace(machine).root
        more = f" What it did after its last checkpoint is kept in {kept}." if kept.is_dir() else ""
        await self.services.machines.update_machine(
            machines_pb2.UpdateMachineRequest(
                machine_id=machine.id, status="terminated", error_message=_DIED + more
            )
        )

    async def _remove_workplace(self, machine: machines_pb2.Machine) -> None:
        """Remove a machine's files if all of them are in the store, or nothing was done in them."""
        workplace = self._workplace(machine)
        if workplace.root.is_dir() and await self._is_dispensable(machine):
            await asyncio.to_thread(workplace.remove)

    def _workplace(self, machine: machines_pb2.Machine) -> Workplace:
        return Workplace(self.machines_path / machine.id)

    async def _is_dispensable(self, machine: machines_pb2.Machine) -> bool:
        if not machine.last_checkpoint_id:
            return machine.status in _NOTHING_DONE
        last = await self.services.checkpoints.get_checkpoint(
            checkpoints_pb2.GetCheckpointRequest(checkpoint_id=machine.last_checkpoint_id)
        )
        return last.checkpoint_type == "final" and last.verification_status == "verified"


def _instance_of(machine: machines_pb2.Machine) -> object:
    return from_struct(machine.metadata).get("instance_id")
