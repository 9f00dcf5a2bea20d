from __future__ import annotations

import pytest

from autovibe.domains.work.models import CapabilityLevel
from autovibe.domains.work.routing import (
    MOST_CAPABILITIES,
    PARKED,
    Abilities,
    parse_capability,
    route_of,
)
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import work_pb2

EXPERT = {"python": CapabilityLevel.EXPERT, "c++": CapabilityLevel.BEGINNER}


def _route(**context: object) -> str:
    return route_of(work_pb2.TaskContext(**context))


def test_orders_with_the_same_needs_share_a_route_in_whatever_order_they_name_them():
    assert _route() == "*|*|*|"
    both = _route(agent="shell", capabilities=["python:expert", "docker"])
    assert both == _route(agent="shell", capabilities=["docker:beginner", "python:expert"])
    assert both == "*|shell|*|docker:1,python:4"
    assert _route(worker_type="docs", isolation="sandbox") == "docs|*|sandbox|"


@pytest.mark.parametrize(
    ("context", "able"),
    [
        ({}, True),
        ({"capabilities": ["python:expert"]}, True),
        ({"capabilities": ["python", "c++"]}, True),
        ({"capabilities": ["c++:intermediate"]}, False),
        ({"capabilities": ["rust"]}, False),
        ({"worker_type": "docs"}, True),
        ({"worker_type": "review"}, False),
        ({"agent": "shell"}, True),
        ({"agent": "claude_code"}, False),
        ({"isolation": "sandbox"}, True),
    ],
)
def test_a_worker_takes_what_its_type_its_agents_and_its_levels_allow(
    context: dict[str, object],
    able: bool,  # noqa: FBT001 - a parameter of the test
):
    worker = Abilities("docs", frozenset({"shell"}), frozenset(), EXPERT)
    assert worker.can_take(_route(**context)) is able
    assert not worker.can_take(PARKED)


@pytest.mark.parametrize(
    "text", ["", "python:guru", "a b", "a|b", "a,b", ":expert", "python:", "ü", "x" * 102]
)
def test_what_is_no_capability_is_refused(text: str):
    with pytest.raises(InvalidArgumentError):
        parse_capability(text, CapabilityLevel.BEGINNER)


def test_too_many_needs_and_one_named_twice_are_refused():
    many = [f"{'x' * 95}{n:02}:intermediate" for n in range(MOST_CAPABILITIES)]
    assert len(_route(worker_type="refactor", capabilities=many)) <= 2_000
    for needs in ([*many, "one-more"], ["python", "python:expert"]):
        with pytest.raises(InvalidArgumentError):
            _route(capabilities=needs)
