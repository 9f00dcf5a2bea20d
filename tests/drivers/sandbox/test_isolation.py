"""What a hostile program in a sandbox finds: nothing of the host."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from autovibe.domains.machines.driver import Bind, Limits
from autovibe.domains.machines.errors import MachineSpawnError
from autovibe.drivers.machine.cgroups import Hierarchies
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.drivers.machine.sandbox.interpreters import own_interpreter, own_prefix
from autovibe.testing.machine_case import MachineCase, processes_of, until

SECRET = "sk-ant-a-key-that-must-not-be-found"
CASE = MachineCase(SandboxDriver, "", "", str(own_interpreter()))
PRELUDE = """
import ctypes, errno, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(action, *arguments):
    try:
        result = action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return "ok" if result is None else result
def call(number, *arguments):
    ctypes.set_errno(0)
    return "ok" if libc.syscall(number, *arguments) >= 0 else errno.errorcode[ctypes.get_errno()]
def connect(family, address):
    with socket.socket(family) as one:
        one.settimeout(60)
        one.connect(address)
"""


@pytest.fixture
def look(tmp_path):
    """Return a function that runs Python text in a sandbox and returns the JSON it prints."""

    async def run(text, driver=None, **options):
        spec = CASE.spec(tmp_path, PRELUDE + text, **options)
        async with CASE.running(tmp_path, spec, driver) as machine:
            output = b"".join([line async for line in machine.output()])
            assert (await machine.wait()).code == 0, output.decode()
        return json.loads(output)

    return run


@asynccontextmanager
async def listening(family, address):
    async def accept(_, writer):
        writer.close()

    with socket.socket(family) as one:
        one.bind(address)
        async with await asyncio.start_server(accept, sock=one):
            yield one.getsockname()


async def test_a_program_sees_no_process_of_the_host(look):
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "input()",
        stdin=asyncio.subprocess.PIPE,
        env={"ANTHROPIC_API_KEY": SECRET},
    )
    try:
        seen = await look("""
found = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    found[pid] = {n: open(f"/proc/{pid}/{n}").read() for n in ("environ", "cmdline")}
print(json.dumps(found))
""")
    finally:
        await holder.communicate(b"\n")
    assert sorted(map(int, seen)) == [1, 2]
    assert SECRET not in json.dumps(seen)
    assert seen["1"]["environ"] == ""


async def test_a_program_finds_no_key_in_any_file(look, tmp_path):
    """Every file but the tool chains is read: the machine's own, /etc, /run, all that is there."""
    home = tmp_path / "autovibe"
    home.mkdir()
    (home / "config.toml").write_text(f"key = {SECRET!r}")
    own, secret = str(own_prefix()), SECRET[:-1]
    seen = await look(
        f"""
found, files = [], 0
for parent, names, entries in os.walk("/"):
    if parent == "/":
        names[:] = [n for n in names if n not in ("usr", "proc", "sys", "dev")]
    if parent == {own!r}:
        names.clear()
    for name in entries:
        path = os.path.join(parent, name)
        try:
            files += 1
            if {secret!r} in open(path, errors="replace").read():
                found.append(path)
        except OSError:
            pass
print(json.dumps([found, files]))
"""
    )
    assert seen[0] == []
    assert seen[1] > 20


async def test_a_program_cannot_read_the_hosts_secrets(look, tmp_path):
    other = CASE.spec(tmp_path, "pass")
    (other.workspace / "plan").write_text("another machine's")
    (other.home / "plan").write_text("another machine's")
    paths = [
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/ssl/private",
        "/etc/ssh",
        "/etc/sudoers",
        "/var",
        "/sys",
        "/boot",
        "/proc/1/root/etc/shadow",
        str(other.workspace / "plan"),
        str(other.home / "plan"),
        str(CASE.scratch(tmp_path)),
        str(Path(__file__)),
    ]
    seen = await look(f"print(json.dumps({{p: attempt(os.stat, p) for p in {paths!r}}}))")
    assert set(seen.values()) <= {"ENOENT", "EACCES", "ENOTDIR"}, seen


async def test_the_hosts_home_is_not_there(look):
    home, own = Path.home(), own_prefix()
    seen = await look(f"""
found = []
for parent, names, entries in os.walk({str(home)!r}):
    if parent == {str(own)!r}:
        names.clear()
        continue
    found += [os.path.join(parent, name) for name in [*names, *entries]]
print(json.dumps(found))
""")
    assert {Path(path) for path in seen} <= {own, *own.parents}


