"""The part of the walk that passes a gateway: what a machine calls, and what that costs."""

from __future__ import annotations

import uuid

from walk import Walk

from autovibe.kernel.protoconv import struct
from autovibe.sdk.services import Services
from autovibe.v1 import (
    machines_pb2,
    metering_pb2,
    work_pb2,
)


async def network(
    services: Services, order: work_pb2.ClaimedOrder, machine: machines_pb2.Machine
) -> None:
    await services.machines.record_connections(
        machines_pb2.RecordConnectionsRequest(
            machine_id=machine.id,
            connections=[
                machines_pb2.MachineConnection(
                    host="packages.example.org",
                    port=443,
                    verdict="allowed",
                    address="192.0.2.1",
                    sent_bytes=1_000,
                    received_bytes=20_000,
                    duration_ms=150,
                    count=1,
                ),
                machines_pb2.MachineConnection(
                    host="example.com",
                    port=443,
                    verdict="denied",
                    reason="HOST_NOT_ALLOWED",
                    count=2,
                ),
            ],
        )
    )
    await services.work.get_earlier_attempts(
        work_pb2.GetEarlierAttemptsRequest(execution_id=order.execution.id)
    )


async def pay(going: Walk, order: work_pb2.ClaimedOrder, machine: machines_pb2.Machine) -> None:
    services = going.services
    calls = [
        metering_pb2.Reservation(
            id=str(uuid.uuid4()),
            project_id=order.task.project_id,
            task_id=order.task.id,
            machine_id=machine.id,
            execution_id=order.execution.id,
            work_order_id=order.work_order_id,
            lease_generation=order.lease_generation,
            instance_id=str(going.plane.instance_id),
            amounts=[metering_pb2.ResourceAmount(resource_type="money", amount=amount)],
            terms=metering_pb2.CallTerms(
                provider="anthropic",
                model="claude-opus-5-5",
                rate_to_cad="1.40",
                unit_prices={"input": "4", "output": "20"},
                input_bound_tokens=2**40,
            ),
            ttl_s=60,
        )
        for amount in ("0.5", "99")
    ]
    await services.metering.reserve_many(metering_pb2.ReserveManyRequest(reservations=calls))
    await services.metering.settle_many(
        metering_pb2.SettleManyRequest(
            settlements=[
                metering_pb2.Settlement(
                    id=calls[0].id,
                    outcome="settled",
                    amounts=[
                        metering_pb2.ResourceAmount(resource_type="money", amount="0.021001"),
                        metering_pb2.ResourceAmount(resource_type="api_calls", amount="1"),
                    ],
                    native_cost="0.015",
                    raw_usage=struct({"input_tokens": 1200}),
                )
            ]
        )
    )
    await services.metering.record_usage_many(
        metering_pb2.RecordUsageManyRequest(
            samples=[
                metering_pb2.UsageSample(
                    project_id=calls[0].project_id,
                    execution_id=calls[0].execution_id,
                    resource_type="time",
                    resource_subtype="vm_runtime",
                    amount="1.5",
                )
            ]
        )
    )
    await services.metering.get_budget_levels(
        metering_pb2.GetBudgetLevelsRequest(execution_id=order.execution.id)
    )
    await services.metering.recover_reservations(
        metering_pb2.RecoverReservationsRequest(instance_ids=[str(uuid.UUID(int=7))])
    )
