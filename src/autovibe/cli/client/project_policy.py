"""`autovibe project policy`: what tools may do without asking in supervised tasks."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Final, cast

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import plural
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import approvals_pb2

_STDIN: Final = "-"
_KEYS: Final = ("effect", "tool", "command", "path")
_EFFECTS: Final = ("allow", "ask", "deny")


@click.group(epilog="Example: autovibe project policy set website policy.toml")
def policy() -> None:
    """Show or state what tools may do without asking in supervised tasks."""


@policy.command(epilog="Example: autovibe project policy show website > policy.toml")
@click.argument("name", metavar="PROJECT")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Print the rules of PROJECT as `policy set` reads them."""

    async def body(connection: Connection) -> approvals_pb2.PermissionPolicy:
        request = approvals_pb2.GetPermissionPolicyRequest(project=name)
        return await connection.services.approvals.get_permission_policy(request)

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
        return
    if found.inherited:
        print_lines(["# The rules that come with autovibe; the project has none of its own."])
    print_lines(policy_lines(found))


@policy.command("set", epilog="Example: autovibe project policy set website policy.toml")
@click.argument("name", metavar="PROJECT")
@click.argument("file", metavar="FILE", required=False)
@click.option("--inherit", is_flag=True, help="Follow the rules that come with autovibe again.")
@json_option
def set_(name: str, file: str | None, *, inherit: bool, as_json: bool) -> None:
    """State the rules of PROJECT, read from a TOML file (- is standard input).

    They are kept with the project and not in its repository, which agents write to. What runs
    follows them from its next question on.
    """
    if inherit == (file is not None):
        raise InvalidArgumentError("Give a FILE with rules, or --inherit.", field="file")
    stated = approvals_pb2.PermissionPolicy(inherited=True)
    if file is not None:
        stated = read_policy(_text_of(file), file)

    async def body(connection: Connection) -> approvals_pb2.PermissionPolicy:
        request = approvals_pb2.SetPermissionPolicyRequest(project=name, policy=stated)
        return await connection.services.approvals.set_permission_policy(request)

    done = with_connection(body)
    if as_json:
        print_json(to_document(done))
    elif done.inherited:
        print_notes([f"{name} follows the rules that come with autovibe."])
    else:
        rules = plural(len(done.rules), "rule")
        print_notes([f"{name} has {rules}; what none is about: {done.default_effect}."])


def read_policy(text: str, file: str) -> approvals_pb2.PermissionPolicy:
    """Return the rules in a TOML text.

    Raises:
        InvalidArgumentError: it is no TOML, or something in it has no meaning.
    """
    try:
        document = cast("dict[str, object]", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgumentError(f"{file} is no TOML: {error}.", field="file") from None
    unknown = set(document) - {"default", "rule"}
    if unknown:
        raise InvalidArgumentError(
            f"{file}: {min(unknown)!r} means nothing here; write default and [[rule]].",
            field="file",
        )
    default = document.get("default", "ask")
    if default not in _EFFECTS:
        raise InvalidArgumentError(f"{file}: default must be ask, allow or deny.", field="file")
    found = approvals_pb2.PermissionPolicy(default_effect=str(default))
    rules = document.get("rule", [])
    entries = cast("list[object]", rules) if isinstance(rules, list) else [None]
    for number, entry in enumerate(entries, 1):
        _add_rules(found, entry, f"{file}: rule {number}")
    return found


def policy_lines(found: approvals_pb2.PermissionPolicy) -> list[str]:
    """Return rules as TOML."""
    lines = [f'default = "{found.default_effect or "ask"}"']
    for rule in found.rules:
        lines += ["", "[[rule]]"]
        for key in _KEYS:
            value = getattr(rule, key)
            if value:
                lines.append(f"{key} = {json.dumps(value)}")
    return lines


def _add_rules(found: approvals_pb2.PermissionPolicy, entry: object, where: str) -> None:
    """Add the rules of a table; where it lists several texts, one for each combination."""
    if not isinstance(entry, dict):
        raise InvalidArgumentError(f"{where} must be a table [[rule]].", field="file")
    table = cast("dict[str, object]", entry)
    unknown = set(table) - set(_KEYS)
    if unknown:
        raise InvalidArgumentError(
            f"{where}: {min(unknown)!r} means nothing; write {', '.join(_KEYS)}.", field="file"
        )
    if table.get("effect") not in _EFFECTS or not table.get("tool"):
        raise InvalidArgumentError(
            f"{where} needs effect (allow, ask or deny) and tool.", field="file"
        )
    for values in product(*(_texts(table, key, where) for key in _KEYS)):
        found.rules.add(**dict(zip(_KEYS, values, strict=True)))


def _texts(table: Mapping[str, object], key: str, where: str) -> list[str]:
    value = table.get(key, "")
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    texts = [item for item in items if isinstance(item, str)]
    if not texts or len(texts) != len(items):
        raise InvalidArgumentError(f"{where}: {key} must be text, or a list of it.", field="file")
    return texts


def _text_of(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == _STDIN else Path(file).expanduser().read_bytes()
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error}.", field="file") from None
