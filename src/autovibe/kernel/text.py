"""Text that came from a machine, made safe to show."""

from __future__ import annotations

import unicodedata

_KEPT = frozenset("\n\t")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str, *, one_line: bool = False) -> str:
    """Escape control and invisible characters (decision C13).

    A terminal would otherwise obey escape sequences that an agent wrote, and bidirectional marks
    would let it show one command and run another.

    Args:
        text: anything; lone surrogates (names that are not UTF-8) become escapes too.
        one_line: escape newlines and tabs as well.
    """
    return "".join(
        char
        if (char in _KEPT and not one_line) or unicodedata.category(char) not in _HIDDEN_CATEGORIES
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def utf8(path: str) -> str:
    """Return a path as valid text: bytes that are no UTF-8 become escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
