"""Timing, telling and floors: what the benchmarks of the store have in common."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Action = Callable[[], object]
_LOOK_S = 0.05


def timed(action: Action) -> float:
    """Return the seconds that an action takes, with a quiet disk before it."""
    os.sync()
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def quiet(*command: str, path: str | None = None) -> None:
    """Run a program and drop what it prints."""
    kept = os.environ if path is None else {**os.environ, "PYTHONPATH": path}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=kept)


def run(*command: str) -> int:
    """Run a program, drop what it prints, and return the most memory it had, in KiB.

    What the kernel tells at its end counts the memory of this process, too, which the two shared
    until the program began: it is asked while the program runs.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    most = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(_LOOK_S):
            most = max(most, peak_kib(process.pid))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        process.wait()
    finally:
        over.set()
        watching.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return most


def peak_kib(pid: int) -> int:
    """Return the most memory that a process has had at once; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) if lines else 0


def files_of(top: Path) -> list[Path]:
    """List all regular files, sorted."""
    return sorted(p for p in top.rglob("*") if p.is_file() and not p.is_symlink())


def read_all(top: Path) -> None:
    """Read every file once, so that nobody waits for the disk."""
    for path in files_of(top):
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass


def archive(tree: Path, into: Path) -> None:
    """Do the least that a first capture takes: read and compress, without hash or index."""
    with into.open("wb") as out:
        tar = subprocess.Popen(["tar", "c", "."], cwd=tree, stdout=subprocess.PIPE)
        subprocess.run(["zstd", "-q", "-1", "-T2"], stdin=tar.stdout, stdout=out, check=True)
        assert tar.stdout is not None
        tar.stdout.close()
        if tar.wait():
            msg = "tar failed"
            raise RuntimeError(msg)
        os.fsync(out.fileno())


def read_archive(file: Path) -> None:
    """Do the least that a verification takes: read everything back and hash it as one."""
    zstd = subprocess.Popen(["zstd", "-q", "-dc", str(file)], stdout=subprocess.PIPE)
    subprocess.run(["sha256sum"], stdin=zstd.stdout, stdout=subprocess.DEVNULL, check=True)
    assert zstd.stdout is not None
    zstd.stdout.close()
    if zstd.wait():
        msg = "zstd failed"
        raise RuntimeError(msg)


def create_all(top: Path, wanted: Sequence[tuple[Path, int]]) -> None:
    """Do the least that a restore takes: create each file, with as many bytes."""
    for directory in sorted({path.parent for path, _ in wanted}):
        (top / directory).mkdir(parents=True, exist_ok=True)
    zeros = bytes(1 << 20)
    for path, size in wanted:
        fd = os.open(top / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        while size > 0:
            size -= os.write(fd, zeros[:size])  # noqa: PLW2901 - what is left of it
        os.close(fd)


def floor(what: str, ours: float, least: float) -> dict[str, object]:
    """Say how far we are from what no program could do without."""
    return {"floor": what, "floor_s": round(least, 4), "times_floor": round(ours / least, 2)}


def seconds(times: dict[str, float]) -> dict[str, object]:
    """Name the times of all, for the row."""
    return {f"{name}_s": round(value, 4) for name, value in times.items()}


def ms(value: float) -> float:
    """Return milliseconds."""
    return round(value * 1000, 2)


def out(name: str, unit: str, ours: float, **more: object) -> None:
    """Print a row."""
    print(json.dumps({"name": name, "unit": unit, "ours": ours, **more}), flush=True)
