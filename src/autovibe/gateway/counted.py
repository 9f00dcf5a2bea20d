"""How many tokens a call took, whatever its API calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# What belongs to the input or the output besides its first name: Anthropic tells cached input, and
# Gemini thoughts, apart.
_INPUT: Final = (
    ("prompt_tokens", "input_tokens", "promptTokenCount"),
    ("cache_read_input_tokens",),
    ("cache_creation_input_tokens",),
    ("toolUsePromptTokenCount",),
)
_OUTPUT: Final = (
    ("completion_tokens", "output_tokens", "candidatesTokenCount"),
    ("thoughtsTokenCount",),
)


def counted_tokens(usage: Mapping[str, object]) -> dict[str, int]:
    """Return `input` and `output` tokens, cached ones included; what was not told is left out."""
    counts: dict[str, int] = {}
    for kind, parts in (("input", _INPUT), ("output", _OUTPUT)):
        numbers = [_first(usage, names) for names in parts]
        known = [number for number in numbers if number is not None]
        if known:
            counts[kind] = sum(known)
    return counts


def _first(usage: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12:
            return value
    return None