async def test_only_the_own_loopback_can_be_reached(look):
    async with (
        listening(socket.AF_INET, ("127.0.0.1", 0)) as host,
        listening(socket.AF_UNIX, "\0autovibe-test-abstract") as abstract,
    ):
        seen = await look(f"""
print(json.dumps({{
    "interfaces": [name for _, name in socket.if_nameindex()],
    "host": attempt(connect, socket.AF_INET, {host!r}),
    "abstract": attempt(connect, socket.AF_UNIX, {abstract!r}),
    "internet": attempt(connect, socket.AF_INET, ("1.1.1.1", 443)),
    "internet6": attempt(connect, socket.AF_INET6, ("2606:4700:4700::1111", 443)),
    "metadata": attempt(connect, socket.AF_INET, ("169.254.169.254", 80)),
    "vsock": attempt(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM),
    "packet": attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
    "raw": attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
}}))
""")
    assert seen == {
        "interfaces": ["lo"],
        "host": "ECONNREFUSED",
        "abstract": "ECONNREFUSED",
        "internet": "ENETUNREACH",
        "internet6": "ENETUNREACH",
        "metadata": "ENETUNREACH",
        "vsock": "EAFNOSUPPORT",
        "packet": "EAFNOSUPPORT",
        "raw": "EPERM",
    }


async def test_a_program_has_no_privilege_and_cannot_get_any(look):
    seen = await look("""
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
print(json.dumps({
    "uid": os.getuid(),
    "setuid": attempt(os.setuid, 0),
    "capabilities": sorted({status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")}),
    "no_new_privileges": status["NoNewPrivs"],
    "filtered": status["Seccomp"],
    "user_namespace": call(272, CLONE_NEWUSER),
    "both_namespaces": call(272, CLONE_NEWUSER | CLONE_NEWNS),
    "mount_namespace": call(272, CLONE_NEWNS),
    "mount": call(165, b"none", b"/tmp", b"tmpfs", 0, None),
    "remount": call(165, None, b"/proc", None, 32, None),
    "unmount": call(166, b"/etc/passwd", 0),
    "keyctl": call(250, 0, -4, 0),
    "io_uring": call(425, 1, None),
    "device": attempt(os.mknod, "/tmp/vda", 0o60600, 0xFE00),
    "hostname": os.uname().nodename,
}))
""")
    assert seen.pop("hostname").startswith("sandbox-")
    assert seen.pop("user_namespace") in {"ENOSPC", "EPERM"}
    assert seen.pop("both_namespaces") in {"ENOSPC", "EPERM"}
    assert seen == {
        "uid": 1000,
        "setuid": "EINVAL",
        "capabilities": ["0000000000000000"],
        "no_new_privileges": "1",
        "filtered": "2",
        "mount_namespace": "EPERM",
        "mount": "EPERM",
        "remount": "EPERM",
        "unmount": "EPERM",
        "keyctl": "ENOSYS",
        "io_uring": "ENOSYS",
        "device": "EPERM",
    }


async def test_nothing_of_the_system_can_be_written(look, tmp_path):
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "settings.json").write_text("{}")
    seen = await look(
        """
tries = {p: attempt(open, p + "/new", "w") for p in (
    "/", "/usr", "/usr/bin", "/etc", "/etc/ssl/certs", "/home", "/dev", "/run/autovibe", sys.prefix,
    "/run/autovibe/settings",
)}
for path in ("/run/autovibe/settings/settings.json", "/etc/passwd", "/run/autovibe/inner.py"):
    tries[path] = attempt(open, path, "w")
tries["move"] = attempt(os.rename, "/run/autovibe", "/run/away")
tries["move settings"] = attempt(os.rename, "/run/autovibe/settings", "/run/autovibe/away")
tries["move home"] = attempt(os.rename, "/home/agent", "/home/away")
print(json.dumps(tries))
""",
        binds=[Bind(settings, "/run/autovibe/settings")],
    )
    assert set(seen.values()) <= {"EROFS", "EACCES", "EBUSY"}, seen
    assert (settings / "settings.json").read_text() == "{}"


async def test_no_kernel_setting_can_be_opened_for_writing(look):
    """As root bubblewrap left /proc/sys writable: core_pattern runs programs on the host."""
    seen = await look("""
opened, tried = [], 0
for root in ("/proc/sys", "/proc/self", "/proc/irq", "/proc/bus", "/proc/fs"):
    for parent, names, entries in os.walk(root):
        names[:] = [n for n in names if n not in ("task", "cwd", "root", "fd", "map_files")]
        for name in entries:
            tried += 1
            try:
                os.close(os.open(os.path.join(parent, name), os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue
            if not os.path.islink(os.path.join(parent, name)):
                opened.append(os.path.join(parent, name))
for path in ("/proc/sysrq-trigger", "/proc/kcore", "/proc/kmsg", "/proc/timer_list"):
    tried += 1
    if attempt(os.open, path, os.O_WRONLY) == "ok":
        opened.append(path)
print(json.dumps([opened, tried]))
""")
    assert seen[0] == []
    assert seen[1] > 100


