"""What this process can run: agents and drivers, found by really trying."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autovibe.domains.machines.agent import AgentAdapter
from autovibe.domains.machines.driver import MachineDriver
from autovibe.domains.machines.errors import (
    AgentNotInstalledError,
    NoIsolationError,
    UnknownAgentError,
)
from autovibe.domains.work import AgentFacts
from autovibe.runtime.machine_history import export_history


@dataclass(frozen=True)
class LocalFleet:
    """Implements `work.Fleet`."""

    adapters: Mapping[str, AgentAdapter]
    drivers: Mapping[str, MachineDriver]

    def agents(self) -> dict[str, AgentFacts]:
        """Return the known agents by name; the first is the default."""
        return {
            name: AgentFacts(adapter.approval_gate, adapter.default_model)
            for name, adapter in self.adapters.items()
        }

    async def check(self, agent: str, isolation: str) -> Literal["sandbox", "process"]:
        """Make sure that the agent can run so; `auto` is the sandbox (decision C1).

        Raises:
            UnknownAgentError: no adapter has this name.
            AgentNotInstalledError: its program is missing.
            NoIsolationError: the wanted isolation does not work here.
        """
        adapter = self.adapters.get(agent)
        if adapter is None:
            known = ", ".join(self.adapters)
            raise UnknownAgentError(f"There is no agent {agent!r}; choose one of {known}.")
        missing = adapter.check()
        if missing is not None:
            raise AgentNotInstalledError(missing, agent=agent)
        if isolation == "process":
            return "process"
        if isolation not in {"auto", "sandbox"}:
            raise NoIsolationError(
                f"There is no isolation {isolation!r}; choose auto, sandbox or process."
            )
        probe = await self.drivers["sandbox"].probe()
        if not probe.ok:
            raise NoIsolationError(
                f"No sandbox can be started here: {probe.reason} Or accept that the agent can "
                "read and change everything you can, with --isolation process."
            )
        return "sandbox"

    def export_history(self, repository: Path, base: str) -> AsyncGenerator[bytes]:
        """Print the history of a hostile repository (see `work.HistoryReader`).

        Raises:
            NoIsolationError: no sandbox can be started here.
            HistoryUnreadableError: git failed, or took too long.
            HistoryUnrelatedError: the repository does not hold `base`.
        """
        return export_history(self.drivers.get("sandbox"), repository, base)
