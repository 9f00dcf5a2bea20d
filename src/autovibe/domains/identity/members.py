"""Who belongs to which project, and as what; the projects domain calls this."""

from __future__ import annotations

import uuid
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity import repository
from autovibe.domains.identity.errors import MemberNotFoundError
from autovibe.domains.identity.messages import member_message
from autovibe.domains.identity.models import ProjectMember, UserRole
from autovibe.domains.identity.users import get_named
from autovibe.kernel.ids import new_id
from autovibe.v1 import projects_pb2

DEFAULT_ROLE: Final = UserRole.DEVELOPER


async def join_project(
    tx: WriteTx, project_id: uuid.UUID, user_id: uuid.UUID, role: str
) -> ProjectMember:
    """Let a user belong to a project; one who does already gets the new role.

    An empty role is that of a developer.
    """
    member = await repository.find_member(tx, project_id, user_id)
    if member is None:
        member = ProjectMember(id=new_id(), project_id=project_id, user_id=user_id)
        tx.session.add(member)
    member.role = UserRole(role or DEFAULT_ROLE)
    await tx.session.flush()  # the row's defaults are part of the answer
    return member


async def add_member(
    tx: WriteTx, project_id: uuid.UUID, named: str, role: str
) -> projects_pb2.ProjectMember:
    """Let a user, given by id or name, belong to a project.

    Raises:
        UserNotFoundError: there is no such user.
    """
    user = await get_named(tx, named)
    member = await join_project(tx, project_id, user.id, role)
    return member_message(member, user.username)


async def remove_member(tx: WriteTx, project_id: uuid.UUID, named: str) -> None:
    """Take a user, given by id or name, out of a project.

    Raises:
        MemberNotFoundError: the user does not belong to it, or does not exist.
    """
    members = await repository.list_members(tx, project_id, None, None)
    for member, username in members:
        if named in {username, str(member.user_id)}:
            await repository.remove_member(tx, member)
            return
    raise MemberNotFoundError(
        f"{named!r} does not belong to this project; see `autovibe project member list`.",
        user_id=named,
    )


async def list_members(
    tx: ReadTx, project_id: uuid.UUID, after_name: str | None, limit: int
) -> list[projects_pb2.ProjectMember]:
    """Return the members of a project by name, those after a name."""
    rows = await repository.list_members(tx, project_id, after_name, limit)
    return [member_message(member, username) for member, username in rows]
