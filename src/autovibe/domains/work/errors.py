"""Errors of the work domain."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class TaskNotFoundError(AutovibeError):
    """No task has this id."""

    code = Code.NOT_FOUND
    reason = "TASK_NOT_FOUND"


class ModelCallNotFoundError(AutovibeError):
    """No call with this id was kept."""

    code = Code.NOT_FOUND
    reason = "MODEL_CALL_NOT_FOUND"


class WorkerNotFoundError(AutovibeError):
    """No worker has this id."""

    code = Code.NOT_FOUND
    reason = "WORKER_NOT_FOUND"


class WorkerHoldsOrdersError(AutovibeError):
    """A worker that still holds orders cannot sign off."""

    code = Code.FAILED_PRECONDITION
    reason = "WORKER_HOLDS_ORDERS"


class WorkerVersionMismatchError(AutovibeError):
    """A worker of another version does not work with this server."""

    code = Code.FAILED_PRECONDITION
    reason = "WORKER_VERSION_MISMATCH"


class WorkOrderNotFoundError(AutovibeError):
    """No work order has this id."""

    code = Code.NOT_FOUND
    reason = "WORK_ORDER_NOT_FOUND"


class OrderNotDeadError(AutovibeError):
    """Only an order that has failed for good, or has expired, can be queued again."""

    code = Code.FAILED_PRECONDITION
    reason = "ORDER_NOT_DEAD"


class InvalidTransitionError(AutovibeError):
    """A task, order, assignment or execution may not go from its status to the wanted one."""

    code = Code.FAILED_PRECONDITION
    reason = "INVALID_TRANSITION"


class TaskNotRunningError(AutovibeError):
    """The task is not being worked on by this control plane."""

    code = Code.FAILED_PRECONDITION
    reason = "TASK_NOT_RUNNING"


class TaskNotFinishedError(AutovibeError):
    """The task has neither completed nor been cancelled."""

    code = Code.FAILED_PRECONDITION
    reason = "TASK_NOT_FINISHED"


class TaskNeededError(AutovibeError):
    """Another task that may go on needs this one."""

    code = Code.FAILED_PRECONDITION
    reason = "TASK_NEEDED"


class TaskNotResumableError(AutovibeError):
    """The task runs, has completed, or was cancelled."""

    code = Code.FAILED_PRECONDITION
    reason = "TASK_NOT_RESUMABLE"


class LeaseLostError(AutovibeError):
    """A report came under a lease that has since passed to another."""

    code = Code.ABORTED
    reason = "LEASE_LOST"


class ApprovalGateOpenError(AutovibeError):
    """The agent's own permission gate does not fail closed, so it may not do supervised work."""

    code = Code.FAILED_PRECONDITION
    reason = "APPROVAL_GATE_OPEN"


class NothingToApplyError(AutovibeError):
    """The result of the task does not differ from its base."""

    code = Code.FAILED_PRECONDITION
    reason = "NOTHING_TO_APPLY"


class BranchExistsError(AutovibeError):
    """A branch of this name exists."""

    code = Code.ALREADY_EXISTS
    reason = "BRANCH_EXISTS"


class NotARepositoryError(AutovibeError):
    """The directory of the task is no git repository (any more)."""

    code = Code.FAILED_PRECONDITION
    reason = "NOT_A_REPOSITORY"


class BaseCommitMissingError(AutovibeError):
    """The commit that was HEAD at import is not in the repository."""

    code = Code.FAILED_PRECONDITION
    reason = "BASE_COMMIT_MISSING"


class HistoryUnreadableError(AutovibeError):
    """The repository in the machine cannot be read, or holds more than is taken from one."""

    code = Code.FAILED_PRECONDITION
    reason = "HISTORY_UNREADABLE"


class HistoryUnrelatedError(AutovibeError):
    """The commits made in the machine do not go on from the commit that the task began with."""

    code = Code.FAILED_PRECONDITION
    reason = "HISTORY_UNRELATED"


class UnsafePathsError(AutovibeError):
    """The result holds paths that must not be written into a repository."""

    code = Code.FAILED_PRECONDITION
    reason = "UNSAFE_PATHS"


class TaskCycleError(AutovibeError):
    """Tasks would wait for each other in a circle."""

    code = Code.FAILED_PRECONDITION
    reason = "TASK_CYCLE"


class SelfDependencyError(AutovibeError):
    """A task would depend on itself."""

    code = Code.INVALID_ARGUMENT
    reason = "TASK_DEPENDS_ON_ITSELF"


class DuplicateDependencyError(AutovibeError):
    """The task has a dependency on the other one already."""

    code = Code.ALREADY_EXISTS
    reason = "DUPLICATE_DEPENDENCY"


class DependencyNotFoundError(AutovibeError):
    """The task does not depend on the other one."""

    code = Code.NOT_FOUND
    reason = "DEPENDENCY_NOT_FOUND"


class TaskHasStartedError(AutovibeError):
    """The task runs or has ended: it can neither wait for another one nor become something else."""

    code = Code.FAILED_PRECONDITION
    reason = "TASK_HAS_STARTED"


class TaskWaitsError(AutovibeError):
    """The task waits for others that can still complete."""

    code = Code.FAILED_PRECONDITION
    reason = "TASK_WAITS"


class ParentNotAllowedError(AutovibeError):
    """The task cannot be a part of that one."""

    code = Code.FAILED_PRECONDITION
    reason = "PARENT_NOT_ALLOWED"


class NoRecipientError(AutovibeError):
    """No machine runs that the message could go to."""

    code = Code.FAILED_PRECONDITION
    reason = "NO_RECIPIENT"


class SubtaskOverCapError(AutovibeError):
    """The cap of a sub-task is more than its task may still cost."""

    code = Code.FAILED_PRECONDITION
    reason = "SUBTASK_OVER_CAP"


class TooManySubtasksError(AutovibeError):
    """The task has as many sub-tasks as a machine may ask for."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_SUBTASKS"


class ApprovalNotFoundError(AutovibeError):
    """Nothing with this id waits for a person, or did."""

    code = Code.NOT_FOUND
    reason = "APPROVAL_NOT_FOUND"


class ApprovalClosedError(AutovibeError):
    """The request has been answered, has expired, or was withdrawn."""

    code = Code.FAILED_PRECONDITION
    reason = "APPROVAL_CLOSED"


class ApprovalNeededError(AutovibeError):
    """A person has to allow this first."""

    code = Code.FAILED_PRECONDITION
    reason = "WAITING_FOR_APPROVAL"


class ExecutionNotFoundError(AutovibeError):
    """No execution has this id."""

    code = Code.NOT_FOUND
    reason = "EXECUTION_NOT_FOUND"
