"""What a task came to, for people."""

from __future__ import annotations

import pytest

from autovibe.cli.client.summary import summary_lines
from autovibe.v1 import work_pb2

TASK = "0f0f0f0f-1111-4222-8333-444444444444"
TIME = "The daily time budget is used up. Raise it with `autovibe budget raise site time AMOUNT`."
OWN = "Raise it with `autovibe budget raise site money AMOUNT --task T`, or run with --budget."


def lines_of(**values: object) -> list[str]:
    result = work_pb2.TaskResult(task_id=TASK, status="blocked", **values)  # type: ignore[arg-type]  # fields by name
    return summary_lines(result, in_git=True)


def test_the_summary_tells_what_the_machines_used() -> None:
    lines = lines_of(duration_s=185.0, cpu_s=12.34, memory_peak_bytes=1_500_000_000)
    (line,) = [one for one in lines if "processor time" in one]
    assert "3m05s, 12.3 s of processor time, 1.4 GiB of memory at most" in line


@pytest.mark.parametrize(
    ("message", "command"),
    [
        (TIME, "autovibe task resume 0f0f0f0f"),
        (OWN, "autovibe task resume 0f0f0f0f --budget AMOUNT"),
        ("", "autovibe task resume 0f0f0f0f --budget AMOUNT"),
    ],
)
def test_more_money_is_proposed_only_where_it_helps(message: str, command: str) -> None:
    error = work_pb2.TaskError(reason="BUDGET_EXHAUSTED", message=message)
    assert lines_of(error=error)[-1].endswith(command)
