"""Errors of the checkpoints domain."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class CheckpointNotFoundError(AutovibeError):
    """No checkpoint has this id."""

    code = Code.NOT_FOUND
    reason = "CHECKPOINT_NOT_FOUND"


class CheckpointPrunedError(AutovibeError):
    """The files of the checkpoint were removed to save space; its row remains."""

    code = Code.FAILED_PRECONDITION
    reason = "CHECKPOINT_PRUNED"


class NotADirectoryGivenError(AutovibeError):
    """What was to be imported is no directory."""

    code = Code.INVALID_ARGUMENT
    reason = "NOT_A_DIRECTORY"


class MachineNotEndedError(AutovibeError):
    """The machine has not ended, so it cannot be purged."""

    code = Code.FAILED_PRECONDITION
    reason = "MACHINE_NOT_ENDED"


class CheckpointsNeededError(AutovibeError):
    """Something needs a checkpoint of the machine that was to be purged."""

    code = Code.FAILED_PRECONDITION
    reason = "CHECKPOINTS_NEEDED"
