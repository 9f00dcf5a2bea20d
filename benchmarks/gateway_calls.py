"""Streamed calls per second through the gateway, and against a LiteLLM proxy with budgets on.

All calls go to the same scripted provider and are streams of 20 events, from 64 callers (16 and 64
where LiteLLM is compared, whichever suits each better). Ours is one process with holds that are
durable in PostgreSQL before a call goes out. LiteLLM runs with one worker, as it is installed from
the package index into an environment of its own, and counts the spend of a budget in its memory,
which is the cheapest of its ways; the two take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from _gateway import KEY
from _ledger import clean_url, databases
from _load import Target, cpu_s, many, program, resident_mb

CALLERS: Final = 64
ROUNDS: Final = int(os.environ.get("AUTOVIBE_BENCH_ROUNDS", "5"))
ROUND_S: Final = float(os.environ.get("AUTOVIBE_BENCH_ROUND_S", "5"))
EVENTS: Final = 20
BODY_BYTES: Final = 2_000
WARM_UP_S: Final = 2.0
LITELLM: Final = "1.106.2"
"""The version that is installed; `AUTOVIBE_BENCH_LITELLM` names a directory with another one."""
_MASTER_KEY: Final = "sk-benchmark"
_START_S: Final = 120
_CONFIGURATION: Final = """
model_list:
  - model_name: claude-sonnet-4-5
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: {provider}
      api_key: scripted-model-key
      max_budget: 100000
      budget_duration: 1d
general_settings:
  master_key: {key}
litellm_settings:
  telemetry: false
router_settings:
  provider_budget_config:
    anthropic:
      budget_limit: 100000
      time_period: 1d
"""


@dataclass
class Side:
    """One of the two that are compared."""

    target: Target
    pid: int
    rates: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    cpu_ms: dict[int, list[float]] = field(default_factory=dict[int, list[float]])

    async def turn(self, callers: int, seconds: float) -> None:
        """Let callers call for so long, and keep what that gave."""
        request = self.target.request(BODY_BYTES, EVENTS, 0)
        before = cpu_s(self.pid)
        calls, elapsed = await many(self.target, callers, seconds, request)
        self.rates.setdefault(callers, []).append(calls / elapsed)
        self.cpu_ms.setdefault(callers, []).append((cpu_s(self.pid) - before) / calls * 1000)

    def best(self) -> int:
        """Return the number of callers that gave most."""
        return max(self.rates, key=lambda callers: statistics.median(self.rates[callers]))


def main() -> None:
    """Measure and print two rows, the second only if LiteLLM can be had."""
    with databases() as found, tempfile.TemporaryDirectory() as directory:
        url = asyncio.run(clean_url(found, "postgresql", Path(directory)))
        with (
            program("_provider.py") as (_, provider),
            program("_gateway.py", url, provider) as (process, base),
        ):
            ours = Side(Target(base, KEY), process.pid)
            asyncio.run(ours.turn(CALLERS, WARM_UP_S))
            ours.rates.clear()
            ours.cpu_ms.clear()
            for _ in range(ROUNDS):
                asyncio.run(ours.turn(CALLERS, ROUND_S))
            show_ours(ours)
            python = litellm_python()
            if python is not None:
                with litellm(python, provider, Path(directory)) as theirs:
                    compare(ours, theirs)


def show_ours(ours: Side) -> None:
    """Print how many calls a second one process takes."""
    row = {
        "name": "gateway_calls_streaming_per_s",
        "unit": "per_s",
        "ours": round(statistics.median(ours.rates[CALLERS])),
        "best": round(max(ours.rates[CALLERS])),
        "cpu_ms_per_call": round(statistics.median(ours.cpu_ms[CALLERS]), 3),
        "resident_mb": round(resident_mb(ours.pid)),
        "callers": CALLERS,
        "runs": ROUNDS,
    }
    print(json.dumps(row), flush=True)


def compare(ours: Side, theirs: Side) -> None:
    """Let the two take turns, and print one row."""
    for side in (ours, theirs):
        side.rates.clear()
        side.cpu_ms.clear()
    asyncio.run(theirs.turn(4, WARM_UP_S * 2))
    theirs.rates.clear()
    theirs.cpu_ms.clear()
    for _ in range(ROUNDS):
        for callers in (16, 64):
            asyncio.run(ours.turn(callers, ROUND_S / 2))
            asyncio.run(theirs.turn(callers, ROUND_S))
    best, peer_best = ours.best(), theirs.best()
    cpu = statistics.median(ours.cpu_ms[best])
    peer_cpu = statistics.median(theirs.cpu_ms[peer_best])
    row = {
        "name": "gateway_calls_vs_litellm",
        "unit": "calls/s",
        "ours": round(statistics.median(ours.rates[best]), 1),
        "peer": f"LiteLLM proxy {LITELLM}, one worker, budgets in memory",
        "peer_value": round(statistics.median(theirs.rates[peer_best]), 1),
        "callers": best,
        "peer_callers": peer_best,
        "cpu_ms_per_call": round(cpu, 3),
        "peer_cpu_ms_per_call": round(peer_cpu, 3),
        "cpu_ratio": round(peer_cpu / cpu, 2),
        "resident_mb": round(resident_mb(ours.pid)),
        "peer_resident_mb": round(resident_mb(theirs.pid)),
        "runs": ROUNDS,
    }
    print(json.dumps(row), flush=True)


def litellm_python() -> Path | None:
    """Return the Python of an environment with LiteLLM, made when there is none yet."""
    given = os.environ.get("AUTOVIBE_BENCH_LITELLM")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = Path(given) if given else cache / "autovibe-benchmarks" / f"litellm-{LITELLM}"
    python = place / "bin" / "python"
    if (place / "bin" / "litellm").exists():
        return python
    print(f"installing LiteLLM {LITELLM} into {place}", file=sys.stderr)
    try:
        venv.create(place, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-q", f"litellm[proxy]=={LITELLM}"]
        subprocess.run(install, check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(place, ignore_errors=True)
        print(f"LiteLLM cannot be installed, so it is left out: {error}", file=sys.stderr)
        return None
    return python


@contextlib.contextmanager
def litellm(python: Path, provider: str, directory: Path) -> Iterator[Side]:
    """Run a LiteLLM proxy in front of the provider."""
    configuration = directory / "litellm.yaml"
    configuration.write_text(_CONFIGURATION.format(provider=provider, key=_MASTER_KEY))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(python.parent / "litellm"),
        *("--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)),
    ]
    # Its own table of prices, not the newest from the network.
    environment = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (directory / "litellm.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(f"{base}/health/liveliness", process, directory / "litellm.log")
        yield Side(Target(base, _MASTER_KEY), process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers.

    Raises:
        SystemExit: it has ended, or takes too long.
    """
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own child on the loopback
            return
        time.sleep(0.5)
    raise SystemExit(f"LiteLLM did not start: {log.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    main()
