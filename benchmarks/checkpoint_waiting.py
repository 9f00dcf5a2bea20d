"""Measure how long an agent waits for its automatic checkpoints, in whole runs of the product.

`autovibe run` works on a tree of 11,000 files in a sandbox; each turn of the scripted model changes
ten of them, and its next answer begins after a while that a fast model takes too (0.6 s), or at
once, which no model does and which is the most that a checkpoint can cost. The gateway itself says
of each call how long the answer was ready and held back.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from checkpoint_auto import CHANGED, FILES, SEED, build

from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import Fault, Script, Turn, bash

ROUNDS: Final = 30
THINKS_S: Final = 0.6
AGENT: Final = Path(__file__).parents[1] / "tests/support/stepping_agent.py"


def main() -> int:
    """Run both runs and print the rows."""
    for name, thinks_s in (("checkpoint_held_back", THINKS_S), ("checkpoint_held_back_most", 0.0)):
        with tempfile.TemporaryDirectory() as scratch:
            print(json.dumps(asyncio.run(measure(name, thinks_s, Path(scratch)))))
    return 0


async def measure(name: str, thinks_s: float, scratch: Path) -> dict[str, Any]:
    """Run one task and return its row."""
    rng = random.Random(SEED)  # noqa: S311  # the same tree every time, not a secret
    repo = scratch / "repo"
    paths = build(repo, rng)
    turns = [answer(rng.sample(paths, CHANGED), repo, number, thinks_s) for number in range(ROUNDS)]
    async with ModelServer(Script(tuple(turns))) as server:
        plane = Product(scratch, server)
        run = await plane.json(
            "run", "change files", "--repo", str(repo), "--agent", "shell", "--include-secrets",
            "--", "python3", "-c", AGENT.read_text(),
        )  # fmt: skip
        logs = (await plane.json("logs", run["task_id"]))["entries"]
        times = await plane.json("usage", "checkpoints", "--task", run["task_id"])
    held = [
        details["held_back_ms"]
        for details in (line["event"]["details"] for line in logs if kind(line) == "call")
        if "held_back_ms" in details
    ][1:]  # the first call follows no tool result
    took = times["summary"]
    return {
        "name": f"{name}_ms",
        "unit": "ms",
        "ours": statistics.median(held),
        "runs": len(held),
        "most": max(held),
        "model_answers_after_ms": thinks_s * 1000,
        "checkpoint_median_ms": took["median_ms"],
        "frozen_median_ms": took["median_frozen_ms"],
        "files": FILES,
        "changed": CHANGED,
    }


def kind(line: dict[str, Any]) -> str:
    """Return what a line of the log tells of."""
    return str(line.get("event", {}).get("kind", ""))


def answer(paths: list[Path], repo: Path, number: int, thinks_s: float) -> Turn:
    """Return a turn of the model that changes files, after it has thought."""
    names = " ".join(f"'{path.relative_to(repo)}'" for path in paths)
    turn = bash(f'for f in {names}; do echo {number} >> "$f"; done', f"Round {number}")
    fault = Fault(first_byte_delay_s=thinks_s) if thinks_s else None
    return Turn(turn.blocks, turn.usage, fault)


class Product:
    """`autovibe` in a home of its own."""

    def __init__(self, scratch: Path, server: ModelServer) -> None:
        self._environment = {
            "HOME": str(scratch / "home"),
            "AUTOVIBE_HOME": str(scratch / "home/.autovibe"),
            "PATH": os.environ["PATH"],
            "AUTOVIBE_UPSTREAM_ANTHROPIC_URL": server.url,
            "AUTOVIBE_UPSTREAM_ANTHROPIC_KEY": server.api_key,
        }
        Path(self._environment["HOME"]).mkdir()

    async def json(self, *arguments: str) -> dict[str, Any]:
        """Run a command and return what it printed."""
        return json.loads(await self._out(*arguments))

    async def _out(self, *arguments: str) -> str:
        # What comes after `--` is the agent's.
        at = arguments.index("--") if "--" in arguments else len(arguments)
        command = [*arguments[:at], "--json", *arguments[at:]]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "autovibe.cli.main", *command,
            env=self._environment, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        if process.returncode:
            message = f"autovibe {arguments[0]} ended with {process.returncode}: {out.decode()}"
            raise RuntimeError(message)
        return out.decode()


if __name__ == "__main__":
    sys.exit(main())