async def test_ordinary_work_is_possible(look):
    """What agents do all day: a shell, git, temporary files, locks, names of users."""
    seen = await look("""
import pwd, subprocess, tempfile, threading, multiprocessing
run = lambda *a: subprocess.run(a, capture_output=True, text=True)
git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
open("file", "w").write("x")
steps = [run("git", "init", "-q"), run(*git, "add", "file"), run(*git, "commit", "-qm", "one"),
         run("sh", "-c", "echo hi > /dev/null && test -r /etc/passwd && test -w /dev/shm")]
with tempfile.TemporaryFile() as file:
    file.write(b"x")
lock = multiprocessing.Lock()
print(json.dumps({
    "steps": [s.stderr for s in steps if s.returncode],
    "user": pwd.getpwuid(os.getuid()).pw_name,
    "home": os.path.expanduser("~"),
    "localhost": socket.gethostbyname("localhost"),
    "random": len(os.urandom(8)),
}))
""")
    assert seen == {
        "steps": [],
        "user": "agent",
        "home": "/home/agent",
        "localhost": "127.0.0.1",
        "random": 8,
    }


async def test_files_in_memory_stay_within_the_memory_limit(tmp_path):
    """Files in /tmp are memory, with groups and without: they take no more than the machine has."""
    text = """
import os
for place in ("/tmp/big", "/dev/shm/big", "/run/big"):
    with open(place, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError as error:
            print(place, error.errno, os.path.getsize(place) >> 20, flush=True)
"""
    sampling = SandboxDriver(CASE.scratch(tmp_path), hierarchies=Hierarchies())
    for driver in (CASE.driver(tmp_path), sampling):
        spec = CASE.spec(tmp_path, text, limits=Limits(memory_mb=64))
        async with CASE.running(tmp_path, spec, driver) as machine:
            lines = [line.split() async for line in machine.output()]
            ended = await machine.wait()
        assert all(int(line[1]) == errno.ENOSPC and int(line[2]) <= 64 for line in lines)
        assert ended.limit == "memory" or (ended.code == 0 and len(lines) == 3)


async def test_a_fork_bomb_is_contained_and_ended(tmp_path):
    spec = CASE.spec(
        tmp_path,
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n",
        limits=Limits(processes=40, cpus=0.5),
    )
    driver = CASE.driver(tmp_path)
    if (await driver.probe()).enforced["processes"] != "cgroup":
        pytest.skip("the kernel limits processes only where control groups can be made")
    async with CASE.running(tmp_path, spec, driver) as machine:
        await until(lambda: len(processes_of(spec.machine_id)) >= 38)
        assert (await machine.usage()).processes >= 36
        assert len(processes_of(spec.machine_id)) <= 41
        await machine.freeze()
        await machine.thaw()
        await machine.destroy()
        assert processes_of(spec.machine_id) == []


async def test_tool_chains_are_shown_read_only(look, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tool").write_text("a tool")
    driver = SandboxDriver(CASE.scratch(tmp_path), [tools])
    path = str(tools / "tool")
    seen = await look(
        f"print(json.dumps([open({path!r}).read(), attempt(open, {path!r}, 'w')]))", driver
    )
    assert seen == ["a tool", "EROFS"]


@pytest.mark.parametrize("shown", ["/", "~", "~/.autovibe", "scratch", "missing", "relative"])
async def test_private_directories_are_not_shown_as_tool_chains(shown, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / "user" / ".autovibe").mkdir(parents=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    paths = {"scratch": scratch, "missing": tmp_path / "missing", "relative": Path("usr")}
    path = paths.get(shown) or Path(shown).expanduser()
    driver = SandboxDriver(scratch, [path])
    with pytest.raises(MachineSpawnError, match=r"\[sandbox\] ro"):
        await driver.spawn(CASE.spec(tmp_path, "pass"))


@pytest.mark.parametrize(
    "inside",
    [
        "/workspace/.claude",
        "/home/agent/.bashrc",
        "/",
        "/etc",
        "/usr/bin/git",
        "opt",
        "/workspace/../etc",
    ],
)
async def test_binds_cannot_cover_what_the_machine_is_made_of(inside, tmp_path):
    spec = CASE.spec(tmp_path, "pass", binds=[Bind(tmp_path, inside)])
    with pytest.raises(MachineSpawnError, match="cannot be a place"):
        await CASE.driver(tmp_path).spawn(spec)
    assert next(spec.workspace.iterdir(), None) is None


async def test_command_line_holds_nothing_of_the_environment(tmp_path):
    """Every user of the host can read it."""
    spec = CASE.spec(
        tmp_path,
        "import time; print('ready', flush=True); time.sleep(1000)",
        env={"ANTHROPIC_AUTH_TOKEN": SECRET},
    )
    async with CASE.running(tmp_path, spec) as machine:
        async for _ in machine.output():
            break
        holders = [
            Path(f"/proc/{pid}/{name}").read_bytes()
            for pid in (machine.pid, *children(machine.pid))
            for name in ("cmdline", "environ")
        ]
    assert len(holders) == 4
    assert not any(SECRET.encode() in held for held in holders)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
