"""How long an agent waits for people, and what is noticed when it did not ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autovibe.domains.machines.agent import AgentEvent
from autovibe.kernel.errors import UnavailableError
from autovibe.runtime.asking import Gate, named_paths
from autovibe.v1 import approvals_pb2, work_pb2


class Hands:
    """A clock that a test moves."""

    time = 0.0

    def monotonic(self) -> float:
        return self.time


@dataclass
class Lines:
    """A log that keeps the lines."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def write(self, kind: str, message: str, /, **details: Any) -> None:
        self.lines.append((kind, str(details.get("status", message))))


@dataclass
class Desk:
    """A service of approvals whose person answers when a test says so."""

    verdict: str = "wait"
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    away: int = 0
    asked: list[approvals_pb2.AskApprovalRequest] = field(default_factory=list)

    async def ask_approval(
        self, request: approvals_pb2.AskApprovalRequest
    ) -> approvals_pb2.AskApprovalResponse:
        if self.away:
            self.away -= 1
            raise UnavailableError("The server is being restarted.")
        self.asked.append(request)
        return approvals_pb2.AskApprovalResponse(
            verdict=self.verdict, approval_id="a" * 8, message="told"
        )

    async def wait_for_approval(
        self, request: approvals_pb2.WaitForApprovalRequest
    ) -> approvals_pb2.WaitForApprovalResponse:
        assert request.approval_id
        await self.answered.wait()
        return approvals_pb2.WaitForApprovalResponse(decided=True)


def gate(desk: Desk, workspace: Path, *, level: str = "supervised", hold_s: float = 10) -> Gate:
    order = work_pb2.ClaimedOrder(lease_generation=3)
    order.task.permission_level = level
    clock: Any = Hands()
    log: Any = Lines()
    return Gate(desk, order, log, clock, hold_s, workspace, "/workspace")  # type: ignore[arg-type]


def use(tool: str, number: str) -> AgentEvent:
    return AgentEvent("tool", "", number, {"tool": tool})


def result(number: str, **details: Any) -> AgentEvent:
    given: Mapping[str, Any] = details
    return AgentEvent("tool_result", "", number, given)


async def test_time_spent_waiting_is_counted_and_ends_with_the_answer(tmp_path: Path) -> None:
    desk = Desk()
    asking = gate(desk, tmp_path)
    clock: Any = asking.clock
    waiting = asyncio.create_task(asking.may_use("Bash", {"command": "make"}, "t1"))
    held = asyncio.create_task(asking.held_too_long())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asking.waits
    clock.time = 7
    assert asking.waited_s == 7
    desk.verdict = "allow"
    desk.answered.set()
    assert (await waiting).allowed
    clock.time = 20
    assert (asking.waits, asking.waited_s) == (False, 7)
    assert [status for _, status in asking.log.lines] == ["waiting", "allowed"]  # type: ignore[attr-defined]
    assert desk.asked[0].lease_generation == 3
    assert not held.done()
    held.cancel()


async def test_a_machine_that_waits_too_long_is_to_be_freed(tmp_path: Path) -> None:
    asking = gate(Desk(), tmp_path, hold_s=10)
    clock: Any = asking.clock
    waiting = asyncio.create_task(asking.question("Which?", [], ""))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asking.waits
    clock.time = 10
    await asking.held_too_long()
    waiting.cancel()


async def test_a_server_that_is_away_is_asked_again_and_a_no_is_a_no(tmp_path: Path) -> None:
    desk = Desk(verdict="deny", away=1)
    verdict = await gate(desk, tmp_path).may_use("Edit", {"file_path": "/workspace/a"}, "t1")
    assert (verdict.allowed, verdict.message) == (False, "told")
    assert list(desk.asked[0].paths) == ["a"]


async def test_a_result_of_what_was_never_asked_about_is_noticed(tmp_path: Path) -> None:
    asking = gate(Desk(verdict="allow"), tmp_path)
    await asking.may_use("Bash", {"command": "make"}, "t1")
    for event in (use("Bash", "t1"), result("t1"), use("Bash", "t2"), result("t2", is_error=True)):
        asking.saw(event)
    for event in (use("mcp__autovibe__ask", "t3"), result("t3")):
        asking.saw(event)
    assert not asking.passed_by.is_set()
    for event in (use("Write", "t4"), result("t4")):
        asking.saw(event)
    assert (asking.passed_by.is_set(), asking.passed) == (True, "Write")
    free = gate(Desk(), tmp_path, level="autonomous")
    free.saw(result("t9"))
    assert not free.passed_by.is_set()


def test_a_path_is_named_as_written_and_as_it_really_is(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/out").symlink_to("/etc")
    (tmp_path / "docs/in").symlink_to("../src")
    assert named_paths("/workspace/docs/a", "/workspace", tmp_path) == ["docs/a", "docs/a"]
    assert named_paths("docs/in/x", "/workspace", tmp_path) == ["docs/in/x", "src/x"]
    assert named_paths("docs/out/x", "/workspace", tmp_path) == ["docs/out/x", "/etc/x"]
    assert named_paths("docs/../../x", "/workspace", tmp_path) == ["/x"]
    assert named_paths("/workspace", "/workspace", tmp_path) == ["."]
