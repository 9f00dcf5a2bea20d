"""The gateway's side of the ledger: batches, waiting for held money, settling whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Generic, TypeVar

from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError, UnavailableError
from autovibe.v1 import metering_pb2, services

_logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_LARGEST_BATCH: Final = 500
_SETTLE_WAIT_S: Final = 2
_RATE_LIFETIME_S: Final = 60
# A hold of another process may settle unseen; so waiters look again at least this often.
_LOOK_AGAIN_S: Final = 1.0
_SETTLE_PAUSES_S: Final = (0.05, 0.2, 0.5, 1, 2, 5, 10, 20, 30)


class Batcher(Generic[ItemT, ResultT]):
    """Sends items one batch at a time; what arrives meanwhile makes up the next (decision D7).

    A lone item is sent at once, so batching costs nobody any time. When a batch fails, its items
    are sent one by one, so that one bad item harms no other.
    """

    def __init__(
        self,
        send: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]],
        abandoned: Callable[[ItemT, ResultT], None],
    ) -> None:
        """Send with `send`; tell `abandoned` of a result whose caller is gone."""
        self._send = send
        self._abandoned = abandoned
        self._waiting: list[tuple[ItemT, asyncio.Future[ResultT]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def submit(self, item: ItemT) -> ResultT:
        """Return the result for an item, once its batch is durable."""
        return await self.put(item)

    def put(self, item: ItemT) -> asyncio.Future[ResultT]:
        """Return what will have the result for an item; cancelling it says that nobody waits."""
        result: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._sender is None:
            self._sender = asyncio.create_task(self._run(), name="ledger-batches")
        return result

    async def _run(self) -> None:
        try:
            while self._waiting:
                # All that wait: what a batch costs beside its items is more than what working on
                # one batch while the database works on another would save.
                batch = self._waiting[:_LARGEST_BATCH]
                del self._waiting[:_LARGEST_BATCH]
                await self._send_batch(batch)
        finally:
            self._sender = None

    async def _send_batch(self, batch: list[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        try:
            results = await self._send([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - every caller gets it, or a result of its own
            if len(batch) == 1:
                _fail(batch[0][1], error)
                return
            for one in batch:
                await self._send_batch([one])
            return
        for (item, waiting), result in zip(batch, results, strict=True):
            if waiting.done():
                self._abandoned(item, result)
            else:
                waiting.set_result(result)


def _fail(waiting: asyncio.Future[ResultT], error: Exception) -> None:
    if not waiting.done():
        waiting.set_exception(error)


class Ledger:
    """Holds and settles calls. One may serve the gateways of many machines, which it batches."""

    def __init__(self, metering: services.MeteringService, clock: Clock) -> None:
        """Use a metering service, in this process or beyond a network."""
        self._metering = metering
        self._clock = clock
        self._reserving = Batcher(self._reserve_many, self._nobody_waits)
        self._settling = Batcher(self._settle_many, lambda _item, _result: None)
        self._changed = asyncio.Event()
        self._rate: tuple[float, metering_pb2.ExchangeRate] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()

    async def rate(self) -> metering_pb2.ExchangeRate:
        """Return the dollar's rate, at most a minute old.

        Raises:
            AutovibeError: there is no rate, or the ledger cannot be reached.
        """
        now = self._clock.monotonic()
        if self._rate is None or now - self._rate[0] > _RATE_LIFETIME_S:
            # One asks, the others wait for the same answer.
            if self._asking is None:
                self._asking = asyncio.ensure_future(self._ask_rate(now))
                self._keep(self._asking)
            await asyncio.shield(self._asking)
        assert self._rate is not None
        return self._rate[1]

    async def _ask_rate(self, now: float) -> None:
        request = metering_pb2.GetExchangeRateRequest(currency="USD")
        try:
            self._rate = (now, await self._metering.get_exchange_rate(request))
        finally:
            self._asking = None

    async def reserve(
        self,
        reservation: metering_pb2.Reservation,
        *,
        wait_s: float,
        gone: Callable[[], bool],
    ) -> metering_pb2.ReserveVerdict:
        """Hold a call; wait while only holds of other calls are in its way (decision D6).

        Args:
            reservation: the call.
            wait_s: seconds to wait at most.
            gone: whether the caller has given up.

        Raises:
            AutovibeError: the ledger gave no verdict. Nothing may be forwarded then.
        """
        deadline = self._clock.monotonic() + wait_s
        while True:
            changed = self._changed
            verdict = await self._reserve(reservation)
            left = deadline - self._clock.monotonic()
            if verdict.reason != "BUDGET_HELD" or left <= 0 or gone():
                return verdict
            try:
                async with asyncio.timeout(min(left, _LOOK_AGAIN_S)):
                    await changed.wait()
            except TimeoutError:
                continue

    async def _reserve(self, reservation: metering_pb2.Reservation) -> metering_pb2.ReserveVerdict:
        try:
            return await self._reserving.submit(reservation)
        except AutovibeError:
            # Whether it was committed is not known: the same id again tells (decision D7).
            try:
                return await self._reserving.submit(reservation)
            except Exception:
                self._in_background(self._release_unknown(reservation.id))
                raise
        except Exception as error:
            self._in_background(self._release_unknown(reservation.id))
            raise UnavailableError(
                "The ledger gave no answer, so the call was not sent; try again."
            ) from error

    async def settle(
        self, settlement: metering_pb2.Settlement
    ) -> metering_pb2.SettleVerdict | None:
        """End a call; `None` when the ledger could not be reached in two seconds.

        It goes on trying then. Should it never succeed, the hold stays, and recovery settles it.
        """
        first = self._settling.put(settlement)
        try:
            # Shielded: the money is settled even if this caller goes.
            async with asyncio.timeout(_SETTLE_WAIT_S):
                verdict = await asyncio.shield(first)
        except BaseException as error:
            work = asyncio.create_task(self._settle_surely(settlement, first))
            self._keep(work)
            if not isinstance(error, Exception):
                raise
            wait_s = 0 if isinstance(error, TimeoutError) else _SETTLE_WAIT_S
            done, _ = await asyncio.wait({work}, timeout=wait_s)
            return work.result() if done else None
        self._settled(verdict)
        return verdict

    async def drain(self, wait_s: float = 5) -> None:
        """Wait for settlements that are still being tried.

        Args:
            wait_s: seconds to wait at most; the attempts go on after them.
        """
        if self._background:
            await asyncio.wait(set(self._background), timeout=wait_s)

    def give_up(self) -> None:
        """End the attempts; recovery settles what they leave."""
        for task in self._background:
            task.cancel()

    async def _settle_surely(
        self,
        settlement: metering_pb2.Settlement,
        first: asyncio.Future[metering_pb2.SettleVerdict] | None = None,
    ) -> metering_pb2.SettleVerdict | None:
        """Try until it is settled, or for a minute and more; `first` is an attempt under way."""
        for pause in (*_SETTLE_PAUSES_S, None):
            try:
                verdict = await (first or self._settling.put(settlement))
            except Exception as error:  # noqa: BLE001 - whatever it was, the money is still held
                _logger.warning("call %s could not be settled: %s", settlement.id, error)
            else:
                self._settled(verdict)
                return verdict
            first = None
            if pause is not None:
                await asyncio.sleep(pause)
        return None

    def _settled(self, verdict: metering_pb2.SettleVerdict) -> None:
        self._wake()
        if verdict.overrun:
            _logger.error("call %s cost more than was held for it", verdict.id)

    async def _reserve_many(
        self, batch: Sequence[metering_pb2.Reservation]
    ) -> Sequence[metering_pb2.ReserveVerdict]:
        request = metering_pb2.ReserveManyRequest(reservations=batch)
        return (await self._metering.reserve_many(request)).verdicts

    async def _settle_many(
        self, batch: Sequence[metering_pb2.Settlement]
    ) -> Sequence[metering_pb2.SettleVerdict]:
        request = metering_pb2.SettleManyRequest(settlements=batch)
        return (await self._metering.settle_many(request)).verdicts

    def _nobody_waits(
        self, reservation: metering_pb2.Reservation, verdict: metering_pb2.ReserveVerdict
    ) -> None:
        if verdict.admitted:
            self._in_background(self._release_unknown(reservation.id))

    async def _release_unknown(self, call_id: str) -> None:
        """Release a hold that may exist, and under which nothing was sent."""
        await self._settle_surely(metering_pb2.Settlement(id=call_id, outcome="released"))

    def _in_background(self, work: Coroutine[Any, Any, object]) -> None:
        self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _wake(self) -> None:
        """Wake everybody who waits for held money."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
