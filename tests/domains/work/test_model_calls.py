"""Calls of models that are kept, found by the id of their answer, and deleted in time."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from maintaining import run_job, scheduler_of
from plane import Plane

from autovibe.domains.work.errors import ModelCallNotFoundError
from autovibe.v1 import model_calls_pb2


async def keep(plane: Plane, **more: Any) -> tuple[str, bool]:
    fields = {
        "request_id": str(uuid.uuid4()),
        "model": "claude-haiku-5-5",
        "status": "completed",
        "request": '{"messages": ["h\u00e9\\u0000"]}',
        "response": "Hello!",
        "upstream_status": 200,
        "cost_cad": "0.0123",
        "tokens_used": 17,
        "duration_ms": 250,
    } | more
    answer = await plane.services.work.keep_model_call(
        model_calls_pb2.KeepModelCallRequest(**fields)
    )
    return str(fields["request_id"]), answer.kept


async def find(plane: Plane, request_id: str) -> model_calls_pb2.ModelCall:
    return await plane.services.work.get_model_call(
        model_calls_pb2.GetModelCallRequest(request_id=request_id)
    )


async def test_a_call_is_found_by_the_id_of_its_answer(plane: Plane) -> None:
    request_id, kept = await keep(plane, shortened=True)
    again, kept_again = await keep(plane, request_id=request_id, response="Another.")

    found = await find(plane, request_id.upper())

    assert (kept, kept_again, again) == (True, False, request_id)
    assert (found.model, found.status, found.response) == (
        "claude-haiku-5-5",
        "completed",
        "Hello!",
    )
    assert found.request == '{"messages": ["h\u00e9\\u0000"]}'
    assert (found.upstream_status, found.cost_cad, found.tokens_used) == (200, "0.0123", 17)
    assert (found.duration_ms, found.shortened) == (250, True)


async def test_what_was_not_kept_is_not_found(one_plane: Plane) -> None:
    with pytest.raises(ModelCallNotFoundError, match="--keep-bodies"):
        await find(one_plane, str(uuid.uuid4()))


async def test_calls_are_deleted_once_they_are_old_enough(plane: Plane, tmp_path: Path) -> None:
    old, _ = await keep(plane)
    plane.clock.advance(days=20)
    new, _ = await keep(plane)
    plane.clock.advance(days=11)
    runner = scheduler_of(plane, tmp_path).runner

    assert (await run_job(runner, "cleanup-model-calls", dry=True)).affected_rows == 1
    assert (await run_job(runner, "cleanup-model-calls")).affected_rows == 1

    with pytest.raises(ModelCallNotFoundError):
        await find(plane, old)
    assert (await find(plane, new)).request_id == new
