from __future__ import annotations

from pathlib import Path

from autovibe.kernel.worker_settings import WorkerSettings
from autovibe.runtime.admission import Admission, Load, measure

LIMITS = WorkerSettings(min_free_memory_mb=500, max_cpu_pressure=80)


def _refusal(free_memory_mb: int | None, cpu_pressure: float | None, running: int) -> str:
    load = Load(free_memory_mb, cpu_pressure)
    return Admission(LIMITS, lambda: load).refusal(running)


def test_one_more_task_needs_memory_and_processors_that_are_not_fought_for():
    assert _refusal(500, 80.0, 3) == ""
    assert "499 MB" in _refusal(499, 0.0, 0)
    assert "81 %" in _refusal(9_000, 81.0, 1)
    assert _refusal(9_000, 100.0, 0) == ""  # others may keep them busy for ever
    assert _refusal(None, None, 3) == ""  # a kernel that tells nothing refuses nothing


def test_the_host_is_measured_by_what_the_kernel_says(tmp_path: Path):
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "pressure").mkdir(parents=True)
    cgroup.mkdir()
    assert measure(proc, cgroup) == Load(None, None)
    (proc / "meminfo").write_text("MemTotal:  16384000 kB\nMemAvailable:   2097152 kB\n")
    (proc / "pressure/cpu").write_text("some avg10=12.50 avg60=1.00 avg300=0.00 total=1\n")
    assert measure(proc, cgroup) == Load(2048, 12.5)
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text(f"{100 * 1024 * 1024}\n")
    assert measure(proc, cgroup) == Load(2048, 12.5)
    (cgroup / "memory.max").write_text(f"{1124 * 1024 * 1024}\n")
    assert measure(proc, cgroup) == Load(1024, 12.5)


def test_this_host_can_be_measured():
    load = measure()
    assert load.free_memory_mb is None or load.free_memory_mb > 0
