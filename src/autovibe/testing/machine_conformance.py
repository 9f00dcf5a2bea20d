"""What every machine driver must pass: run `CHECKS` over it, one test each.

@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
async def test_my_driver(check, tmp_path):
    case = MachineCase(MyDriver, "from mine import MyDriver", "MyDriver(scratch)", python)
    await check(case, tmp_path)

Needs nothing but the standard library, so that it also runs as another user.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autovibe.domains.machines.driver import Bind, Exit
from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.testing import machine_endings
from autovibe.testing.machine_case import (
    MachineCase,
    assert_nothing_left,
    first_line,
    processes_of,
)

if TYPE_CHECKING:
    from autovibe.testing.machine_endings import Check

_LONG_LINE: Final = 16 * 1024 * 1024 + 1000
_SLEEP: Final = "print('ready', flush=True)\nimport time\ntime.sleep(1000)\n"
_ASK: Final = """
import os, socket
with socket.create_connection(("127.0.0.1", int(os.environ["LISTENER"]))) as peer:
    peer.sendall(b"hello\\n")
    print(peer.makefile().readline(), end="")
"""


async def check_environment_is_exactly_what_was_given(case: MachineCase, directory: Path) -> None:
    """Only the spec's variables and the five of every machine, although the host has others."""
    os.environ["ANTHROPIC_API_KEY"] = "host-secret"
    try:
        spec = case.spec(
            directory,
            "import json, os; print(json.dumps(dict(os.environ)))",
            env={
                "GIVEN": "a b\n{x}",
                "WHERE": "{autovibe:workspace}|{autovibe:home}|{autovibe:port}",
            },
            path_prefix=["/opt/first", "{autovibe:home}/bin"],
        )
        async with case.running(directory, spec) as machine:
            seen = json.loads(b"".join([line async for line in machine.output()]))
            inside = (machine.workspace_inside, machine.home_inside)
    finally:
        del os.environ["ANTHROPIC_API_KEY"]
    assert set(seen) - {"LC_CTYPE"} == {"GIVEN", "WHERE", "HOME", "LANG", "PATH", "TMPDIR", "USER"}
    assert seen["GIVEN"] == "a b\n{x}"
    workspace, home, port = seen["WHERE"].split("|")
    assert (workspace, home) == inside
    assert 0 < int(port) < 65536
    assert seen["HOME"] == home
    assert seen["PATH"].split(":")[:2] == ["/opt/first", f"{home}/bin"]


async def check_files_are_shared_with_the_host(case: MachineCase, directory: Path) -> None:
    """The program starts in the workspace; what it writes there and at home is on the host."""
    spec = case.spec(
        directory,
        "import os\n"
        "open('made', 'w').write(open('given').read() + os.getcwd())\n"
        "open(os.environ['HOME'] + '/note', 'w').write('kept')\n"
        "open(os.environ['TMPDIR'] + '/free', 'w').write('x')\n",
    )
    (spec.workspace / "given").write_text("in ")
    async with case.running(directory, spec) as machine:
        assert await machine.wait() == Exit(0)
        workspace = machine.workspace_inside
    assert (spec.workspace / "made").read_text() == f"in {workspace}"
    assert (spec.home / "note").read_text() == "kept"
    assert (spec.workspace / "made").stat().st_uid == os.getuid()


async def check_arguments_are_filled_in_once(case: MachineCase, directory: Path) -> None:
    """Placeholders are replaced, everything else arrives as it is."""
    odd = ["", "a b", "$HOME", "'\"`\\", "--", "{home}", "{{autovibe:port}}", "ü\n"]
    spec = case.spec(directory, "import json, sys; print(json.dumps(sys.argv[1:]))")
    spec = replace(spec, argv=[*spec.argv, "{autovibe:workspace}/x", *odd])
    async with case.running(directory, spec) as machine:
        seen = json.loads(b"".join([line async for line in machine.output()]))
        assert seen[1] == f"{machine.workspace_inside}/x"
        port = seen[8].strip("{}")
        assert port.isdigit()
    assert seen[2:] == [*odd[:6], f"{{{port}}}", odd[7]]


async def check_exit_is_reported(case: MachineCase, directory: Path) -> None:
    """Exit codes as they are, signals as 128 + number."""
    for text, code in (
        ("pass", 0),
        ("raise SystemExit(7)", 7),
        ("raise SystemExit(255)", 255),
        ("import os; os.kill(os.getpid(), 9)", 128 + signal.SIGKILL),
        ("import os; os.kill(os.getpid(), 15)", 128 + signal.SIGTERM),
        ("import os; os.abort()", 128 + signal.SIGABRT),
    ):
        async with case.running(directory, case.spec(directory, text)) as machine:
            assert await machine.wait() == Exit(code)
            assert await machine.wait() == Exit(code)
            assert await machine.stop(0) == Exit(code)
            await machine.freeze()
            await machine.thaw()


