"""Keeping this process's memory and environment from the programs it starts (decision C5)."""

from __future__ import annotations

import ctypes
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def protect_process() -> None:
    """Make `/proc/<pid>/environ` and memory of this process unreadable for its own user.

    Provider keys are in the environment when the process starts, and the kernel goes on showing
    them there after they were removed. Where the call does not exist nothing is lost but this.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    prctl = getattr(libc, "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
