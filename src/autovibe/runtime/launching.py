"""What an order says, as agents, drivers and gateways take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autovibe.domains.machines.agent import AgentAdapter, AgentLaunch, AgentRequest
from autovibe.domains.machines.driver import Limits, Machine, MachineDriver, MachineSpec
from autovibe.domains.metering.gateway import CallingMachine
from autovibe.runtime.checkpointer import Scope
from autovibe.runtime.workplace import Workplace
from autovibe.v1 import work_pb2


@dataclass(frozen=True)
class Credentials:
    """The agent's session, whether it goes on, and the key of its machine."""

    session_id: str
    resume: bool
    key: str = field(repr=False)


def is_supervised(order: work_pb2.ClaimedOrder) -> bool:
    """Return whether the agent has to ask before it uses tools."""
    return order.task.permission_level != "autonomous"


def agent_request(
    order: work_pb2.ClaimedOrder,
    adapter: AgentAdapter,
    driver: MachineDriver,
    workplace: Workplace,
    credentials: Credentials,
) -> AgentRequest:
    """Return what the agent of an order is to do."""
    context, payload = order.payload.context, order.payload
    return AgentRequest(
        # An agent that goes on with its conversation knows the task already.
        prompt=payload.note if credentials.resume and payload.note else payload.prompt,
        model=context.model or adapter.default_model,
        session_id=credentials.session_id,
        resume=credentials.resume,
        gateway_url="http://127.0.0.1:{autovibe:port}",
        virtual_key=credentials.key,
        settings_dir=workplace.settings,
        extra_args=tuple(context.agent_args),
        skip_permissions=driver.isolated or context.trust_agent,
        supervised=is_supervised(order),
    )


def machine_spec(
    machine_id: str,
    workplace: Workplace,
    launch: AgentLaunch,
    env: Mapping[str, str],
    limits: Limits,
) -> MachineSpec:
    """Return the machine in which an agent is to run."""
    return MachineSpec(
        machine_id=machine_id,
        workspace=workplace.workspace,
        home=workplace.home,
        argv=launch.argv,
        env={**env, **launch.env},
        binds=launch.binds,
        path_prefix=launch.path_prefix,
        limits=limits,
        stderr_path=workplace.stderr,
    )


def checkpoint_scope(
    order: work_pb2.ClaimedOrder,
    machine: Machine,
    driver: MachineDriver,
    workplace: Workplace,
    session_id: str,
) -> Scope:
    """Return what the checkpoints of a machine are of."""
    return Scope(
        project_id=order.task.project_id,
        machine_id=machine.machine_id,
        work_order_id=order.work_order_id,
        lease_generation=order.lease_generation,
        hypervisor=driver.name,
        vm_id=machine.vm_id,
        session_id=session_id,
        workspace=workplace.workspace,
        home=workplace.home,
    )


def calling_machine(
    order: work_pb2.ClaimedOrder, machine_id: str, instance_id: str, key: str
) -> CallingMachine:
    """Return whose calls arrive on the listener of the machine of an order."""
    return CallingMachine(
        project_id=order.task.project_id,
        task_id=order.task.id,
        machine_id=machine_id,
        execution_id=order.execution.id,
        work_order_id=order.work_order_id,
        lease_generation=order.lease_generation,
        instance_id=instance_id,
        virtual_key=key,
    )
