"""What a project states of the models that it may call."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_desk import LedgerDesk, open_desk
from plane import Plane

from autovibe.db import Database
from autovibe.domains.projects.errors import ProjectNotFoundError, UnknownUpstreamError
from autovibe.domains.projects.model_policy import checked_policy
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import projects_pb2

UPSTREAMS = {"anthropic": "anthropic", "openai": "openai", "our-vllm": "openai"}


@pytest.fixture
async def desk(db: Database) -> LedgerDesk:
    """Give a project, on either database."""
    return await open_desk(db)


def policy(**fields: Any) -> projects_pb2.ModelPolicy:
    aliases = [
        projects_pb2.ModelAlias(name=name, model=model)
        for name, model in fields.pop("aliases", {}).items()
    ]
    routes = [
        projects_pb2.ModelRoute(api=api, upstream=upstream)
        for api, upstream in fields.pop("routes", ())
    ]
    return projects_pb2.ModelPolicy(aliases=aliases, routes=routes, **fields)


async def test_a_policy_is_stated_as_a_whole_and_read_again(desk: LedgerDesk) -> None:
    projects = desk.services.projects
    stated = policy(
        allowed=["claude-*"],
        aliases={"fast": "claude-haiku-5-5"},
        routes=[("openai", "openai")],
        provider_features=["web_search"],
        keep_bodies=True,
    )
    get = projects_pb2.GetModelPolicyRequest(project="website")
    assert await projects.get_model_policy(get) == projects_pb2.ModelPolicy()

    await projects.set_model_policy(
        projects_pb2.SetModelPolicyRequest(project="website", policy=stated)
    )
    assert await projects.get_model_policy(get) == stated

    await projects.set_model_policy(
        projects_pb2.SetModelPolicyRequest(project=desk.project_id, policy=policy(allowed=["x"]))
    )
    assert await projects.get_model_policy(get) == policy(allowed=["x"])


async def test_an_unknown_project_has_no_policy(one_plane: Plane) -> None:
    with pytest.raises(ProjectNotFoundError):
        await one_plane.services.projects.get_model_policy(
            projects_pb2.GetModelPolicyRequest(project="ghost")
        )


@pytest.mark.parametrize(
    ("stated", "error", "says"),
    [
        (policy(allowed=["a b"]), InvalidArgumentError, "no name or pattern"),
        (policy(allowed=["a", "a"]), InvalidArgumentError, "stands twice"),
        (policy(provider_features=["shell"]), InvalidArgumentError, "no feature 'shell'"),
        (policy(aliases={"a": "b", "b": "c"}), InvalidArgumentError, "an alias itself"),
        (policy(routes=[("openai", "nowhere")]), UnknownUpstreamError, r"\[upstream.nowhere\]"),
        (policy(routes=[("anthropic", "our-vllm")]), InvalidArgumentError, "speaks openai"),
        (
            policy(routes=[("openai", "openai"), ("openai", "our-vllm")]),
            InvalidArgumentError,
            "stands twice",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    stated: projects_pb2.ModelPolicy, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        checked_policy(stated, UPSTREAMS)


def test_a_route_is_not_checked_where_the_settings_are_not_known() -> None:
    kept = checked_policy(policy(routes=[("openai", "nowhere")]), None)

    assert kept == {"routes": [{"api": "openai", "upstream": "nowhere"}]}
