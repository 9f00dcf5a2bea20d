"""The first program inside a machine: makes the listener, then becomes the agent's program.

Run as `python -I -S inner.py FD` with nothing but the standard library, before any of our packages
can be seen; FD is one end of a socketpair. It reads its orders from it, answers with one
message that carries the listener, and the descriptor closes with the successful exec. A second
message only comes when the exec failed. So the program inherits nothing but its standard streams.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys

TYPE_CHECKING = False  # importing typing would cost more than all the rest of this file
if TYPE_CHECKING:
    from typing import NoReturn, TypedDict

    class Orders(TypedDict):
        """What the control plane wants; see `launch.orders`."""

        argv: list[str]
        env: dict[str, str]
        cwd: str
        port: int
        supervise: bool
        parent: int
        join: list[str]
        rlimits: dict[str, int]


PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
EXIT_CANNOT_START = 127


def receive_exactly(control: socket.socket, size: int) -> bytes:
    """Return `size` bytes; ends the process when the control plane is gone."""
    data = b""
    while len(data) < size:
        piece = control.recv(size - len(data))
        if not piece:
            sys.exit(EXIT_CANNOT_START)
        data += piece
    return data


def tell(
    control: socket.socket, message: dict[str, object], descriptors: tuple[int, ...] = ()
) -> None:
    """Send one message line, with descriptors."""
    line = json.dumps(message).encode() + b"\n"
    if descriptors:
        socket.send_fds(control, [line], descriptors)
    else:
        control.sendall(line)


def make_listener(port: int) -> socket.socket:
    """Listen on the loopback interface of the network namespace we are in."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def set_limits(orders: Orders) -> None:
    """Lower the limits that a process carries; what is already lower stays."""
    for name, wanted in orders["rlimits"].items():
        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (value, value))


def close_all_but(control: socket.socket) -> None:
    """Close every descriptor that is neither a standard stream nor the control socket."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib costs 10 ms to import here
        number = int(name)
        if number > 2 and number != control.fileno():
            with contextlib.suppress(OSError):  # the descriptor of the listing itself
                os.close(number)


def become(orders: Orders, control: socket.socket) -> NoReturn:
    """Replace this process by the program; tells why when that fails."""
    try:
        for number in range(1, signal.NSIG):
            with contextlib.suppress(OSError, ValueError):  # SIGKILL, SIGSTOP, the C library's
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.umask(0o022)
        set_limits(orders)
        os.chdir(orders["cwd"])
        os.execvpe(orders["argv"][0], orders["argv"], orders["env"])  # noqa: S606 - no shell is wanted
    except (OSError, ValueError) as error:
        tell(control, {"error": str(error), "errno": getattr(error, "errno", None)})
    os._exit(EXIT_CANNOT_START)


def prctl(option: int, value: int) -> None:
    """Set a property of this process that the standard library has no name for."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def descendants() -> list[int]:
    """Return all processes below this one; orphans are below it too, as it is their reaper."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - as above
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                    raw = file.read()
            except OSError:
                continue
            parent = int(raw[raw.rindex(b")") + 2 :].split()[1])
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def reap() -> dict[int, int]:
    """Return the exit codes of the children that have ended, by pid."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        ended[pid] = code


def end_all() -> None:
    """End every process below this one, however often they fork meanwhile."""
    while True:
        below = descendants()
        if not below:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: nobody forks on
            for pid in below:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        reap()


def join(procs: str) -> bool:
    """Move this process into a control group; returns whether the kernel allowed it."""
    try:
        descriptor = os.open(procs, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"0")
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def supervise(orders: Orders, control: socket.socket) -> NoReturn:
    """Run the program below this process and end all that it left, with it or on SIGTERM.

    For machines without a process namespace: the parent's death arrives as SIGTERM.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    watched = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != orders["parent"]:  # died before the line above
        sys.exit(EXIT_CANNOT_START)
    supervisor = os.getpid()
    program = os.fork()
    if program == 0:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(EXIT_CANNOT_START)
        tell(control, {"joined": [procs for procs in orders["join"] if join(procs)]})
        become(orders, control)
    tell(control, {"ready": True, "program": program})
    control.close()
    while True:
        if signal.sigwait(watched) == signal.SIGTERM:
            end_all()
            os._exit(128 + signal.SIGKILL)  # what the program got
        ended = reap()
        if program in ended:
            end_all()
            os._exit(ended[program])


def main() -> None:
    """Read the orders, prepare, and run the program."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    orders = json.loads(
        receive_exactly(control, int.from_bytes(receive_exactly(control, 8), "big"))
    )
    close_all_but(control)
    if orders["supervise"]:
        supervise(orders, control)
    listener = make_listener(orders["port"])
    tell(control, {"ready": True}, (listener.fileno(),))
    listener.close()
    become(orders, control)


if __name__ == "__main__":
    main()
