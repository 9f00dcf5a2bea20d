"""Labels of tasks: texts with names, in the member `labels` of their metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from autovibe.kernel.errors import InvalidArgumentError

_NAME: Final = re.compile(r"[^=\x00-\x1f]{1,63}")
_LONGEST_VALUE: Final = 255
_MOST: Final = 64


def check_labels(metadata: Mapping[str, Any]) -> None:
    """Refuse labels that `task list --label` could not find.

    Raises:
        InvalidArgumentError: they are no object of texts, or too many or too long.
    """
    labels: object = metadata.get("labels")
    if labels is None:
        return
    given = cast("dict[str, object]", labels) if isinstance(labels, dict) else None
    if given is None or not all(
        _NAME.fullmatch(name) and isinstance(value, str) and len(value) <= _LONGEST_VALUE
        for name, value in given.items()
    ):
        raise InvalidArgumentError(
            "Labels are names of 1 to 63 characters without =, each with a text of at most "
            f"{_LONGEST_VALUE}; give them as name=value.",
            field="metadata.labels",
        )
    if len(given) > _MOST:
        raise InvalidArgumentError(
            f"A task has at most {_MOST} labels; leave some out.", field="metadata.labels"
        )


def wanted_labels(pairs: Sequence[str]) -> dict[str, str]:
    """Return the labels of texts such as `team=web`; the validator has seen to their form."""
    return dict(pair.split("=", 1) for pair in pairs)
