"""`autovibe user`, `token`, `login`, `logout` and `whoami`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import click

from autovibe.cli import lazy
from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import (
    Connection,
    keep_credentials,
    read_credentials,
    server_of,
)
from autovibe.cli.client.paging import collect, more
from autovibe.cli.client.question import can_ask, confirm
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, pairs, short, table
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.settings import ensure_home, load_settings
from autovibe.v1 import identity_pb2

_ROLE = click.Choice(["admin", "developer", "viewer"])
_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
)


@click.group(epilog="Example: autovibe user list")
def user() -> None:
    """Create, list and change users."""


@user.command(epilog="Example: autovibe user add ada --email ada@example.org --role developer")
@click.argument("name")
@click.option("--email", required=True, help="E-mail address.")
@click.option("--role", type=_ROLE, default="developer", show_default=True, help="What they may.")
@click.option("--full-name", default="", help="The name that others read.")
@click.option("--service-account", is_flag=True, help="No person: it has tokens, no password.")
@_STDIN
@json_option
def add(
    *,
    name: str,
    email: str,
    role: str,
    full_name: str,
    service_account: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Create a user."""
    password = "" if service_account else _password(from_stdin=password_stdin, confirm=True)
    request = identity_pb2.CreateUserRequest(
        username=name,
        email=email,
        role=role,
        full_name=full_name,
        password=password,
        is_service_account=service_account,
    )

    async def body(connection: Connection) -> identity_pb2.User:
        return await connection.services.identity.create_user(request)

    made = with_connection(body)
    if as_json:
        print_json(to_document(made))
    else:
        print_notes([f"Created the {made.role} {made.username} ({short(made.id)})."])


@user.command("list", epilog="Example: autovibe user list --role admin")
@click.option("--role", type=_ROLE, default=None, help="Only with this role.")
@limit_option
@json_option
def list_users(role: str | None, limit: int, *, as_json: bool) -> None:
    """List users by name."""

    async def body(connection: Connection) -> tuple[list[identity_pb2.User], str]:
        async def fetch(size: int, token: str) -> tuple[list[identity_pb2.User], str]:
            answer = await connection.services.identity.list_users(
                identity_pb2.ListUsersRequest(page_size=size, page_token=token, role=role or "")
            )
            return list(answer.users), answer.next_page_token

        return await collect(fetch, limit)

    users, token = with_connection(body)
    if as_json:
        print_json({"users": [to_document(one) for one in users], "next_page_token": token})
        return
    rows = [
        (one.username, one.role, "active" if one.is_active else "disabled", one.email)
        for one in users
    ]
    print_lines(table(("USER", "ROLE", "STATUS", "E-MAIL"), rows))
    print_notes(more(token))


@user.command("role", epilog="Example: autovibe user role ada admin")
@click.argument("name")
@click.argument("role", type=_ROLE)
@json_option
def set_role(name: str, role: str, *, as_json: bool) -> None:
    """Change what a user may do."""
    _update(identity_pb2.UpdateUserRequest(user_id=name, role=role), as_json=as_json)


@user.command(epilog="Example: autovibe user disable ada")
@click.argument("name")
@json_option
def disable(name: str, *, as_json: bool) -> None:
    """End a user's sessions, and let them do nothing until they are enabled."""
    _update(identity_pb2.UpdateUserRequest(user_id=name, status="disabled"), as_json=as_json)


@user.command(epilog="Example: autovibe user enable ada")
@click.argument("name")
@json_option
def enable(name: str, *, as_json: bool) -> None:
    """Let a disabled user in again."""
    _update(identity_pb2.UpdateUserRequest(user_id=name, status="active"), as_json=as_json)


