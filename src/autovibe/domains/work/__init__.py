"""Work: tasks, the orders that queue them, and their executions."""

from autovibe.domains.work.ports import AgentFacts, Fleet, WorkDefaults
from autovibe.domains.work.queue import check_lease
from autovibe.domains.work.service import WorkService

__all__ = ["AgentFacts", "Fleet", "WorkDefaults", "WorkService", "check_lease"]
