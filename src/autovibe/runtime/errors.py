"""Errors of what a control plane does to its own home."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class HomeInUseError(AutovibeError):
    """A control plane of the home is running, and its files may not be exchanged."""

    code = Code.FAILED_PRECONDITION
    reason = "HOME_IN_USE"


class HomeNotEmptyError(AutovibeError):
    """The home has a database or a store already."""

    code = Code.ALREADY_EXISTS
    reason = "HOME_NOT_EMPTY"
