"""A machine at work, and what it asks for, as whoever serves its listener relays it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from autovibe import __version__
from autovibe.sdk.contract import Method
from autovibe.sdk.services import Services, build_services
from autovibe.v1 import agent_api_pb2, machines_pb2, queue_pb2, work_pb2


@dataclass(frozen=True)
class AtWork:
    """Which machine, for which execution, under which lease."""

    execution_id: str
    machine_id: str
    lease_generation: int

    async def call(self, internal: Services, method: Method, request: Message) -> Any:
        """Relay one call."""
        answer = await internal.agent.relay_agent_call(
            agent_api_pb2.RelayAgentCallRequest(
                execution_id=self.execution_id,
                machine_id=self.machine_id,
                lease_generation=self.lease_generation,
                method=method.name,
                request=request.SerializeToString(),
            )
        )
        response = method.response_type()
        response.ParseFromString(answer.response)
        return response

    def services(self, internal: Services) -> Services:
        """Return services whose operations for machines are called in this one's name."""

        def call_of(method: Method) -> Any:
            async def call(request: Message, /) -> Message:
                return await self.call(internal, method, request)

            return call

        return build_services(call_of)


async def put_to_work(
    services: Services, instance_id: str, task: work_pb2.Task, *, hypervisor: str = "process"
) -> tuple[work_pb2.ClaimedOrder, AtWork]:
    """Claim the order of a task and let a machine of that name work on it; no process runs."""
    worker = await services.queue.register_worker(
        queue_pb2.RegisterWorkerRequest(
            name=f"w-{uuid.uuid4()}", max_concurrent_tasks=1, version=__version__
        )
    )
    claimed = await services.work.claim_work_order(
        work_pb2.ClaimWorkOrderRequest(
            worker_id=worker.id, instance_id=instance_id, task_id=task.id, lease_s=60
        )
    )
    order = claimed.order
    machine = await services.machines.create_machine(
        machines_pb2.CreateMachineRequest(
            id=str(uuid.uuid4()),
            machine_type="shell",
            project_id=task.project_id,
            worker_id=worker.id,
            hypervisor=hypervisor,
            original_prompt=task.description,
            instance_id=instance_id,
        )
    )
    await services.work.attach_machine(
        work_pb2.AttachMachineRequest(
            execution_id=order.execution.id,
            machine_id=machine.id,
            lease_generation=order.lease_generation,
        )
    )
    return order, AtWork(order.execution.id, machine.id, order.lease_generation)
