"""`autovibe up` with a server that only says that it lives: python fake_up.py ARGUMENTS..."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
from typing import Any

from autovibe.cli import lazy
from autovibe.cli.main import main
from autovibe.kernel.errors import UnavailableError

INSTANCE = "0d4b4c4e-0000-4000-8000-000000000001"


async def serve(settings: Any, slots: int) -> None:
    del slots
    if settings.http_port == 1:
        raise UnavailableError("Port 1 is taken; choose another with --http-port.")
    with (settings.run_path / f"{INSTANCE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        url = f"http://{settings.host}:{settings.http_port}"
        server = {
            "url": url,
            "grpc": f"{settings.host}:{settings.grpc_port}",
            "instance_id": INSTANCE,
            "pid": os.getpid(),
        }
        settings.server_file.write_text(json.dumps(server))
        try:
            await asyncio.Event().wait()
        finally:
            settings.server_file.unlink()


if __name__ == "__main__":
    lazy.serve = serve
    sys.exit(main(sys.argv[1:]))