async def check_output_arrives_by_lines(case: MachineCase, directory: Path) -> None:
    """Every byte, in order, lines whole up to 16 MiB, the last one without a newline too."""
    text = f"""
import sys
out = sys.stdout.buffer
out.write(b"first\\n\\n")
out.write(bytes(range(256)) + b"\\n")
out.write(b"x" * {_LONG_LINE} + b"\\n")
out.write(b"y" * 1000000 + b"\\n")
out.write(b"last")
"""
    async with case.running(directory, case.spec(directory, text)) as machine:
        lines = [line async for line in machine.output()]
    garbage = bytes(range(256)) + b"\n"
    assert lines[:4] == [b"first\n", b"\n", garbage[:11], garbage[11:]]
    assert lines[-1] == b"last"
    assert lines[-2] == b"y" * 1000000 + b"\n"
    assert [len(piece) for piece in lines[4:-2]] == [16 * 1024 * 1024, 1001]
    assert b"".join(lines[4:-2]) == b"x" * _LONG_LINE + b"\n"


async def check_output_outlives_the_machine(case: MachineCase, directory: Path) -> None:
    """What was printed before the end can be read after `destroy()`."""
    spec = case.spec(directory, "print('said')")
    machine = await case.driver(directory).spawn(spec)
    await machine.wait()
    await machine.destroy()
    assert [line async for line in machine.output()] == [b"said\n"]
    assert_nothing_left(case.scratch(directory), spec)


async def check_errors_go_where_the_spec_says(case: MachineCase, directory: Path) -> None:
    """Standard error is merged, or appended to the file."""
    text = "import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')"
    assert await case.run(directory, case.spec(directory, text)) == (b"out\nerr\n", 0)
    log = directory / "errors.log"
    log.write_bytes(b"before\n")
    spec = case.spec(directory, text, stderr_path=log)
    assert await case.run(directory, spec) == (b"out\n", 0)
    assert log.read_bytes() == b"before\nerr\n"


async def check_nothing_else_is_inherited(case: MachineCase, directory: Path) -> None:
    """No descriptor besides the three, an empty input, default signals, no core files."""
    text = """
import json, os, resource, signal, sys
def terminal():
    try:
        os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return False
    return True
blocked = [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
status = dict(l.split(":", 1) for l in open("/proc/self/status").read().splitlines() if ":" in l)
print(json.dumps({
    "descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd"))[:4],
    "others": [n for n in os.listdir("/proc/self/fd") if int(n) > 3],
    "input": sys.stdin.read(),
    "blocked": blocked,
    "ignored": int(status["SigIgn"], 16),
    "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
    "terminal": terminal(),
}))
"""
    kept = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(kept, True)  # noqa: FBT003 - the signature of the standard library
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        output, code = await case.run(directory, case.spec(directory, text))
    finally:
        os.close(kept)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    assert code == 0, output
    seen = json.loads(output)
    assert seen["descriptors"] == [0, 1, 2, 3]  # the fourth is the listing itself
    assert seen["others"] == []
    assert seen["input"] == ""
    assert seen["blocked"] == []
    # Python itself ignores SIGPIPE and SIGXFSZ; 32 and 33 are the C library's own, which no
    # program can set, and which GNU make hands down ignored.
    known = {signal.SIGPIPE, signal.SIGXFSZ, 32, 33}
    assert [n for n in range(1, 65) if seen["ignored"] >> n - 1 & 1 and n not in known] == []
    assert seen["core"] == 0
    assert not seen["terminal"]


async def check_listener_reaches_the_host(case: MachineCase, directory: Path) -> None:
    """The control plane serves the listener, and programs inside reach it at the given port."""
    spec = case.spec(directory, _ASK, env={"LISTENER": "{autovibe:port}"})

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"you said " + await reader.readline())
        writer.close()

    async with case.running(directory, spec) as machine:
        assert not machine.listener.getblocking()
        server = await asyncio.start_server(answer, sock=machine.listener)
        async with server:
            assert await first_line(machine) == b"you said hello\n"
        assert await machine.wait() == Exit(0)
    assert machine.listener.fileno() == -1


async def check_failed_start_leaves_nothing(case: MachineCase, directory: Path) -> None:
    """A machine that cannot be started is an error that says why, and nothing stays behind."""
    good = case.spec(directory, "pass")
    script = good.workspace / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    (good.workspace / "plain").write_text("no program")
    driver = case.driver(directory)
    for spec, word in (
        (replace(good, argv=["no-such-program-at-all"]), "No such file"),
        (replace(good, argv=["{autovibe:workspace}/script"]), "No such file"),
        (replace(good, argv=["{autovibe:workspace}/plain"]), "Permission denied"),
        (replace(good, argv=["{autovibe:workspace}"]), "Permission denied"),
        (replace(good, argv=[]), "no program"),
        (replace(good, workspace=directory / "nowhere"), "not a directory"),
        (replace(good, binds=[Bind(directory / "nowhere", "/opt/x")]), "does not exist"),
        (replace(good, stderr_path=directory / "nowhere" / "log"), "could not be started"),
        (replace(good, machine_id="../escape"), "cannot name a machine"),
        (replace(good, argv=[*good.argv, "x" * 300_000]), "Argument list too long"),
    ):
        try:
            await driver.spawn(spec)
        except MachineSpawnError as error:
            assert word in error.message, error.message  # noqa: PT017 - this kit knows no pytest
        else:
            raise AssertionError(word)
        assert_nothing_left(case.scratch(directory), good)
    assert await case.run(directory, good) == (b"", 0)


