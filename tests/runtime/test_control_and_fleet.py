from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autovibe.agents import adapters
from autovibe.agents.claude_code import ClaudeCodeAdapter
from autovibe.agents.shell import ShellAdapter
from autovibe.domains.machines.driver import Machine, MachineSpec, Probe
from autovibe.domains.machines.errors import (
    AgentNotInstalledError,
    MachineSpawnError,
    NoIsolationError,
    UnknownAgentError,
)
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.runtime.control import LocalControl
from autovibe.runtime.fleet import LocalFleet


@dataclass
class _Execution:
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


async def test_a_pause_returns_when_the_execution_has_ended():
    mine, other = _Execution(), _Execution()
    control = LocalControl({"mine": mine, "other": other})
    assert await control.pause("elsewhere") is False
    pause = asyncio.create_task(control.pause("mine"))
    await mine.interrupted.wait()
    assert not pause.done()
    mine.ended.set()
    assert await pause is True
    assert not other.interrupted.is_set()
    control.interrupt_all()
    assert other.interrupted.is_set()


class _Missing(ShellAdapter):
    name = "missing"

    def check(self) -> str | None:
        return "The program is missing; install it."


@dataclass
class _Sandbox:
    """A sandbox that works, or not."""

    ok: bool
    name: str = "sandbox"
    isolated: bool = True

    async def probe(self) -> Probe:
        return Probe(ok=self.ok, reason="" if self.ok else "bubblewrap is missing; install it.")

    async def spawn(self, spec: MachineSpec) -> Machine:
        raise MachineSpawnError(f"{spec.machine_id} is not started here.")

    async def end_leftover(self, vm_id: str, pid: int | None) -> bool:
        return (vm_id, pid) is None


def _fleet(tmp_path: Path, *, sandbox_works: bool) -> LocalFleet:
    return LocalFleet(
        {"shell": ShellAdapter(), "missing": _Missing()},
        {"sandbox": _Sandbox(sandbox_works), "process": ProcessDriver(tmp_path)},
    )


async def test_auto_is_the_sandbox_or_an_error_that_names_the_fix(tmp_path: Path):
    works = _fleet(tmp_path, sandbox_works=True)
    assert await works.check("shell", "auto") == "sandbox"
    assert await works.check("shell", "sandbox") == "sandbox"
    assert await works.check("shell", "process") == "process"
    broken = _fleet(tmp_path, sandbox_works=False)
    for isolation in ("auto", "sandbox"):
        with pytest.raises(NoIsolationError) as refused:
            await broken.check("shell", isolation)
        assert "bubblewrap is missing; install it." in refused.value.message
        assert "--isolation process" in refused.value.message
    assert await broken.check("shell", "process") == "process"


async def test_unknown_agents_isolations_and_missing_programs_are_refused(tmp_path: Path):
    fleet = _fleet(tmp_path, sandbox_works=True)
    with pytest.raises(UnknownAgentError) as unknown:
        await fleet.check("hal9000", "auto")
    assert "shell, missing" in unknown.value.message
    with pytest.raises(AgentNotInstalledError):
        await fleet.check("missing", "process")
    with pytest.raises(NoIsolationError):
        await fleet.check("shell", "none")


def test_the_first_adapter_is_the_default_and_its_facts_are_told():
    facts = LocalFleet(adapters(), {}).agents()
    assert next(iter(facts)) == ClaudeCodeAdapter.name
    assert facts["shell"].approval_gate == "none"
    assert facts["claude_code"].approval_gate == "closed"
    assert facts["claude_code"].default_model
