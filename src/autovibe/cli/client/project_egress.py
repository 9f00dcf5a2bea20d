"""`autovibe project egress`: which hosts the machines of a project may reach."""

from __future__ import annotations

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.kernel.egress import parse_rules
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import projects_pb2


@click.command(epilog="Example: autovibe project egress website --allow packages.example.net")
@click.argument("name", metavar="PROJECT")
@click.option(
    "--allow",
    multiple=True,
    metavar="HOST",
    help="Let machines reach this host too: NAME, *.NAME or NAME:PORT. May be repeated.",
)
@click.option("--remove", multiple=True, metavar="HOST", help="Take this host off the list.")
@click.option("--none", "no_host", is_flag=True, help="Begin with an empty list.")
@click.option("--inherit", is_flag=True, help="Follow [egress] allow of config.toml again.")
@json_option
def egress(
    name: str,
    allow: tuple[str, ...],
    remove: tuple[str, ...],
    *,
    no_host: bool,
    inherit: bool,
    as_json: bool,
) -> None:
    """Show or change which hosts the machines of a project may reach.

    They reach nothing but the models, unless it is allowed here; then by HTTPS, on port 443 unless
    another is written. Machines that start from now on follow a change.
    """
    if inherit and (allow or remove or no_host):
        raise InvalidArgumentError(
            "With --inherit the project has no list of its own; leave out --allow, --remove and "
            "--none.",
            field="inherit",
        )

    async def body(connection: Connection) -> projects_pb2.Egress:
        projects = connection.services.projects
        now = await projects.get_egress(projects_pb2.GetEgressRequest(project=name))
        if not (allow or remove or no_host or inherit):
            return now
        wanted = _changed(now, allow, remove, from_nothing=no_host)
        if inherit:
            wanted = projects_pb2.Egress(inherited=True)
        return await projects.set_egress(projects_pb2.SetEgressRequest(project=name, egress=wanted))

    stated = with_connection(body)
    if as_json:
        print_json(to_document(stated))
        return
    print_lines(list(stated.allow))
    if not stated.allow:
        print_notes([f"Machines of {name} reach no host; allow one with --allow HOST."])
    if stated.inherited:
        print_notes(["This is [egress] allow of config.toml; the project has no list of its own."])


def _changed(
    now: projects_pb2.Egress,
    allow: tuple[str, ...],
    remove: tuple[str, ...],
    *,
    from_nothing: bool,
) -> projects_pb2.Egress:
    """Return a list without what is removed, then with what is added.

    Raises:
        InvalidArgumentError: a host is malformed, or is to be removed and is not there.
    """
    rules = list(parse_rules(() if from_nothing else now.allow))
    for rule in parse_rules(remove, "remove"):
        if rule not in rules:
            raise InvalidArgumentError(
                f"{rule} is not on the list; leave out --remove {rule}.", field="remove"
            )
        rules.remove(rule)
    added = parse_rules(allow)
    return projects_pb2.Egress(allow=list(dict.fromkeys(str(rule) for rule in (*rules, *added))))
