"""The worker of this process: claims orders and does them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass, field
from typing import Final

from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.faults import reach
from autovibe.runtime.admission import Admission
from autovibe.runtime.control import LocalControl
from autovibe.runtime.execution import LEASE_S, Execution
from autovibe.runtime.surroundings import Surroundings
from autovibe.v1 import queue_pb2, services, work_pb2

_logger = logging.getLogger(__name__)

_POLL_S: Final = 5.0
"""How often a worker looks for work that no bell rang for."""
_CROWDED_POLL_S: Final = 1.0
_WAIT_S: Final = 20
_ALONE_WAIT_S: Final = 1
"""A process without a server hears no bell of another one, on SQLite: it looks often."""
_BEAT_S: Final = 20.0
_AFTER_ERROR_S: Final = 1.0


@dataclass
class Worker:
    """One worker identity with a number of slots.

    `grace_s` is how long what runs may go on when the worker is stopped, before it is paused.
    """

    around: Surroundings
    queue: services.QueueService
    worker_id: str
    control: LocalControl
    slots: int = 1
    admission: Admission | None = None
    grace_s: float = 0.0
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _draining: bool = False
    _held_back: str = ""

    async def work_on(self, task_id: str) -> None:
        """Claim the order of one task and do it; returns when it has ended.

        Returns at once when the order is not there to be claimed: another worker has it.
        """
        reach("before_claim")
        answer = await self.around.work.claim_work_order(
            work_pb2.ClaimWorkOrderRequest(
                worker_id=self.worker_id,
                instance_id=self.around.instance_id,
                task_id=task_id,
                lease_s=LEASE_S,
            )
        )
        if answer.HasField("order"):
            async with self._listening(_ALONE_WAIT_S):
                await self._do(answer.order)

    async def serve(self) -> None:
        """Claim and do orders until cancelled or drained; then end what runs, and sign off."""
        running: set[asyncio.Task[None]] = set()
        try:
            async with self._listening(_WAIT_S), self._beating():
                while not (self._draining and not running):
                    self._woken.clear()
                    for order in await self._claim(len(running)):
                        task = asyncio.create_task(
                            self._do(order), name=f"order-{order.work_order_id}"
                        )
                        running.add(task)
                        task.add_done_callback(running.discard)
                        task.add_done_callback(lambda _: self._woken.set())
                    await self._wait(_CROWDED_POLL_S if self._held_back else _POLL_S)
        finally:
            if running and self.grace_s:
                await asyncio.wait(running, timeout=self.grace_s)
            self.control.interrupt_all()
            if running:
                await asyncio.gather(*running, return_exceptions=True)
            await self._sign_off()

    async def _wait(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()

    async def _claim(self, running: int) -> list[work_pb2.ClaimedOrder]:
        """Claim as many orders as there is room for: one at a time where the host is measured."""
        if self._draining or running >= self.slots:
            return []
        if self.admission is not None:
            refusal = self.admission.refusal(running)
            if refusal and not self._held_back:
                _logger.warning("no further task is begun: %s", refusal)
            self._held_back = refusal
            if refusal:
                return []
        try:
            answer = await self.queue.claim_many(
                queue_pb2.ClaimManyRequest(
                    worker_id=self.worker_id,
                    instance_id=self.around.instance_id,
                    lease_s=LEASE_S,
                    limit=self.slots - running if self.admission is None else 1,
                )
            )
        except AutovibeError as error:
            _logger.warning("claiming: %s", error)
            return []
        if answer.orders:
            self._woken.set()  # there may be more, and room for it
        return list(answer.orders)

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

    @contextlib.asynccontextmanager
    async def _listening(self, wait_s: int) -> AsyncGenerator[None]:
        """Hear what is wanted of this worker until the block ends."""
        async with _running(self._listen(wait_s), "worker-bell"):
            yield

    @contextlib.asynccontextmanager
    async def _beating(self) -> AsyncGenerator[None]:
        async with _running(self._beat(), "worker-heartbeat"):
            yield

    async def _listen(self, wait_s: int) -> None:
        """Wait for the bell again and again: new orders, tasks to stop, an end to come."""
        request = queue_pb2.WaitForWorkRequest(worker_id=self.worker_id, wait_s=wait_s)
        while True:
            try:
                answer = await self.queue.wait_for_work(request)
            except AutovibeError as error:
                _logger.warning("waiting for work: %s", error)
                await asyncio.sleep(_AFTER_ERROR_S)
                continue
            request.bell = answer.bell
            unknown = [task for task in answer.stop_task_ids if not self.control.interrupt(task)]
            stopping = {*request.stopping_task_ids, *answer.stop_task_ids} - set(unknown)
            request.stopping_task_ids[:] = sorted(stopping & set(self.control.running))
            self._draining = self._draining or answer.draining
            self._woken.set()
            if unknown or answer.draining:
                # It is asked again at once otherwise: claimed and not begun yet, or ending.
                await asyncio.sleep(_AFTER_ERROR_S)

    async def _beat(self) -> None:
        request = queue_pb2.HeartbeatWorkerRequest(worker_id=self.worker_id)
        while True:
            await asyncio.sleep(_BEAT_S)
            with contextlib.suppress(AutovibeError):
                answer = await self.queue.heartbeat_worker(request)
                self._draining = self._draining or answer.draining

    async def _sign_off(self) -> None:
        try:
            await self.queue.sign_off_worker(
                queue_pb2.SignOffWorkerRequest(worker_id=self.worker_id)
            )
        except AutovibeError as error:
            _logger.warning("signing off: %s", error)


@contextlib.asynccontextmanager
async def _running(work: Coroutine[object, object, None], name: str) -> AsyncGenerator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
