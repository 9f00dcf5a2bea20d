"""Archives: nothing is deleted that is not in a verified file; restoring gives the same rows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard
from maintaining import finished_execution, log_of, run_job, scheduler_of
from plane import Plane

from autovibe.kernel.errors import AutovibeError
from autovibe.runtime.archive_files import read_lines, read_manifest
from autovibe.runtime.archives import Archives
from autovibe.testing import factories
from autovibe.v1 import maintenance_pb2

LOGS = "SELECT * FROM execution_logs ORDER BY id"
EXECUTIONS = "SELECT * FROM executions ORDER BY id"


def only_archive(directory: Path) -> Path:
    (path,) = directory.glob("archives/*.jsonl.zst")
    return path


@pytest.mark.req("S3-100")
async def test_old_logs_go_to_a_file_and_come_back_equal(plane: Plane, tmp_path: Path) -> None:
    await finished_execution(plane, 31, logs=3)
    await finished_execution(plane, 29, logs=2)
    before = await plane.rows(LOGS)
    runner = scheduler_of(plane, tmp_path).runner

    outcome = await run_job(runner, "archive-execution-logs")

    assert (outcome.affected_rows, outcome.error) == (3, "")
    assert len(await plane.rows(LOGS)) == 2
    assert await log_of(plane, "archive-execution-logs") == [("success", 3)]
    path = only_archive(tmp_path)
    manifest = read_manifest(path)
    assert (manifest.what, manifest.lines, manifest.rows) == ("logs", 3, {"execution_logs": 3})
    assert manifest.first_at == manifest.last_at == "2026-10-23T12:00:00+00:00"
    assert manifest.revision
    assert path.stat().st_mode & 0o077 == 0

    restored = await runner.archives.restore(path)
    assert (restored.inserted, restored.present) == (3, 0)
    assert await plane.rows(LOGS) == before
    again = await runner.archives.restore(path)
    assert (again.inserted, again.present) == (0, 3)
    assert await plane.rows(LOGS) == before


@pytest.mark.req("S3-101")
async def test_old_executions_go_with_all_that_hangs_on_them_and_come_back(
    plane: Plane, tmp_path: Path
) -> None:
    old = await finished_execution(plane, 91)
    await finished_execution(plane, 89)
    still_open = await finished_execution(plane, 91, status="blocked")
    async with plane.db.write() as tx:
        await factories.add(
            tx,
            "agent_executions",
            execution_id="agent-1",
            task_execution_id=old.id,
            agent_name="shell",
            prompt="do it",
        )
    agents = "SELECT id, execution_id, task_execution_id FROM agent_executions"
    before = [await plane.rows(query) for query in (EXECUTIONS, LOGS, agents)]
    tasks = await plane.rows("SELECT count(*) FROM tasks")
    runner = scheduler_of(plane, tmp_path).runner

    outcome = await run_job(runner, "archive-executions")

    assert outcome.affected_rows == 1
    left = await plane.rows("SELECT count(*) FROM executions")
    assert left == [(2,)]
    assert still_open.id != old.id
    assert (await plane.rows(agents))[0][2] is None
    assert await plane.rows("SELECT count(*) FROM tasks") == tasks
    manifest = read_manifest(only_archive(tmp_path))
    assert manifest.rows == {"execution_logs": 2, "executions": 1}
    assert manifest.lines == 4

    await runner.archives.restore(only_archive(tmp_path))
    assert [await plane.rows(query) for query in (EXECUTIONS, LOGS, agents)] == before


@pytest.mark.req("S3-102")
async def test_chat_is_kept_unless_its_archive_is_configured(plane: Plane, tmp_path: Path) -> None:
    now = plane.clock.now()
    async with plane.db.write() as tx:
        user = await factories.add_user(tx)
        conversation = await factories.add(tx, "chat_conversations", title="About it")
        for text, at in (("old", now.replace(year=2025, month=1)), ("new", now)):
            await factories.add(
                tx,
                "chat_messages",
                conversation_id=conversation.id,
                sender_type="user",
                sender_id=user.id,
                message=text,
                created_at=at,
            )
    messages = "SELECT * FROM chat_messages ORDER BY created_at"
    before = await plane.rows(messages)

    off = scheduler_of(plane, tmp_path)
    job = next(job for job in await off.runner.jobs() if job.name == "archive-chat")
    assert job.disabled
    assert "archive-chat" not in {done.job for done in await off.run_due()}
    assert await plane.rows(messages) == before

    on = scheduler_of(plane, tmp_path, chat_days=365).runner
    assert (await run_job(on, "archive-chat")).affected_rows == 1
    assert len(await plane.rows(messages)) == 1
    await on.archives.restore(only_archive(tmp_path))
    assert await plane.rows(messages) == before


async def test_a_dry_run_counts_and_changes_nothing(plane: Plane, tmp_path: Path) -> None:
    await finished_execution(plane, 40, logs=3)
    runner = scheduler_of(plane, tmp_path).runner
    done = await run_job(runner, "archive-execution-logs", dry=True)
    assert done.affected_rows == 3
    assert await log_of(plane, "archive-execution-logs") == []
    assert not (tmp_path / "archives").exists()
    assert len(await plane.rows(LOGS)) == 3


async def test_more_rows_than_a_file_holds_go_to_several(plane: Plane, tmp_path: Path) -> None:
    for _ in range(3):
        await finished_execution(plane, 100, logs=0)
    before = await plane.rows(EXECUTIONS)
    runner = scheduler_of(plane, tmp_path).runner
    small = Archives(
        plane.services, tmp_path / "archives", plane.clock, {"executions": 90}, most_rows=1
    )
    # A page of fifty is read at once, so one file takes all three and a second one is not begun.
    begun = await plane.services.maintenance.begin_job(
        maintenance_pb2.BeginJobRequest(job="archive-executions", instance_id=plane.instance_id)
    )
    limit = small.before("executions")
    assert limit is not None
    done = await small.archive(begun.run_id, "archive-executions", "executions", limit)
    assert done.rows == 3
    for manifest in done.manifests:
        await runner.archives.restore(tmp_path / "archives" / manifest.file)
    assert await plane.rows(EXECUTIONS) == before


@pytest.mark.parametrize("damage", ["flipped", "cut", "no manifest", "manifest of another"])
async def test_a_damaged_archive_is_refused_and_nothing_is_put_back(
    one_plane: Plane, tmp_path: Path, damage: str
) -> None:
    await finished_execution(one_plane, 40)
    runner = scheduler_of(one_plane, tmp_path).runner
    await run_job(runner, "archive-execution-logs")
    path = only_archive(tmp_path)
    manifest = path.with_name(path.name.replace(".jsonl.zst", ".manifest.json"))
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-9])
    elif damage == "no manifest":
        manifest.unlink()
    else:
        told = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**told, "format": 99}))
    with pytest.raises(AutovibeError) as caught:
        await runner.archives.restore(path)
    assert caught.value.reason == "ARCHIVE_DAMAGED"
    assert await one_plane.rows(LOGS) == []


async def test_a_row_that_differs_from_the_archived_one_is_not_overwritten(
    plane: Plane, tmp_path: Path
) -> None:
    await finished_execution(plane, 40, logs=1)
    runner = scheduler_of(plane, tmp_path).runner
    await run_job(runner, "archive-execution-logs")
    await runner.archives.restore(only_archive(tmp_path))
    async with plane.db.write() as tx:
        row = (await tx.session.scalars(factories.model("execution_logs").__table__.select())).one()
        log: Any = await tx.session.get_one(factories.model("execution_logs"), row)
        log.message = "something else"
    with pytest.raises(AutovibeError) as caught:
        await runner.archives.restore(only_archive(tmp_path))
    assert caught.value.reason == "ARCHIVE_ROW_DIFFERS"


async def test_a_directory_that_cannot_be_written_keeps_every_row(
    one_plane: Plane, tmp_path: Path
) -> None:
    await finished_execution(one_plane, 40)
    (tmp_path / "archives").write_text("a file stands here")
    runner = scheduler_of(one_plane, tmp_path).runner
    outcome = await run_job(runner, "archive-execution-logs")
    assert outcome.error.startswith("ARCHIVE_UNWRITABLE")
    assert await log_of(one_plane, "archive-execution-logs") == [("failed", 0)]
    assert len(await one_plane.rows(LOGS)) == 2


ARCHIVE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from maintaining import run_job, scheduler_of
from plane import StillClock, open_plane
from autovibe.db import open_database
async def main():
    clock = StillClock()
    plane = open_plane(open_database(sys.argv[2], clock=clock), Path(sys.argv[3]) / "plane", clock)
    await run_job(scheduler_of(plane, Path(sys.argv[3])).runner, "archive-execution-logs")
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("archive_written", marks=pytest.mark.long),
        "archive_kept",
        pytest.param("archive_slice_deleted", marks=pytest.mark.long),
        "archive_slice_deleted:2",
    ],
)
async def test_killed_in_the_middle_no_line_is_lost_and_the_next_run_ends_the_work(
    plane: Plane, database_url: str, tmp_path: Path, point: str
) -> None:
    await finished_execution(plane, 40, logs=450)
    before = await plane.rows(LOGS)
    support = str(Path(sys.modules["plane"].__file__ or "").parent)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ARCHIVE, support, database_url, str(tmp_path)),
        env={**os.environ, "AUTOVIBE_FAULT": point},
    )
    assert await process.wait() == -signal.SIGKILL

    in_files: set[str] = set()
    for path in tmp_path.glob("archives/*.jsonl.zst"):
        read_manifest(path)
        in_files |= {json.loads(line)["row"]["id"] for line in read_lines(path)}
    in_database = {row[0] for row in await plane.rows(LOGS)}
    assert in_files | in_database == {row[0] for row in before}

    runner = scheduler_of(plane, tmp_path).runner
    jobs = await runner.jobs()
    job = next(job for job in jobs if job.name == "archive-execution-logs")
    assert job.last_status == "running"
    assert await runner.run(job, only_if_due=False) is None
    plane.clock.advance(seconds=61)
    outcome = await runner.run(job, only_if_due=False)
    assert outcome is not None
    assert await plane.rows(LOGS) == []
    assert [status for status, _ in await log_of(plane, job.name)] == ["failed", "success"]
    assert not list(tmp_path.glob("archives/.*"))
    for path in sorted(tmp_path.glob("archives/*.jsonl.zst")):
        await runner.archives.restore(path)
    assert await plane.rows(LOGS) == before


def test_an_archive_is_plain_lines_of_json_for_any_tool(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(b'{"a":"\xc3\xbc\xe2\x80\xa8"}\n{}\n'))
    assert [json.loads(line) for line in read_lines(path)] == [{"a": "ü\u2028"}, {}]
