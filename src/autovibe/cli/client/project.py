"""`autovibe project`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from autovibe.cli.client.command import json_option, limit_option, sort_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.client.project_egress import egress
from autovibe.cli.client.project_models import models
from autovibe.cli.client.project_policy import policy
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, pairs, short, table
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import projects_pb2

_STATUSES = ("active", "inactive", "archived")


@click.group(epilog="Example: autovibe project list")
def project() -> None:
    """Create, list and show projects, and say what they may call and reach."""


project.add_command(models)
project.add_command(egress)
project.add_command(policy)


@project.command(epilog="Example: autovibe project create website --description 'Our site'")
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@click.option("--greediness", default="", help="Weight in the queue, 0 to 1 (0.5 when not given).")
@json_option
def create(name: str, description: str, greediness: str, *, as_json: bool) -> None:
    """Create a project."""
    if not name.strip():
        raise InvalidArgumentError("The name is empty; give the project a name.")

    async def body(connection: Connection) -> projects_pb2.Project:
        return await connection.services.projects.create_project(
            projects_pb2.CreateProjectRequest(
                name=name, description=description, greediness=greediness
            )
        )

    made = with_connection(body)
    if as_json:
        print_json(to_document(made))
    else:
        print_notes([f"Created project {made.name} ({short(made.id)})."])


@project.command("list", epilog="Example: autovibe project list --sort -updated_at")
@click.option("--status", type=click.Choice(_STATUSES), help="Only in this status.")
@sort_option("name", "created_at", "updated_at", default="name")
@limit_option
@json_option
def list_(status: str | None, order_by: str, limit: int, *, as_json: bool) -> None:
    """List projects, by name unless --sort says otherwise."""

    async def body(connection: Connection) -> tuple[list[projects_pb2.Project], str]:
        async def fetch(size: int, token: str) -> tuple[Sequence[projects_pb2.Project], str]:
            answer = await connection.services.projects.list_projects(
                projects_pb2.ListProjectsRequest(
                    page_size=size, page_token=token, order_by=order_by, status=status
                )
            )
            return answer.projects, answer.next_page_token

        return await collect(fetch, limit)

    projects, token = with_connection(body)
    if as_json:
        items = [to_document(item) for item in projects]
        print_json({"projects": items, "next_page_token": token})
        return
    rows = [
        (item.name, item.status, short(item.current_checkpoint_id), moment(item.created_at))
        for item in projects
    ]
    if not rows:
        print_notes(
            ["No projects yet; `autovibe run` makes one for the directory that it is given."]
        )
        return
    print_lines(table(("PROJECT", "STATUS", "CURRENT", "CREATED (UTC)"), rows))
    print_notes(more(token))


@project.command(epilog="Example: autovibe project show website")
@click.argument("name", metavar="PROJECT")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show one project, by name or id."""

    async def body(connection: Connection) -> projects_pb2.Project:
        return await connection.services.projects.get_project(
            projects_pb2.GetProjectRequest(project=name)
        )

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
        return
    fields = found.metadata.fields
    directory = fields["repo_path"].string_value if "repo_path" in fields else ""
    print_lines(
        pairs(
            [
                ("name", found.name),
                ("id", found.id),
                ("description", found.description),
                ("status", found.status),
                ("greediness", found.greediness),
                ("directory", directory),
                ("first checkpoint", found.initial_checkpoint_id),
                ("current checkpoint", found.current_checkpoint_id),
                ("created", f"{moment(found.created_at)} UTC"),
            ]
        )
    )


@project.group(epilog="Example: autovibe project member list website")
def member() -> None:
    """Say who takes part in a project."""


@member.command("add", epilog="Example: autovibe project member add website ada --role viewer")
@click.argument("name", metavar="PROJECT")
@click.argument("user")
@click.option(
    "--role",
    type=click.Choice(["admin", "developer", "viewer"]),
    default="developer",
    show_default=True,
    help="What they may do in it.",
)
@json_option
def add_member(name: str, user: str, role: str, *, as_json: bool) -> None:
    """Let a user take part, or change as what."""

    async def body(connection: Connection) -> projects_pb2.ProjectMember:
        return await connection.services.projects.add_project_member(
            projects_pb2.AddProjectMemberRequest(project=name, user_id=user, role=role)
        )

    made = with_connection(body)
    if as_json:
        print_json(to_document(made))
    else:
        print_notes([f"{made.username} takes part in {name} as {made.role}."])


@member.command("remove", epilog="Example: autovibe project member remove website ada")
@click.argument("name", metavar="PROJECT")
@click.argument("user")
@json_option
def remove_member(name: str, user: str, *, as_json: bool) -> None:
    """Take a user out of a project."""

    async def body(connection: Connection) -> None:
        await connection.services.projects.remove_project_member(
            projects_pb2.RemoveProjectMemberRequest(project=name, user_id=user)
        )

    with_connection(body)
    if as_json:
        print_json({"project": name, "user": user})
    else:
        print_notes([f"{user} takes no part in {name} any more."])


@member.command("list", epilog="Example: autovibe project member list website")
@click.argument("name", metavar="PROJECT")
@limit_option
@json_option
def list_members(name: str, limit: int, *, as_json: bool) -> None:
    """List who takes part in a project."""

    async def body(connection: Connection) -> tuple[list[projects_pb2.ProjectMember], str]:
        async def fetch(size: int, token: str) -> tuple[Sequence[projects_pb2.ProjectMember], str]:
            answer = await connection.services.projects.list_project_members(
                projects_pb2.ListProjectMembersRequest(
                    project=name, page_size=size, page_token=token
                )
            )
            return answer.members, answer.next_page_token

        return await collect(fetch, limit)

    members, token = with_connection(body)
    if as_json:
        print_json({"members": [to_document(one) for one in members], "next_page_token": token})
        return
    print_lines(table(("USER", "ROLE"), [(one.username, one.role) for one in members]))
    print_notes(more(token))
