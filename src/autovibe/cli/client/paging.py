"""Reading a list page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

PAGE: Final = 500


async def collect(
    fetch: Callable[[int, str], Awaitable[tuple[Sequence[T], str]]], limit: int
) -> tuple[list[T], str]:
    """Return at most `limit` items, and the token of the page after them ("" when there is none).

    Args:
        fetch: takes a page size and a page token, and gives items and the next token.
        limit: how many items at most.
    """
    items: list[T] = []
    token = ""
    while len(items) < limit:
        page, token = await fetch(min(PAGE, limit - len(items)), token)
        items.extend(page)
        if not token:
            break
    return items, token


def more(token: str) -> list[str]:
    """Return the line that says that a list was cut."""
    return ["… there are more; see --limit."] if token else []
