"""The worker of this process: claims orders and does them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Final

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.faults import reach
from autovibe.runtime.control import LocalControl
from autovibe.runtime.execution import LEASE_S, Execution
from autovibe.runtime.surroundings import Surroundings
from autovibe.v1 import work_pb2

_logger = logging.getLogger(__name__)

_POLL_S: Final = 0.5


@dataclass
class Worker:
    """One worker identity with a number of slots."""

    around: Surroundings
    worker_id: str
    control: LocalControl
    slots: int = 1

    async def work_on(self, task_id: str) -> None:
        """Claim the order of one task and do it; returns when it has ended.

        Returns at once when the order is not there to be claimed: another worker has it.
        """
        reach("before_claim")
        order = await self._claim(task_id)
        if order is not None:
            await self._do(order)

    async def serve(self) -> None:
        """Claim and do orders until cancelled; then pause what runs and return."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                order = None
                if len(tasks) < self.slots:
                    try:
                        order = await self._claim("")
                    except AutovibeError as error:
                        _logger.warning("claiming: %s", error)
                if order is None:
                    await asyncio.sleep(_POLL_S)
                    continue
                task = asyncio.create_task(self._do(order), name=f"order-{order.work_order_id}")
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            self.control.interrupt_all()
            if tasks:
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim(self, task_id: str) -> work_pb2.ClaimedOrder | None:
        answer = await self.around.work.claim_work_order(
            work_pb2.ClaimWorkOrderRequest(
                worker_id=self.worker_id,
                instance_id=self.around.instance_id,
                task_id=task_id,
                lease_s=LEASE_S,
            )
        )
        return answer.order if answer.HasField("order") else None

    async def _do(self, order: work_pb2.ClaimedOrder) -> None:
        reach("order_claimed")
        execution = Execution(self.around, order)
        self.control.running[order.task.id] = execution
        try:
            await execution.run()
        except asyncio.CancelledError:
            raise
        except Exception:
            # Logged here because nobody awaits an order's task; its lease runs out by itself.
            _logger.exception("order %s", order.work_order_id)
        finally:
            with contextlib.suppress(KeyError):
                del self.control.running[order.task.id]
