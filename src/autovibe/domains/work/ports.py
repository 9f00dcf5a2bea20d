"""What the work domain asks of others: Protocols that `app` joins (decision A2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True)
class AgentFacts:
    """What matters about an agent before its task is created."""

    approval_gate: Literal["closed", "open", "none"]
    default_model: str | None


class HistoryReader(Protocol):
    """Prints the history of a hostile repository where that can do no harm."""

    def export_history(self, repository: Path, base: str) -> AsyncGenerator[bytes]:
        """Yield the line `head HASH`, then what git fast-export prints of `base`..HEAD.

        Only first parents are followed. The repository is a bare one on this host, which nothing
        on this host may open.

        Raises:
            NoIsolationError: nothing that isolates works here.
            HistoryUnreadableError: git failed, or took too long.
            HistoryUnrelatedError: the repository does not hold `base`.
        """
        ...


class Fleet(HistoryReader, Protocol):
    """The agents and drivers that this control plane can run."""

    def agents(self) -> dict[str, AgentFacts]:
        """Return the known agents by name; the first is the default."""
        ...

    async def check(self, agent: str, isolation: str) -> Literal["sandbox", "process"]:
        """Make sure, by really trying, that the agent can run so; return the driver to use.

        Raises:
            UnknownAgentError: no adapter has this name.
            AgentNotInstalledError: its program is missing.
            NoIsolationError: the driver does not work here, or none that isolates does.
        """
        ...


@dataclass(frozen=True)
class WorkDefaults:
    """What a task gets when nothing is said.

    `task_budget` is in CAD as text, "" for no cap. `task_timeout_s` is in seconds.
    """

    task_budget: str
    task_timeout_s: int
