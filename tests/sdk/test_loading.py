"""What the client loads, and what it makes of a server's words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from autovibe.kernel.errors import Code
from autovibe.sdk.failures import remote_error


def test_what_a_server_says_wrongly_is_left_out() -> None:
    error = remote_error("GHOST", 5, None, {"code": "x", "message": 1, 3: 4, "ok": True, "l": []})
    assert (error.code, error.reason, error.params) == (Code.INTERNAL, "INTERNAL", {"ok": True})
    assert error.message == "The server did not say why."
    assert remote_error(None, "R", "m", "no mapping").params == {}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("autovibe.sdk.remote", {"grpc", "fastapi", "sqlalchemy", "uvicorn", "pydantic"}),
        ("autovibe.sdk.grpc_remote", {"aiohttp", "fastapi", "sqlalchemy", "uvicorn"}),
        ("autovibe.sdk.services", {"aiohttp", "grpc", "fastapi", "sqlalchemy"}),
    ],
)
def test_a_twin_loads_no_server_code(module: str, forbidden: set[str]) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert forbidden & set(done.stdout.split()) == set()