@user.command(epilog="Example: autovibe user delete ada")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask: no command brings a user back.")
@json_option
def delete(name: str, *, yes: bool, as_json: bool) -> None:
    """Delete a user: tokens and memberships end, what they made stays and keeps their name."""

    async def body(connection: Connection) -> bool:
        identity = connection.services.identity
        found = await identity.get_user(identity_pb2.GetUserRequest(user_id=name))
        question = f"Delete the {found.role} {found.username} ({found.email})?"
        if not yes and not can_ask():
            raise InvalidArgumentError(f"{question} Say so with --yes.")
        if not yes and not await confirm(question):
            return False
        await identity.delete_user(identity_pb2.DeleteUserRequest(user_id=found.id))
        return True

    if with_connection(body):
        _say({"user": name}, f"{name} is deleted; nobody can take that name.", as_json=as_json)
    else:
        print_notes(["Nobody was deleted."])


@user.command("password", epilog="Example: autovibe user password ada")
@click.argument("name")
@_STDIN
@json_option
def set_password(name: str, *, password_stdin: bool, as_json: bool) -> None:
    """Set a user's password; their sessions end."""
    request = identity_pb2.SetPasswordRequest(
        user_id=name, new_password=_password(from_stdin=password_stdin, confirm=True)
    )

    async def body(connection: Connection) -> None:
        await connection.services.identity.set_password(request)

    with_connection(body)
    _say({"user": name}, f"{name} has a new password; their sessions have ended.", as_json=as_json)


@user.command(epilog="Example: autovibe user verify avt_…")
@click.argument("token", required=False, default="")
@json_option
def verify(token: str, *, as_json: bool) -> None:
    """Prove one's e-mail address with the token from the server's log; without one, ask for it."""

    async def body(connection: Connection) -> None:
        identity = connection.services.identity
        if token:
            await identity.verify_email(identity_pb2.VerifyEmailRequest(token=token))
        else:
            await identity.request_email_verification(
                identity_pb2.RequestEmailVerificationRequest()
            )

    with_connection(body)
    told = "The address is verified." if token else "The token is in the server's log."
    _say({"verified": bool(token)}, told, as_json=as_json)


@click.group(epilog="Example: autovibe token list")
def token() -> None:
    """Make, list and revoke tokens."""


@token.command(epilog="Example: autovibe token create ci --scope tasks.read --expires-days 30")
@click.argument("name")
@click.option("--user", "user_id", default="", help="For this user; for oneself when not given.")
@click.option("--scope", "scopes", multiple=True, help="A permission; all of the user's if none.")
@click.option("--expires-days", type=click.IntRange(1, 3650), default=None, help="It ends then.")
@click.option("--worker", "for_worker", is_flag=True, help="For a worker on another host.")
@json_option
def create(
    *,
    name: str,
    user_id: str,
    scopes: tuple[str, ...],
    expires_days: int | None,
    for_worker: bool,
    as_json: bool,
) -> None:
    """Make a token; it is shown this once."""
    request = identity_pb2.CreateTokenRequest(
        name=name, user_id=user_id, scopes=scopes, for_worker=for_worker
    )
    if expires_days is not None:
        request.expires_at.FromDatetime(datetime.now(UTC) + timedelta(days=expires_days))

    async def body(connection: Connection) -> identity_pb2.CreateTokenResponse:
        return await connection.services.identity.create_token(request)

    made = with_connection(body)
    if as_json:
        print_json(to_document(made))
        return
    print_lines([made.secret])
    print_notes([f"Token {made.token.name} ({made.token.id}); it cannot be shown again."])


@token.command("list", epilog="Example: autovibe token list --all")
@click.option("--user", "user_id", default="", help="Only of this user.")
@click.option("--all", "show_all", is_flag=True, help="Those too that are revoked or expired.")
@limit_option
@json_option
def list_tokens(user_id: str, limit: int, *, show_all: bool, as_json: bool) -> None:
    """List tokens, the newest first."""

    async def body(connection: Connection) -> tuple[list[identity_pb2.ApiToken], str]:
        async def fetch(size: int, place: str) -> tuple[list[identity_pb2.ApiToken], str]:
            answer = await connection.services.identity.list_tokens(
                identity_pb2.ListTokensRequest(
                    page_size=size, page_token=place, user_id=user_id, all=show_all
                )
            )
            return list(answer.tokens), answer.next_page_token

        return await collect(fetch, limit)

    tokens, place = with_connection(body)
    if as_json:
        print_json({"tokens": [to_document(one) for one in tokens], "next_page_token": place})
        return
    rows = [(one.id, one.name, one.kind, moment(one.last_used_at)) for one in tokens]
    print_lines(table(("ID", "NAME", "KIND", "LAST USED (UTC)"), rows))
    print_notes(more(place))


