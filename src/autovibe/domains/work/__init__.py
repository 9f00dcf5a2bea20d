"""Work: tasks, the orders that queue them, and their executions."""

from autovibe.domains.work.agent_service import AgentService
from autovibe.domains.work.approval_service import ApprovalService
from autovibe.domains.work.errors import HistoryUnreadableError
from autovibe.domains.work.history_stream import history_unrelated
from autovibe.domains.work.leave import Leave
from autovibe.domains.work.log_service import LogService
from autovibe.domains.work.ports import AgentFacts, Fleet, HistoryReader, WorkDefaults
from autovibe.domains.work.queue import check_lease
from autovibe.domains.work.queue_service import QueueService
from autovibe.domains.work.relaying import RelayAgentCall
from autovibe.domains.work.service import WorkService

__all__ = [
    "AgentFacts",
    "AgentService",
    "ApprovalService",
    "Fleet",
    "HistoryReader",
    "HistoryUnreadableError",
    "Leave",
    "LogService",
    "QueueService",
    "RelayAgentCall",
    "WorkDefaults",
    "WorkService",
    "check_lease",
    "history_unrelated",
]
