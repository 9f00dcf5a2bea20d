"""What one machine's agent asks people, and how long it waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from autovibe.domains.machines.agent import AgentEvent
from autovibe.domains.machines.asking import Verdict
from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError, Code
from autovibe.kernel.protoconv import struct
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.v1 import approvals_pb2, services, work_pb2

_WAIT_S: Final = 2
"""A process without a server hears no bell of another one, on SQLite: it looks often."""
_AFTER_ERROR_S: Final = 1.0
_PATHS: Final = ("file_path", "notebook_path", "path")
_OF_WORKSPACE: Final = frozenset({"Glob", "Grep", "LS"})
"""Tools that mean the whole workspace when they name no path."""
_AUTONOMOUS: Final = "autonomous"
_OWN_TOOLS: Final = "mcp__autovibe__"
"""They talk to people, and do nothing else."""
_ASK_TOOL: Final = f"{_OWN_TOOLS}ask"
_OWN_QUESTION: Final = "AskUserQuestion"
_USES: Final = frozenset({"command", "file_edit", "tool"})


@dataclass
class Gate:
    """Implements `machines.Asking` for one execution.

    `inside` is the workspace as the agent sees it, `workspace` the same on this host.
    """

    approvals: services.ApprovalService
    order: work_pb2.ClaimedOrder
    log: ExecutionLog
    clock: Clock
    hold_s: float
    workspace: Path
    inside: str
    passed_by: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a tool was used that nobody was asked about, although the task is supervised."""
    asked: bool = False
    _names: dict[str, str] = field(default_factory=dict[str, str])
    _allowed: set[str] = field(default_factory=set[str])
    _waits: asyncio.Event = field(default_factory=asyncio.Event)
    _open: int = 0
    _since: float = 0.0
    _waited_s: float = 0.0
    passed: str = ""

    @property
    def waits(self) -> bool:
        """Whether the agent waits for a person now."""
        return self._waits.is_set()

    @property
    def waited_s(self) -> float:
        """Seconds for which the agent has waited for people; they count against no time limit."""
        now = self.clock.monotonic() - self._since if self.waits else 0.0
        return self._waited_s + now

    async def held_too_long(self) -> None:
        """Return when the agent has waited so long that its machine is to be freed."""
        if not self.hold_s:
            await asyncio.Event().wait()
        while True:
            await self._waits.wait()
            left_s = self.hold_s - (self.clock.monotonic() - self._since)
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)

    async def may_use(self, tool: str, given: Mapping[str, Any], tool_use_id: str) -> Verdict:
        """Return whether the agent may use a tool now."""
        if tool == _OWN_QUESTION:
            return Verdict(
                allowed=False, message=f"Nobody sees this; ask with the tool {_ASK_TOOL}."
            )
        verdict = await self._ask(
            approvals_pb2.AskApprovalRequest(
                kind="tool_use",
                tool=tool,
                input=struct(given),
                cwd=self.inside,
                tool_use_id=tool_use_id,
                paths=self._paths(tool, given),
            )
        )
        if verdict.allowed:
            self._allowed.add(tool_use_id)
        return verdict

    async def question(self, text: str, options: Sequence[str], default: str) -> Verdict:
        """Return what a person answers to a question."""
        return await self._ask(
            approvals_pb2.AskApprovalRequest(
                kind="question", text=text, options=options, default_answer=default
            )
        )

    def saw(self, event: AgentEvent) -> None:
        """Compare what the agent says that it did with what was allowed.

        The agent's own gate is trusted, and looked after: a result of a call that was never asked
        about means that the gate let something pass.
        """
        use = event.tool_use_id or ""
        if event.kind in _USES:
            self._names[use] = str(event.details.get("tool", ""))
        elif event.kind == "tool_result" and not event.details.get("is_error"):
            name = self._names.get(use, "")
            if use in self._allowed or name.startswith(_OWN_TOOLS):
                return
            if self.order.task.permission_level != _AUTONOMOUS:
                self.passed = name or "a tool"
                self.passed_by.set()

    def _paths(self, tool: str, given: Mapping[str, Any]) -> list[str]:
        named = [str(given[name]) for name in _PATHS if given.get(name)]
        if not named and tool in _OF_WORKSPACE:
            named = ["."]
        found: list[str] = []
        for text in named:
            found += named_paths(text, self.inside, self.workspace)
        return list(dict.fromkeys(found))

    async def _ask(self, request: approvals_pb2.AskApprovalRequest) -> Verdict:
        request.execution_id = self.order.execution.id
        request.lease_generation = self.order.lease_generation
        response = await self._put(request)
        if response.verdict == "wait":
            self.asked = True
            self._tell(request, response, "waiting", "Waits for a person")
            with self._waiting():
                while response.verdict == "wait":
                    await self._decided(response.approval_id)
                    response = await self._put(request)
        allowed = response.verdict == "allow"
        if response.approval_id or not allowed:
            status = "allowed" if allowed else "denied"
            self._tell(request, response, status, status.capitalize())
        return Verdict(allowed, response.message)

    async def _put(
        self, request: approvals_pb2.AskApprovalRequest
    ) -> approvals_pb2.AskApprovalResponse:
        while True:
            try:
                return await self.approvals.ask_approval(request)
            except AutovibeError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
            await asyncio.sleep(_AFTER_ERROR_S)

    async def _decided(self, approval_id: str) -> None:
        request = approvals_pb2.WaitForApprovalRequest(approval_id=approval_id, wait_s=_WAIT_S)
        while True:
            try:
                if (await self.approvals.wait_for_approval(request)).decided:
                    return
            except AutovibeError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
                await asyncio.sleep(_AFTER_ERROR_S)

    @contextlib.contextmanager
    def _waiting(self) -> Generator[None]:
        if not self._open:
            self._since = self.clock.monotonic()
            self._waits.set()
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._waited_s += self.clock.monotonic() - self._since
                self._waits.clear()

    def _tell(
        self,
        request: approvals_pb2.AskApprovalRequest,
        response: approvals_pb2.AskApprovalResponse,
        status: str,
        said: str,
    ) -> None:
        what = request.tool or "a question"
        short = response.approval_id[:8]
        why = response.decided_by or response.message
        parts = [f"{said}: {what}", f"approval {short}" if short else "", why]
        self.log.write(
            "approval",
            " · ".join(part for part in parts if part),
            level="WARNING" if status == "waiting" else "INFO",
            status=status,
            approval_id=response.approval_id,
            tool=request.tool,
            tool_use_id=request.tool_use_id,
            by=response.decided_by,
        )


def named_paths(text: str, inside: str, workspace: Path) -> list[str]:
    """Return a path as it is written and as it really is, relative where it is in the workspace.

    Args:
        text: as the agent names it.
        inside: the workspace as the agent sees it.
        workspace: the workspace on this host; its links are read, and nothing else.
    """
    written = posixpath.normpath(posixpath.join(inside, text))
    if written == inside:
        return ["."]
    if not written.startswith(f"{inside}/"):
        return [written]
    relative = written.removeprefix(f"{inside}/")
    root = os.path.realpath(workspace)
    real = os.path.realpath(f"{root}/{relative}")
    if real == root:
        return [relative, "."]
    # What leads out of the workspace fits no pattern that is relative to it.
    return [relative, real.removeprefix(f"{root}/")]
