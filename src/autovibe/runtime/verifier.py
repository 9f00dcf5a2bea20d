"""Verifying checkpoints in the background, as they come and after an outage."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Final

from autovibe.kernel.errors import AutovibeError
from autovibe.sdk.services import Services
from autovibe.v1 import checkpoints_pb2, maintenance_pb2

_logger = logging.getLogger(__name__)

CHANNEL: Final = "checkpoint_verification"
"""What PostgreSQL notifies when a checkpoint waits."""
POLL_S: Final = 15.0
_NOTHING_TO_READ: Final = frozenset({"CHECKPOINT_PRUNED", "CHECKPOINT_NOT_FOUND"})
_LONGEST_ERROR: Final = 1_000


@dataclass(frozen=True)
class Verifier:
    """Takes checkpoints from the queue and has every byte of them read back and hashed again."""

    services: Services
    name: str
    """Who locks the entries."""

    async def serve(self, rung: asyncio.Event) -> None:
        """Verify whatever waits, when the bell rings and every fifteen seconds, until cancelled."""
        while True:
            try:
                rung.clear()
                await self.verify_all()
            except AutovibeError as error:
                _logger.warning("verification: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await rung.wait()

    async def verify_all(self) -> int:
        """Verify until nothing waits; return how many were."""
        done = 0
        tried: set[str] = set()
        while True:
            entry = await self._verify_next(tried)
            if entry is None:
                return done
            done += 1
            tried.add(entry)

    async def _verify_next(self, tried: set[str]) -> str | None:
        """Verify one; `None` when nothing waits that was not tried just now."""
        claim = await self.services.maintenance.claim_verification(
            maintenance_pb2.ClaimVerificationRequest(locked_by=self.name)
        )
        if not claim.entry_id:
            return None
        error = ""
        try:
            await self.services.checkpoints.verify_checkpoint(
                checkpoints_pb2.VerifyCheckpointRequest(checkpoint_id=claim.checkpoint_id)
            )
        except AutovibeError as failure:
            if failure.reason not in _NOTHING_TO_READ:
                error = f"{failure.reason}: {failure.message}"[:_LONGEST_ERROR]
        await self.services.maintenance.finish_verification(
            maintenance_pb2.FinishVerificationRequest(
                entry_id=claim.entry_id,
                locked_by=self.name,
                attempt=claim.attempt,
                error=error,
            )
        )
        return None if error and claim.entry_id in tried else claim.entry_id
