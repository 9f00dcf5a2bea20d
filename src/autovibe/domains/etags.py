"""Etags: a change that was decided on something older is refused."""

from __future__ import annotations

import hashlib

from google.protobuf.message import Message

from autovibe.kernel.errors import AutovibeError, Code

_LENGTH = 32


class EtagMismatchError(AutovibeError):
    """The thing has changed since the caller looked at it."""

    code = Code.FAILED_PRECONDITION
    reason = "ETAG_MISMATCH"


def etag_of(message: Message) -> str:
    """Return the etag of a message that has none yet: it changes when anything in it does."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()[:_LENGTH]


def check_etag(wanted: str, current: str) -> None:
    """Refuse a change that names another etag than the present one; naming none is naming any.

    Raises:
        EtagMismatchError: it has changed.
    """
    if wanted not in {"", "*", current}:
        raise EtagMismatchError(
            "It has changed since you read it; read it again, and repeat your change if it still "
            "fits.",
            etag=current,
        )
