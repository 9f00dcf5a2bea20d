"""Running `autovibe up` in tests."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from cli_user import User, ended


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@asynccontextmanager
async def server_of(user: User, *options: str) -> AsyncGenerator[dict[str, str]]:
    """Run `autovibe up` until the block ends."""
    process = await user.start(
        "up", "--http-port", str(free_port()), "--grpc-port", str(free_port()), *options
    )
    told = user.home / ".autovibe/server.json"
    for _ in range(600):
        if told.exists() or process.returncode is not None:
            break
        await asyncio.sleep(0.05)
    assert told.exists(), await ended(process)
    server = json.loads(told.read_text())
    server["token"] = (user.home / ".autovibe/token").read_text()
    try:
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        stopped = await asyncio.wait_for(ended(process), 60)
        assert stopped.status in {0, 130, 143}, stopped.err
        assert not told.exists()
