"""`autovibe project models`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, cast

import click
from google.protobuf import json_format

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.render import pairs
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import projects_pb2

_FIELDS: Final = frozenset({"allowed", "aliases", "routes", "provider_features", "keep_bodies"})


@click.group(epilog="Example: autovibe project models show website")
def models() -> None:
    """Say which models a project may call, under which names and where."""


@models.command(epilog="Example: autovibe project models show website")
@click.argument("project_name", metavar="PROJECT")
@json_option
def show(project_name: str, *, as_json: bool) -> None:
    """Show which models a project may call."""

    async def body(connection: Connection) -> projects_pb2.ModelPolicy:
        return await _stated(connection, project_name)

    _tell(with_connection(body), as_json=as_json)


@models.command(
    "set", epilog="Example: autovibe project models set website --allow 'claude-*' --alias fast=X"
)
@click.argument("project_name", metavar="PROJECT")
@click.option("--allow", multiple=True, help="A model, or a pattern with *; repeat for more.")
@click.option("--allow-all", is_flag=True, help="Allow every model.")
@click.option("--alias", "aliases", multiple=True, metavar="NAME=MODEL", help="A name for a model.")
@click.option(
    "--route",
    "routes",
    multiple=True,
    metavar="API=UPSTREAM",
    help="Send an API's calls to [upstream.UPSTREAM] of config.toml.",
)
@click.option("--feature", "features", multiple=True, help="Let the provider do this as well.")
@click.option("--keep-bodies/--no-keep-bodies", default=None, help="Keep questions and answers.")
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take everything from a TOML file, in place of what was stated.",
)
@json_option
def set_(  # one parameter per option
    project_name: str,
    *,
    allow: tuple[str, ...],
    allow_all: bool,
    aliases: tuple[str, ...],
    routes: tuple[str, ...],
    features: tuple[str, ...],
    keep_bodies: bool | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """State which models a project may call; machines that start from now on follow it.

    What an option names takes the place of the whole list before; an empty one, as in --alias "",
    empties it. Lists without an option stay.
    """
    if allow and allow_all:
        raise InvalidArgumentError("Give --allow or --allow-all, not both.")
    named = [_pair(text, "--alias", "NAME=MODEL") for text in aliases if text]
    led = [_pair(text, "--route", "API=UPSTREAM") for text in routes if text]

    async def body(connection: Connection) -> projects_pb2.ModelPolicy:
        policy = read_policy(file) if file else await _stated(connection, project_name)
        if allow or allow_all:
            policy.allowed[:] = [] if allow_all else [one for one in allow if one]
        if aliases:
            del policy.aliases[:]
            policy.aliases.extend(projects_pb2.ModelAlias(name=a, model=b) for a, b in named)
        if routes:
            del policy.routes[:]
            policy.routes.extend(projects_pb2.ModelRoute(api=a, upstream=b) for a, b in led)
        if features:
            policy.provider_features[:] = [one for one in features if one]
        if keep_bodies is not None:
            policy.keep_bodies = keep_bodies
        return await connection.services.projects.set_model_policy(
            projects_pb2.SetModelPolicyRequest(project=project_name, policy=policy)
        )

    _tell(with_connection(body), as_json=as_json)


def read_policy(path: Path) -> projects_pb2.ModelPolicy:
    """Return the policy in a TOML file; its tables `aliases` and `routes` are names to names.

    Raises:
        InvalidArgumentError: it cannot be read, or has something unknown or malformed.
    """
    try:
        stated: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}.") from error
    unknown = set(stated) - _FIELDS
    if unknown:
        raise InvalidArgumentError(
            f"{path} has an unknown name {min(unknown)!r}; use {', '.join(sorted(_FIELDS))}."
        )
    fields = dict(stated)
    for name, (key, value) in (("aliases", ("name", "model")), ("routes", ("api", "upstream"))):
        table: object = stated.get(name, {})
        if not isinstance(table, dict):
            raise InvalidArgumentError(f"{path}: [{name}] must be a table of names.")
        entries = cast("dict[str, object]", table).items()
        fields[name] = [{key: one, value: other} for one, other in entries]
    try:
        return json_format.ParseDict(fields, projects_pb2.ModelPolicy())
    except json_format.ParseError as error:
        raise InvalidArgumentError(f"{path}: {error}.") from error


async def _stated(connection: Connection, project: str) -> projects_pb2.ModelPolicy:
    return await connection.services.projects.get_model_policy(
        projects_pb2.GetModelPolicyRequest(project=project)
    )


def _pair(text: str, option: str, shape: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise InvalidArgumentError(f"{option} {text!r} must be {shape}.")
    return left, right


def _tell(policy: projects_pb2.ModelPolicy, *, as_json: bool) -> None:
    if as_json:
        print_json(to_document(policy))
        return
    print_lines(
        pairs(
            [
                ("models", ", ".join(policy.allowed) or "all"),
                ("aliases", ", ".join(f"{one.name} = {one.model}" for one in policy.aliases)),
                ("routes", ", ".join(f"{one.api} to {one.upstream}" for one in policy.routes)),
                ("provider features", ", ".join(policy.provider_features) or "none"),
                ("questions and answers", "kept" if policy.keep_bodies else "not kept"),
            ]
        )
    )
