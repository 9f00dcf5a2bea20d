"""Which models a project may call: kept in its metadata, as one message."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from google.protobuf import json_format

from autovibe.domains.projects.errors import UnknownUpstreamError
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import projects_pb2

KEY: Final = "model_policy"
_PATTERN: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*._:@/-]{0,199}")
_FEATURES: Final = (
    "cached_content",
    "conversation",
    "file_sources",
    "inference_geo",
    "previous_response_id",
    "service_tier",
    "speed",
    "url_sources",
    "web_fetch",
    "web_search",
)


def stated_policy(metadata: Mapping[str, Any]) -> projects_pb2.ModelPolicy:
    """Return what a project has stated; nothing stated allows every model."""
    return json_format.ParseDict(metadata.get(KEY) or {}, projects_pb2.ModelPolicy())


def checked_policy(
    policy: projects_pb2.ModelPolicy, upstreams: Mapping[str, str] | None
) -> dict[str, object]:
    """Return a policy as it is kept.

    Args:
        policy: what is stated.
        upstreams: the API of each upstream that the settings have; `None` checks none.

    Raises:
        InvalidArgumentError: a name makes no sense or stands twice.
        UnknownUpstreamError: a route leads to what the settings do not have.
    """
    for pattern in policy.allowed:
        if not _PATTERN.fullmatch(pattern):
            raise InvalidArgumentError(
                f"{pattern!r} is no name or pattern of models; write it as in claude-*.",
                field="allowed",
            )
    for feature in policy.provider_features:
        if feature not in _FEATURES:
            raise InvalidArgumentError(
                f"There is no feature {feature!r} to allow; use one of {', '.join(_FEATURES)}.",
                field="provider_features",
            )
    _once("allowed", policy.allowed)
    _once("provider_features", policy.provider_features)
    _once("aliases", [alias.name for alias in policy.aliases])
    _once("routes", [route.api for route in policy.routes])
    names = {alias.name for alias in policy.aliases}
    for alias in policy.aliases:
        if alias.model in names:
            raise InvalidArgumentError(
                f"{alias.name} stands for {alias.model}, which is an alias itself; name a model.",
                field="aliases",
            )
    if upstreams is not None:
        for route in policy.routes:
            _check_route(route, upstreams)
    return json_format.MessageToDict(policy, preserving_proto_field_name=True)


def _check_route(route: projects_pb2.ModelRoute, upstreams: Mapping[str, str]) -> None:
    api = upstreams.get(route.upstream)
    if api is None:
        raise UnknownUpstreamError(
            f"There is no upstream {route.upstream!r}; add [upstream.{route.upstream}] with api "
            "and url to config.toml where autovibe runs, and start it again.",
            upstream=route.upstream,
        )
    if api != route.api:
        raise InvalidArgumentError(
            f"The upstream {route.upstream} speaks {api}, not {route.api}; name another.",
            field="routes",
        )


def _once(field: str, names: Collection[str]) -> None:
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise InvalidArgumentError(f"{twice!r} stands twice; leave one out.", field=field)