async def check_one_machine_per_id(case: MachineCase, directory: Path) -> None:
    """A second machine of the same id is refused and does the first no harm."""
    spec = case.spec(directory, _SLEEP)
    driver = case.driver(directory)
    async with case.running(directory, spec, driver) as machine:
        await first_line(machine)
        try:
            await driver.spawn(spec)
        except MachineSpawnError as error:
            assert "runs already" in error.message  # noqa: PT017 - this kit knows no pytest
        else:
            raise AssertionError("a second machine of the same id was started")
        assert processes_of(spec.machine_id)
        await machine.freeze()
        await machine.thaw()


async def check_other_threads_are_refused(case: MachineCase, directory: Path) -> None:
    """A machine would die with the thread that starts it, so only the main thread may."""
    spec = case.spec(directory, "pass")

    def elsewhere() -> str:
        try:
            asyncio.run(case.driver(directory).spawn(spec))
        except MachineSpawnError as error:
            return error.message
        return ""

    assert "main thread" in await asyncio.to_thread(elsewhere)
    assert_nothing_left(case.scratch(directory), spec)


async def check_ten_machines_at_once(case: MachineCase, directory: Path) -> None:
    """Machines started together do not mix: files, listeners and exits are their own."""
    driver = case.driver(directory)
    specs = [
        case.spec(
            directory, f"{_ASK}raise SystemExit({number})", env={"LISTENER": "{autovibe:port}"}
        )
        for number in range(10)
    ]
    machines = await asyncio.gather(*(driver.spawn(spec) for spec in specs))
    try:
        assert len({machine.vm_id for machine in machines}) == 10
        for number, machine in enumerate(machines):

            async def answer(
                _: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int = number
            ) -> None:
                writer.write(f"{number}\n".encode())
                writer.close()

            server = await asyncio.start_server(answer, sock=machine.listener)
            async with server:
                assert await first_line(machine) == f"{number}\n".encode()
        ends = await asyncio.gather(*(machine.wait() for machine in machines))
        assert [end.code for end in ends] == list(range(10))
    finally:
        await asyncio.gather(*(machine.destroy() for machine in machines))
    for spec in specs:
        assert_nothing_left(case.scratch(directory), spec)


async def check_usage_is_counted(case: MachineCase, directory: Path) -> None:
    """Processor time and memory grow with use, and stay known after the end."""
    text = (
        "held = bytearray(48 << 20)\n"
        "import time\n"
        "while time.process_time() < 0.1: pass\n"
        "print('used', flush=True)\n"
        "time.sleep(1000)\n"
    )
    async with case.running(directory, case.spec(directory, text)) as machine:
        await first_line(machine)
        during = await machine.usage()
        await machine.destroy()
        after = await machine.usage()
    assert during.cpu_s >= 0.08
    assert during.memory_peak_bytes >= 48 << 20
    assert during.processes >= 1
    assert after.cpu_s >= during.cpu_s
    assert after.memory_peak_bytes >= during.memory_peak_bytes
    assert after.processes == 0


async def check_descriptors_are_given_back(case: MachineCase, directory: Path) -> None:
    """Starting and destroying many machines does not use up the control plane's descriptors."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0
    spec = case.spec(directory, "pass")
    await case.run(directory, spec)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only
    for _ in range(3):
        await case.run(directory, spec)
        try:
            await case.driver(directory).spawn(replace(spec, argv=["no-such-program"]))
        except MachineSpawnError:
            continue
        raise AssertionError("a missing program was started")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


_STARTS: Final[dict[str, Check]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_environment_is_exactly_what_was_given,
        check_files_are_shared_with_the_host,
        check_arguments_are_filled_in_once,
        check_exit_is_reported,
        check_output_arrives_by_lines,
        check_output_outlives_the_machine,
        check_errors_go_where_the_spec_says,
        check_nothing_else_is_inherited,
        check_listener_reaches_the_host,
        check_failed_start_leaves_nothing,
        check_one_machine_per_id,
        check_other_threads_are_refused,
        check_ten_machines_at_once,
        check_usage_is_counted,
        check_descriptors_are_given_back,
    )
}

CHECKS: Final[dict[str, Check]] = {**_STARTS, **machine_endings.CHECKS}
"""Every check by its name; each takes a case and an empty directory."""
