"""Patterns of paths that a snapshot leaves out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store.tree import to_text


@dataclass(frozen=True, slots=True)
class Exclude:
    """Globs in the manner of .gitignore, without negation.

    A pattern without a slash matches a name at any depth; one with a slash matches from the
    root; a trailing slash matches directories only; `*` and `?` stop at a slash, `**` does not;
    `[a-z]` and `[!a-z]` are classes; a backslash quotes. What is below an excluded directory is
    excluded with it.

    Attributes:
        patterns: the globs.
        roots: the named roots they apply to; None for all.
    """

    patterns: tuple[str, ...]
    roots: frozenset[str] | None = None

    def matcher(self, root: str) -> Matcher | None:
        """Compile the patterns for one root; None when nothing can match.

        Raises:
            InvalidArgumentError: a pattern is malformed.
        """
        if not self.patterns or (self.roots is not None and root not in self.roots):
            return None
        return Matcher(self.patterns)


class Matcher:
    """Compiled patterns."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        """Compile the patterns into one expression."""
        self._expression = re.compile("|".join(f"(?:{_translate(p)})" for p in patterns))

    def matches(self, path: bytes, *, is_dir: bool) -> bool:
        """Say whether a path, relative to the root, is left out."""
        text = to_text(path) + ("/" if is_dir else "")
        return self._expression.fullmatch(text) is not None


def _translate(pattern: str) -> str:
    body = pattern.rstrip("/")
    if not body or "\0" in body:
        raise InvalidArgumentError(
            f"{pattern!r} is not a pattern to exclude.", what="exclude", value=pattern
        )
    prefix = "" if "/" in body else "(?:.*/)?"
    body = body.removeprefix("/")
    end = "/" if pattern.endswith("/") else "/?"
    return f"(?s:{prefix}{_glob(body, pattern)}{end})"


def _glob(body: str, pattern: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(body):
        if body.startswith("**/", at) and (at == 0 or body[at - 1] == "/"):
            out.append("(?:.*/)?")
            at += 3
        elif body.startswith("**", at):
            out.append(".*" if at + 2 < len(body) else ".+")  # what is in a directory, not itself
            at += 2
        elif body[at] == "*":
            out.append("[^/]*")
            at += 1
        elif body[at] == "?":
            out.append("[^/]")
            at += 1
        elif body[at] == "[" and (end := body.find("]", at + 2)) > 0:
            out.append(_character_class(body[at + 1 : end], pattern))
            at = end + 1
        elif body[at] == "\\" and at + 1 < len(body):
            out.append(re.escape(body[at + 1]))
            at += 2
        else:
            out.append(re.escape(body[at]))
            at += 1
    return "".join(out)


def _character_class(inside: str, pattern: str) -> str:
    negated = inside[0] in "!^"
    members = inside[1:] if negated else inside
    # In an expression a backslash, a bracket or a doubled operator would mean something else.
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members)
    expression = f"(?!/)[{'^' if negated else ''}{escaped}]"
    try:
        re.compile(expression)
    except re.error as error:
        msg = f"{pattern!r} is not a pattern to exclude: {error}."
        raise InvalidArgumentError(msg, what="exclude", value=pattern) from None
    return expression
