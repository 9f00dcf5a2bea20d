"""A machine in a sandbox reaches what its project allows, with the tools that people use."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from cli_user import Ended, User
from tls_packages import PackageIndex, make_authority, serving_packages

# Not the loopback address that machines reach directly, and yet one of this host alone.
ADDRESS = "127.0.0.2"


@pytest.fixture
async def index(user: User, tmp_path: Path) -> AsyncGenerator[PackageIndex]:
    """Serve packages, and trust and allow the server in the user's configuration."""
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    authority = make_authority(trusted)
    context = authority.server_context(tmp_path, [ADDRESS])
    async with serving_packages(context, ADDRESS) as index:
        home = user.home / ".autovibe"
        home.mkdir(mode=0o700, exist_ok=True)
        config = f'[egress]\nprivate = ["{ADDRESS}"]\n[sandbox]\nro = ["{trusted}"]\n'
        (home / "config.toml").write_text(config)
        user.environment["TRUSTED"] = str(authority.file)
        yield index


async def project(user: User, *options: str) -> None:
    assert (await user.autovibe("project", "create", "website")).status == 0
    done = await user.autovibe("project", "egress", "website", *options)
    assert done.status == 0, done.err


async def run(user: User, command: str) -> Ended:
    return await user.run(
        "install", "--project", "website", "--agent", "shell", "--", "sh", "-c", command
    )


def audited(user: User) -> list[dict[str, Any]]:
    with sqlite3.connect(user.home / ".autovibe" / "autovibe.db") as connection:
        rows = connection.execute(
            "SELECT actor_type, outcome, resource_id, reason, details FROM audit_log "
            "WHERE operation = 'Connect' ORDER BY id"
        ).fetchall()
    names = ("actor_type", "outcome", "resource_id", "reason", "details")
    return [dict(zip(names, row, strict=True)) | {"details": json.loads(row[-1])} for row in rows]


def pip(user: User, index: PackageIndex) -> str:
    return (
        "python3 -m pip --disable-pip-version-check --retries 1 install --no-cache-dir "
        f"--target lib --cert {user.environment['TRUSTED']} "
        f"--index-url https://{ADDRESS}:{index.port}/simple shouting"
    )


@pytest.mark.long
async def test_pip_installs_from_a_host_that_is_allowed(user: User, index: PackageIndex) -> None:
    await project(user, "--allow", f"{ADDRESS}:{index.port}")
    script = "import sys; sys.path.insert(0, 'lib'); import shouting; print(shouting.shout('ok'))"
    done = await run(user, f'{pip(user, index)} && python3 -c "{script}"')
    assert done.status == 0, done.err + done.out
    task = done.json["task_id"]
    logs = (await user.autovibe("logs", task, "--json")).json["entries"]
    assert "OK!" in [entry["message"] for entry in logs]
    reached = [entry for entry in logs if entry["message"].startswith("Connected to ")]
    assert reached
    assert f"{ADDRESS}:{index.port}" in reached[0]["message"]

    rows = audited(user)
    assert {row["outcome"] for row in rows} == {"ok"}
    assert {row["actor_type"] for row in rows} == {"machine"}
    received = sum(row["details"]["received_bytes"] for row in rows)
    assert received > len(index.files["/simple/shouting/"][1])
    lines = (await user.autovibe("usage", "--task", task, "--json")).json["lines"]
    network = [line for line in lines if line["resource_type"] == "network"]
    # In GB: what passed the tunnels is in it.
    assert float(network[0]["amount"]) * 10**9 >= received - 1_000


@pytest.mark.long
async def test_a_host_that_is_not_allowed_is_refused_with_what_to_do(
    user: User, index: PackageIndex
) -> None:
    await project(user, "--allow", "example.org")
    done = await run(user, f"{pip(user, index)} 2>&1")
    assert done.json["status"] == "failed"
    assert index.asked == []
    logs = (await user.autovibe("logs", done.json["task_id"], "--json")).json["entries"]
    said = "\n".join(entry["message"] for entry in logs)
    command = f"autovibe project egress website --allow {ADDRESS}:{index.port}"
    # Both the tool in the machine and the person at the log are told.
    assert "Tunnel connection failed: 403" in said, said
    assert command in said
    [notice] = [entry for entry in logs if entry["message"].startswith("Refused to connect")]
    assert command in notice["message"]
    assert {(row["outcome"], row["reason"]) for row in audited(user)} == {
        ("refused", "HOST_NOT_ALLOWED")
    }


@pytest.mark.long
async def test_a_download_ends_with_the_network_budget(user: User, index: PackageIndex) -> None:
    index.files["/large"] = ("application/octet-stream", b"x" * 30_000_000)
    await project(user, "--allow", f"{ADDRESS}:{index.port}")
    assert (await user.autovibe("budget", "set", "website", "network", "0.005")).status == 0
    done = await run(
        user,
        f"curl -sS --cacert {user.environment['TRUSTED']} -o large "
        f"https://{ADDRESS}:{index.port}/large; sleep 60",
    )
    assert done.status == 3, done.err
    assert done.json["error"]["reason"] == "BUDGET_EXHAUSTED"
    assert "network budget of project website is used up" in done.json["error"]["message"]
    assert done.json["verified"] is True
    budgets = (await user.autovibe("budget", "list", "website", "--json")).json["budgets"]
    [used] = [one["used_amount"] for one in budgets if one["resource_type"] == "network"]
    # Not one slice of a sample too much: the tunnel stands still at the end of the budget.
    assert 0.005 <= float(used) <= 0.0056
