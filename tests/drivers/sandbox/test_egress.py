"""Real package managers in a sandbox that has no network but its listener."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest
from egress_bench import KEY, Connections, open_egress
from tls_packages import PackageIndex, make_authority, serving_packages

from autovibe.domains.machines.driver import Bind, MachineSpec
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.kernel.ids import new_id
from autovibe.runtime.egress import proxy_env

HOST = "packages.example.test"
TRUSTED = "/opt/trusted"


@pytest.fixture
async def index(tmp_path: Path) -> AsyncGenerator[PackageIndex]:
    """Serve packages; the authority's certificate is in the directory `trusted`."""
    (tmp_path / "trusted").mkdir()
    authority = make_authority(tmp_path / "trusted")
    context = authority.server_context(tmp_path, [HOST])
    async with serving_packages(context, "127.0.0.1", HOST) as index:
        yield index


async def run(
    tmp_path: Path, command: str, allow: list[str], env: Mapping[str, str] | None = None
) -> tuple[str, int, Connections]:
    """Run a command in a sandbox behind a proxy; return its output, its status, what was told."""
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    workspace.mkdir()
    home.mkdir()
    spec = MachineSpec(
        machine_id=str(new_id()),
        workspace=workspace,
        home=home,
        argv=["sh", "-c", f"exec 2>&1; {command}"],
        env=proxy_env(KEY) | dict(env or {}),
        binds=[Bind(tmp_path / "trusted", TRUSTED)],
    )
    machine = await SandboxDriver(tmp_path / "scratch").spawn(spec)
    try:
        names = {HOST: ["127.0.0.1"]}
        async with open_egress(allow, names, listener=machine.listener) as bench:
            output = b"".join([line async for line in machine.output()])
            code = (await machine.wait()).code
    finally:
        await machine.destroy()
    return output.decode(), code, bench.observer


def pip(port: int) -> str:
    return (
        "python3 -m pip --disable-pip-version-check --retries 1 install --no-cache-dir "
        f"--target lib --cert {TRUSTED}/authority.pem --index-url https://{HOST}:{port}/simple "
        "shouting"
    )


@pytest.mark.long
async def test_pip_installs_what_the_task_needs(tmp_path: Path, index: PackageIndex) -> None:
    script = "import sys; sys.path.insert(0, 'lib'); import shouting; print(shouting.shout('ok'))"
    command = f'{pip(index.port)} && python3 -c "{script}"'
    said, code, observer = await run(tmp_path, command, [f"{HOST}:{index.port}"])
    assert code == 0, said
    assert "OK!" in said
    assert {one.verdict for one in observer.told} == {"allowed"}


@pytest.mark.long
async def test_npm_installs_what_the_task_needs(tmp_path: Path, index: PackageIndex) -> None:
    command = (
        f"npm install --no-audit --no-fund --registry https://{HOST}:{index.port}/ whispering && "
        "node -e \"console.log(require('whispering')('OK'))\""
    )
    env = {"npm_config_cafile": f"{TRUSTED}/authority.pem", "npm_config_fetch_retries": "0"}
    said, code, observer = await run(tmp_path, command, [f"{HOST}:{index.port}"], env)
    assert code == 0, f"{said}\n{observer.told}"
    assert "ok..." in said
    assert {one.verdict for one in observer.told} == {"allowed"}


@pytest.mark.long
async def test_pip_is_told_why_it_may_not(tmp_path: Path, index: PackageIndex) -> None:
    said, code, observer = await run(tmp_path, pip(index.port), ["*.example.org"])
    assert code != 0
    assert "Tunnel connection failed: 403" in said
    assert f"--allow {HOST}:{index.port}" in said
    assert {one.reason for one in observer.told} == {"HOST_NOT_ALLOWED"}
    assert index.asked == []


async def test_curl_reaches_an_allowed_host_and_no_other(
    tmp_path: Path, index: PackageIndex
) -> None:
    """The machine has no network of its own: past the proxy there is nothing."""
    curl = f"curl -sS --cacert {TRUSTED}/authority.pem"
    command = (
        f"{curl} https://{HOST}:{index.port}/simple/shouting/;"
        f"{curl} https://127.0.0.2:{index.port}/; echo status $?;"
        f"{curl} --noproxy '*' https://127.0.0.1:{index.port}/; echo status $?;"
        f"{curl} http://{HOST}/"
    )
    said, _, observer = await run(tmp_path, command, [f"{HOST}:{index.port}"])
    assert "shouting-1.0" in said
    assert "CONNECT tunnel failed, response 403" in said
    assert "status 56" in said
    # Nobody listens there within the machine.
    assert "status 7" in said
    assert "Plain HTTP cannot leave the machine" in said
    assert [one.verdict for one in observer.told] == ["allowed", "denied"]
    assert index.asked == ["/simple/shouting/"]
