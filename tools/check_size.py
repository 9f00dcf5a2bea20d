"""Fail when a source file has over 800 lines or a function over 70; note files over 500.

Generated code and migrations are exempt.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import Final

from repository import GENERATED, MIGRATIONS, ROOT, files, is_under

FILE_LIMIT: Final = 800
FILE_NOTE: Final = 500
FUNCTION_LIMIT: Final = 70


def main() -> int:
    """Measure every Python and proto file."""
    failures = 0
    for path in files(".py", ".proto"):
        if is_under(path, *GENERATED, *MIGRATIONS):
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > FILE_LIMIT:
            print(f"{path}: {lines} lines; split it, {FILE_LIMIT} is the limit")
            failures += 1
        elif lines > FILE_NOTE:
            print(f"note: {path}: {lines} lines; aim for {FILE_NOTE} at most")
        if path.suffix == ".py":
            for name, line, length in long_functions(text, str(path)):
                print(f"{path}:{line}: {name} has {length} lines; {FUNCTION_LIMIT} is the limit")
                failures += 1
    return 1 if failures else 0


def long_functions(text: str, name: str) -> Iterator[tuple[str, int, int]]:
    """Give name, first line and length of every function over the limit."""
    for node in ast.walk(ast.parse(text, name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LIMIT:
                yield node.name, node.lineno, length


if __name__ == "__main__":
    sys.exit(main())