@token.command(epilog="Example: autovibe token revoke 0b7c…")
@click.argument("token_id")
@json_option
def revoke(token_id: str, *, as_json: bool) -> None:
    """Revoke a token; it ends at once."""

    async def body(connection: Connection) -> None:
        await connection.services.identity.revoke_token(
            identity_pb2.RevokeTokenRequest(token_id=token_id)
        )

    with_connection(body)
    _say({"token_id": token_id}, f"Revoked {token_id}.", as_json=as_json)


@click.command(epilog="Example: autovibe login ada")
@click.argument("name")
@_STDIN
@json_option
def login(name: str, *, password_stdin: bool, as_json: bool) -> None:
    """Open a session with the server and keep its token in this home."""
    settings = load_settings()
    found = server_of(settings)
    if found is None:
        raise InvalidArgumentError("No server is named; set AUTOVIBE_SERVER to its address.")
    url, certificate = found
    request = identity_pb2.LoginRequest(
        username=name, password=_password(from_stdin=password_stdin, confirm=False)
    )

    async def body(_interrupts: Interrupts) -> identity_pb2.LoginResponse:
        async with lazy.connect_http(url, "", certificate) as services:
            return await services.identity.login(request)

    opened = run_with_interrupts(body)
    ensure_home(settings)
    keep_credentials(settings, {**read_credentials(settings), url: opened.token})
    if as_json:
        print_json({"user": to_document(opened.user), "file": str(settings.credentials_file)})
    else:
        until = moment(opened.expires_at)
        print_notes([f"Logged in at {url} as {opened.user.username}, until {until} UTC."])


@click.command(epilog="Example: autovibe logout")
@json_option
def logout(*, as_json: bool) -> None:
    """End the session with the server, and forget its token."""
    settings = load_settings()
    found = server_of(settings)
    kept = read_credentials(settings)
    if found is None or found[0] not in kept:
        raise InvalidArgumentError("There is no session to end; see `autovibe login`.")
    url, certificate = found
    session = kept.pop(url)

    async def body(_interrupts: Interrupts) -> None:
        async with lazy.connect_http(url, session, certificate) as services:
            await services.identity.logout(identity_pb2.LogoutRequest())

    try:
        run_with_interrupts(body)
    finally:
        keep_credentials(settings, kept)
    _say({"server": url}, f"Logged out at {url}.", as_json=as_json)


@click.command(epilog="Example: autovibe whoami")
@json_option
def whoami(*, as_json: bool) -> None:
    """Show who calls, and what they may do."""

    async def body(connection: Connection) -> identity_pb2.WhoAmIResponse:
        return await connection.services.identity.who_am_i(identity_pb2.WhoAmIRequest())

    who = with_connection(body)
    if as_json:
        print_json(to_document(who))
        return
    name = who.user.username if who.HasField("user") else "the owner of this home"
    shown = [("user", name), ("role", who.user.role), ("token", who.token_name)]
    print_lines(pairs([*shown, ("permissions", ", ".join(who.permissions))]))


def _say(document: dict[str, object], sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_notes([sentence])


def _update(request: identity_pb2.UpdateUserRequest, *, as_json: bool) -> None:
    async def body(connection: Connection) -> identity_pb2.User:
        return await connection.services.identity.update_user(request)

    changed = with_connection(body)
    if as_json:
        print_json(to_document(changed))
    else:
        status = "active" if changed.is_active else "disabled"
        print_notes([f"{changed.username} is {status}, with the role {changed.role}."])


def _password(*, from_stdin: bool, confirm: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise InvalidArgumentError("There is no terminal to ask on; give --password-stdin.")
    return click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
