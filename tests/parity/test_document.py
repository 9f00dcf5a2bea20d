"""The server does what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from composed import composed
from fuzzing import Fuzzed, confine, fuzz
from walk import Walk
from walk_steps import walk


async def fuzzed(home: Path, *, seed: int, examples: int, phases: tuple[str, ...]) -> Fuzzed:
    """Send calls to a control plane in which there is something of everything."""
    async with composed(home) as world:
        await walk(Walk(world.local, world.local, world.plane, home))
        confine(world.plane.operations, home / "confined")
        headers = {"Authorization": f"Bearer {world.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{world.rest.url}/openapi.json") as answer,
        ):
            document = json.loads(await answer.text())
        done = await asyncio.to_thread(
            fuzz,
            document,
            world.rest.url,
            world.token,
            seed=seed,
            examples=examples,
            phases=phases,
        )
        # What fuzz() leaves out of the document is called by nobody.
        assert len(done.operations) == sum(len(verbs) for verbs in document["paths"].values())
        return done


@pytest.mark.req("S2-15")
async def test_a_short_run_of_schemathesis_finds_nothing(tmp_path: Path) -> None:
    done = await fuzzed(tmp_path, seed=1, examples=1, phases=("coverage", "fuzzing"))
    assert done.calls > 1000
    assert not done.problems, "\n".join(done.problems)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 5))
async def test_a_long_run_of_schemathesis_finds_nothing(tmp_path: Path, seed: int) -> None:
    phases = ("coverage", "fuzzing", "stateful")
    done = await fuzzed(tmp_path, seed=seed, examples=200, phases=phases)
    assert not done.problems, "\n".join(done.problems)
