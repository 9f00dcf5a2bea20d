"""How long automatic checkpoints took, as `usage` and `checkpoint show` tell it."""

from __future__ import annotations

from autovibe.v1 import checkpoints_pb2


def add(plane, number: int, kind: str = "automatic", **timing: float) -> str:
    checkpoint_id = f"019a0000-0000-7000-8000-{number:012}"
    plane.checkpoints[checkpoint_id] = checkpoints_pb2.Checkpoint(
        id=checkpoint_id,
        checkpoint_type=kind,
        timing=checkpoints_pb2.CheckpointTiming(**timing) if timing else None,
    )
    return checkpoint_id


def test_usage_tells_the_time_of_each_automatic_checkpoint_and_sums_up(cli, plane):
    assert "No automatic checkpoints." in cli("usage", "checkpoints").out
    assert cli("usage", "--json").document()["checkpoint_times"] is None
    shown = add(plane, 1, total_ms=12.5, frozen_ms=3.5)
    add(plane, 2, total_ms=20, frozen_ms=5)
    add(plane, 3, total_ms=31, frozen_ms=9)
    add(plane, 4, "final", total_ms=900)
    add(plane, 5)
    out = cli("usage", "checkpoints").out
    assert "12.5 ms" in out
    told = (
        "3 automatic checkpoints: 20 ms at the median, 31 ms at most; "
        "machines stood still for 5 ms at the median, 9 at most."
    )
    assert told in out
    assert told in cli("usage").out
    document = cli("usage", "checkpoints", "--json").document()
    assert [item["total_ms"] for item in document["checkpoints"]] == [12.5, 20, 31]
    assert document["summary"] == cli("usage", "--json").document()["checkpoint_times"]
    assert document["summary"]["longest_frozen_ms"] == 9
    assert "12.5 ms, 3.5 of them while the machine stood still" in (
        cli("checkpoint", "show", shown).out
    )
