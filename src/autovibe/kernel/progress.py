"""Telling whoever waits for a long operation how far it is.

Who calls an operation in this process listens; what does the work reports. Between them lie layers
that need not know of it: the listener belongs to the context of the call, as asyncio hands it on
to tasks and threads. Nobody listens across a network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Step:
    """How far it is: running totals of a phase, such as `read` or `verify`."""

    phase: str
    items: int
    bytes: int


Listener: TypeAlias = Callable[[Step], None]
_listener: ContextVar[Listener | None] = ContextVar("progress_listener", default=None)


@contextlib.contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Hear what is reported by what the block calls."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(step: Step) -> None:
    """Tell the listener, if there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(step)
