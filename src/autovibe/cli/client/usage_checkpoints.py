"""`autovibe usage checkpoints`: how long each automatic checkpoint took."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.client.results import get_result
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, plural, short, table
from autovibe.v1 import checkpoints_pb2

_SUMMED_UP: Final = 500


@dataclass(frozen=True)
class Times:
    """How long automatic checkpoints took, in milliseconds."""

    count: int
    median_ms: float
    longest_ms: float
    median_frozen_ms: float
    longest_frozen_ms: float

    @property
    def text(self) -> str:
        """One line for people."""
        return (
            f"{plural(self.count, 'automatic checkpoint')}: {self.median_ms:.0f} ms at the median, "
            f"{self.longest_ms:.0f} ms at most; machines stood still for "
            f"{self.median_frozen_ms:.0f} ms at the median, {self.longest_frozen_ms:.0f} at most."
        )


@click.command("checkpoints", epilog="Example: autovibe usage checkpoints --task 1a2b3c4d")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option("--task", "task_id", default="", help="Only those that this task's machines made.")
@limit_option
@json_option
def checkpoints(project_name: str, task_id: str, limit: int, *, as_json: bool) -> None:
    """Show how long each automatic checkpoint took, the newest first.

    An agent waits for one only when the model answers before its machine's files were read; how
    long it did is in the lines of its calls (`autovibe logs`).
    """

    async def body(connection: Connection) -> tuple[list[checkpoints_pb2.Checkpoint], str]:
        return await timed_checkpoints(connection, project_name, task_id, limit)

    found, token = with_connection(body)
    times = sum_up(found)
    if as_json:
        items = [
            {
                "id": item.id,
                "created_at": item.created_at.ToJsonString(),
                "total_ms": item.timing.total_ms,
                "frozen_ms": item.timing.frozen_ms,
                "stored_bytes": item.stored_bytes,
                "file_count": item.manifest_file_count,
            }
            for item in found
        ]
        summary = asdict(times) if times else None
        print_json({"checkpoints": items, "summary": summary, "next_page_token": token})
        return
    if times is None:
        print_notes(["No automatic checkpoints."])
        return
    rows = [
        (
            short(item.id),
            f"{item.manifest_file_count:,}",
            f"{item.timing.frozen_ms:.1f} ms",
            f"{item.timing.total_ms:.1f} ms",
            moment(item.created_at),
        )
        for item in found
    ]
    headers = ("CHECKPOINT", "FILES", "STOOD STILL", "TOOK", "CREATED (UTC)")
    print_lines([*table(headers, rows, right="FILES STOOD STILL TOOK"), "", times.text])
    print_notes(more(token))


async def checkpoint_times(connection: Connection, project_name: str, task_id: str) -> Times | None:
    """Return how long the newest automatic checkpoints took; `None` when there are none."""
    found, _ = await timed_checkpoints(connection, project_name, task_id, _SUMMED_UP)
    return sum_up(found)


async def timed_checkpoints(
    connection: Connection, project_name: str, task_id: str, limit: int
) -> tuple[list[checkpoints_pb2.Checkpoint], str]:
    """Return automatic checkpoints of which it is known how long they took."""
    machine_ids: Sequence[str] = ()
    if task_id:
        machine_ids = (await get_result(connection, task_id)).machine_ids
        if not machine_ids:
            return [], ""

    async def fetch(size: int, token: str) -> tuple[Sequence[checkpoints_pb2.Checkpoint], str]:
        answer = await connection.services.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(
                project=project_name, machine_ids=machine_ids, page_size=size, page_token=token
            )
        )
        return answer.checkpoints, answer.next_page_token

    found, token = await collect(fetch, limit)
    timed = [one for one in found if one.checkpoint_type == "automatic" and one.HasField("timing")]
    return timed, token


def sum_up(found: Sequence[checkpoints_pb2.Checkpoint]) -> Times | None:
    """Return medians and maxima; `None` of nothing."""
    if not found:
        return None
    took = [one.timing.total_ms for one in found]
    stood = [one.timing.frozen_ms for one in found]
    return Times(
        len(found), statistics.median(took), max(took), statistics.median(stood), max(stood)
    )
