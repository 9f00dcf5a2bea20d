"""Every reason that the contract names is a real error: raised somewhere, mapped, documented."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import reference_errors
from composed import composed
from served import ALL_METHODS

import autovibe
from autovibe.kernel.errors import HTTP_STATUS, AutovibeError, Code
from autovibe.skins.grpc.errors import status_code
from autovibe.skins.rest.routes import COMMON_REASONS

SOURCES = Path(autovibe.__file__).parent
PAGE = SOURCES.parent.parent / "docs/reference/errors.md"
DECLARED = sorted({reason for method in ALL_METHODS for reason in method.operation.errors})


@cache
def made() -> dict[str, set[str]]:
    """Return which classes are called in which modules: an error is made where it is raised."""
    found: dict[str, set[str]] = {}
    for path in SOURCES.rglob("*.py"):
        if path.is_relative_to(SOURCES / "v1") or path.is_relative_to(SOURCES / "testing"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found.setdefault(node.func.id, set()).add(path.name)
    return found


@cache
def kinds() -> dict[str, type[AutovibeError]]:
    return reference_errors.found()


def same_reason(reason: str) -> list[type[AutovibeError]]:
    return [kind for kind in reference_errors.subclasses(AutovibeError) if kind.reason == reason]


@pytest.mark.parametrize("reason", DECLARED)
def test_a_declared_reason_is_an_error_class_that_is_raised(reason: str) -> None:
    assert reason in kinds()
    classes = same_reason(reason)
    for kind in classes:
        assert kind.__name__ in made(), f"{kind.__name__} is never raised"
    assert len({kind.code for kind in classes}) == 1, "one reason, two codes"


def test_every_reason_has_one_code_and_a_sentence() -> None:
    for reason, kind in kinds().items():
        assert re.fullmatch("[A-Z][A-Z_]*[A-Z]", reason)
        assert {other.code for other in same_reason(reason)} <= {kind.code}
        assert kind.__doc__


def test_every_code_has_a_status_in_both_skins() -> None:
    for code in Code:
        assert code in HTTP_STATUS
        assert status_code(code).name == code.value


def test_every_reason_is_on_the_page_of_errors() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert set(DECLARED) <= documented
    assert documented == set(kinds()), "run: make docs"


async def test_what_an_implementation_says_it_raises_is_declared(tmp_path: Path) -> None:
    by_name = {kind.__name__: reason for reason, kind in kinds().items()}
    missing: list[str] = []
    async with composed(tmp_path) as world:
        for operation in world.plane.operations.registry:
            known = {*operation.method.operation.errors, *COMMON_REASONS}
            for step in _steps(operation.implementation):
                said = re.findall(r"^ *(\w+Error): ", inspect.getdoc(step) or "", re.MULTILINE)
                missing += [
                    f"{operation.method.name}: {by_name[name]}"
                    for name in said
                    if by_name[name] not in known
                ]
    assert not missing, "\n".join(sorted(set(missing)))


def _steps(implementation: Any) -> list[Any]:
    if inspect.ismethod(implementation):
        return [implementation]
    return [getattr(implementation, name, None) for name in ("prepare", "act", "record")]
