"""What real agents of other providers do with the gateway's answers, without a machine around."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from gateway_bench import KEY, Bench, open_bench
from ledger_desk import LedgerDesk
from other_agents import AGENTS, install, repairing, shell_command

from autovibe.agents.shell import ShellAdapter
from autovibe.domains.machines.agent import AgentRequest
from autovibe.testing.demo_repository import PROMPT, make_demo_repository
from autovibe.testing.model_server import ModelServer


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the agents."""
    return install(tmp_path_factory.mktemp("agents"))


async def run_to_its_end(bench: Bench, programs: Path, name: str, base: Path) -> str:
    """Run an agent in the environment that `--agent shell` gives it; return what it printed."""
    for directory in ("work", "home", "settings"):
        (base / directory).mkdir()
    make_demo_repository(base / "work")
    request = AgentRequest(
        prompt=PROMPT,
        model=None,
        session_id="s",
        resume=False,
        gateway_url=bench.base,
        virtual_key=KEY,
        settings_dir=base / "settings",
        extra_args=shell_command(name, programs),
    )
    launch = ShellAdapter().launch(request)
    process = await asyncio.create_subprocess_exec(
        *launch.argv,
        cwd=base / "work",
        env={**launch.env, "HOME": str(base / "home"), "PATH": os.environ["PATH"]},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode(errors="replace")


@pytest.mark.long
@pytest.mark.parametrize("name", AGENTS)
async def test_a_refusal_ends_the_agent_with_its_first_request(
    sqlite_desk: LedgerDesk, programs: Path, tmp_path: Path, name: str
) -> None:
    async with (
        ModelServer(repairing(name)) as provider,
        open_bench(sqlite_desk, provider, budget="0.0001") as bench,
    ):
        out = await run_to_its_end(bench, programs, name, tmp_path)

        reasons = [verdict.reason for _, verdict in bench.observer.refusals]
        assert reasons == ["BUDGET_EXHAUSTED"], out
        assert "money budget of project" in out or "Quota exceeded" in out
        assert not provider.calls()


@pytest.mark.long
@pytest.mark.parametrize("name", AGENTS)
async def test_an_agent_repairs_the_repository_at_the_price_of_its_calls(
    sqlite_desk: LedgerDesk, programs: Path, tmp_path: Path, name: str
) -> None:
    async with (
        ModelServer(repairing(name)) as provider,
        open_bench(sqlite_desk, provider, budget="50") as bench,
    ):
        out = await run_to_its_end(bench, programs, name, tmp_path)
        await bench.all_settled()

        assert "return a + b" in (tmp_path / "work" / "calc.py").read_text(), out
        outcomes = [
            (settlement.outcome, settlement.estimated)
            for _, settlement in bench.observer.settlements
        ]
        assert outcomes == [("settled", False)] * len(provider.billed)
        assert [call.follows_tool_result for call in bench.observer.arrivals] == [False, True]
