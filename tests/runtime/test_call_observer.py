from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from plane import Plane, write_files

from autovibe.domains.metering import ArrivedCall
from autovibe.kernel.protoconv import from_struct, struct
from autovibe.runtime.call_observer import CallReporter, token_counts
from autovibe.runtime.checkpointer import Checkpointer
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.v1 import metering_pb2, work_pb2


@dataclass
class Checkpoints:
    """Notes for which tool calls a checkpoint was wanted."""

    wanted: list[Sequence[str]] = field(default_factory=list)
    last_settled_call_id: str = ""

    async def before_response(self, tool_use_ids: Sequence[str]) -> None:
        self.wanted.append(tool_use_ids)


def _call(*tool_use_ids: str) -> ArrivedCall:
    return ArrivedCall(
        request_id="r",
        model="claude-opus-5-5",
        tool_use_ids=tool_use_ids,
        follows_tool_result=bool(tool_use_ids),
        max_tokens=4096,
        body_size_bytes=100,
        stream=True,
    )


async def test_calls_are_checkpointed_counted_and_logged(one_plane: Plane, tmp_path: Path):
    project = await one_plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await one_plane.load(tmp_path / "dir")
    task = await one_plane.task()
    await one_plane.worker()
    order = await one_plane.claimed()
    log = ExecutionLog(one_plane.services.work, order.execution.id, 1, one_plane.clock)
    checkpoints = Checkpoints()
    reporter = CallReporter(
        cast("Checkpointer", checkpoints), one_plane.services.metering, log, project.id, task.id
    )
    await reporter.arrived(_call())
    await reporter.arrived(_call("t1", "t2"))
    assert checkpoints.wanted == [("t1", "t2")]

    await reporter.refused(
        _call(), metering_pb2.ReserveVerdict(id="c1", reason="BUDGET_HELD", message="wait a little")
    )
    assert reporter.refusal == ("BUDGET_HELD", "wait a little")
    assert not reporter.refused_for_good.is_set()
    settlement = metering_pb2.Settlement(
        id="c2",
        outcome="settled",
        amounts=[
            metering_pb2.ResourceAmount(resource_type="money", amount="0.250000"),
            metering_pb2.ResourceAmount(resource_type="api_calls", amount="1"),
        ],
        raw_usage=struct({"input_tokens": 12, "output_tokens": 3}),
        duration_ms=40,
    )
    await reporter.settled(_call(), settlement)
    assert (reporter.refusal, reporter.calls, checkpoints.last_settled_call_id) == (None, 1, "c2")
    settlement.id, settlement.outcome = "c3", "released"
    await reporter.settled(_call(), settlement)
    assert (reporter.calls, checkpoints.last_settled_call_id) == (1, "c2")
    await reporter.refused(
        _call(), metering_pb2.ReserveVerdict(id="c4", reason="BUDGET_EXHAUSTED", message="all gone")
    )
    assert reporter.refused_for_good.is_set()
    await log.close()

    page = await one_plane.services.work.list_task_logs(
        work_pb2.ListTaskLogsRequest(task_id=task.id)
    )
    told = [from_struct(entry.event.details) for entry in page.entries]
    assert [line["status"] for line in told] == ["refused", "settled", "released", "refused"]
    assert [entry.level for entry in page.entries] == ["WARNING", "INFO", "WARNING", "WARNING"]
    assert (told[1]["cost_cad"], told[1]["budget_cad"], told[1]["input_tokens"]) == (
        "0.25",
        "5.00",
        12.0,
    )
    assert "cache_read_tokens" not in told[1]
    assert (told[3]["reason"], told[3]["message"]) == ("BUDGET_EXHAUSTED", "all gone")


@pytest.mark.parametrize(
    ("usage", "given", "made", "cached"),
    [
        (
            {"input_tokens": 12, "output_tokens": 3, "cache_read_input_tokens": 900},
            *(12, 3, 900),
        ),
        (
            {
                "prompt_tokens": 1000,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 800},
            },
            *(200, 50, 800),
        ),
        (
            {
                "input_tokens": 1000,
                "output_tokens": 50,
                "input_tokens_details": {"cached_tokens": 1000},
            },
            *(0, 50, 1000),
        ),
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "toolUsePromptTokenCount": 5,
                "candidatesTokenCount": 7,
                "thoughtsTokenCount": 20,
            },
            *(65, 27, 40),
        ),
    ],
    ids=["messages", "chat", "responses", "gemini"],
)
def test_tokens_are_logged_whatever_an_api_calls_them(
    usage: dict[str, object], given: int, made: int, cached: int
):
    assert token_counts(struct(usage)) == {
        "input_tokens": given,
        "output_tokens": made,
        "cache_read_tokens": cached,
    }


def test_tokens_that_nobody_told_are_not_logged():
    assert token_counts(struct({})) == {}
    assert token_counts(struct({"prompt_tokens": 9, "output_tokens": "many"})) == {
        "input_tokens": 9.0
    }


def test_the_environment_of_a_protected_process_is_not_dumpable():
    script = """
import ctypes
from autovibe.runtime.protection import protect_process
libc = ctypes.CDLL(None)
print(libc.prctl(3, 0, 0, 0, 0))
protect_process()
print(libc.prctl(3, 0, 0, 0, 0))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "0"]
