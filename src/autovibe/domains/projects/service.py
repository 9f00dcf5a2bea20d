"""The rules of projects."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.db.cache import Region, cached
from autovibe.domains.etags import check_etag
from autovibe.domains.identity import add_member, join_project, list_members, remove_member
from autovibe.domains.projects import egress, repository
from autovibe.domains.projects.errors import ProjectExistsError, ProjectNotFoundError
from autovibe.domains.projects.messages import project_message
from autovibe.domains.projects.model_policy import KEY, checked_policy, stated_policy
from autovibe.domains.projects.models import Project, ProjectStatus
from autovibe.kernel.context import CallContext
from autovibe.kernel.egress import HostRule
from autovibe.kernel.errors import InvalidArgumentError, PermissionDeniedError
from autovibe.kernel.money import parse_decimal
from autovibe.kernel.paging import (
    decode_sorted_place,
    decode_token,
    encode_sorted_place,
    encode_token,
    page_size,
)
from autovibe.kernel.permissions import ADMIN, HOST
from autovibe.v1 import projects_pb2

DEFAULT_GREEDINESS: Final = Decimal("0.50")
_CONTROL: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
"""Beside control characters what turns the direction of writing, as the contract has it."""
_MAX_STEM: Final = 200
_LISTS: Final = Region("project_list", ttl_s=300, tables=("projects",))


class ProjectService:
    """Implements autovibe.v1.ProjectService."""

    def __init__(
        self, upstreams: Mapping[str, str] | None = None, egress_allow: Sequence[HostRule] = ()
    ) -> None:
        """Take what the settings say.

        Args:
            upstreams: the API of each; `None` leaves routes unchecked.
            egress_allow: hosts for projects that have no list of their own.
        """
        self._upstreams = upstreams
        self._egress_allow = egress_allow

    async def create_project(
        self, tx: WriteTx, ctx: CallContext, request: projects_pb2.CreateProjectRequest
    ) -> projects_pb2.Project:
        """Create a project.

        Raises:
            ProjectExistsError: the name is taken.
            InvalidArgumentError: the name or the greediness is malformed.
        """
        _check_may_use(ctx, request.repo_path)
        # By a project that the caller does not see, too.
        if request.name in await repository.names_like(tx, request.name):
            raise _taken(request.name)
        project = _new_project(_checked_name(request.name), request.repo_path, request.greediness)
        project.description = request.description or None
        await _add(tx, ctx, project)
        return project_message(project)

    async def get_project(
        self, tx: ReadTx, ctx: CallContext, request: projects_pb2.GetProjectRequest
    ) -> projects_pb2.Project:
        """Return one project by id or name.

        Raises:
            ProjectNotFoundError: there is none.
        """
        return project_message(await get_project(tx, request.project))

    @cached(_LISTS)
    async def list_projects(
        self, tx: ReadTx, ctx: CallContext, request: projects_pb2.ListProjectsRequest
    ) -> projects_pb2.ListProjectsResponse:
        """Return one page of projects, by name unless the caller wants another order."""
        size = page_size(request.page_size)
        order_by = request.order_by or "name"
        column = order_by.removeprefix("-")
        parse = str if column == "name" else datetime.fromisoformat
        rows = await repository.list_page(
            tx,
            status=request.status,
            order_by=order_by,
            after=decode_sorted_place(request.page_token, order_by, parse),
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return projects_pb2.ListProjectsResponse(
            projects=[project_message(row) for row in rows[:size]],
            next_page_token=encode_sorted_place(order_by, getattr(last, column), last.id)
            if last
            else "",
        )

    async def ensure_project(
        self, tx: WriteTx, ctx: CallContext, request: projects_pb2.EnsureProjectRequest
    ) -> projects_pb2.EnsureProjectResponse:
        """Return the project of a name or of a directory, created when absent (decision B2).

        Raises:
            ProjectExistsError: somebody else has a project of this name.
            PermissionDeniedError: the caller may not name directories of this host.
            InvalidArgumentError: neither a name nor a directory was given.
        """
        if request.project:
            found = await find_project(tx, request.project)
            name = request.project
        elif request.repo_path:
            found = await repository.find_by_repo_path(tx, request.repo_path)
            name = "" if found else await _free_name(tx, request.repo_path)
        else:
            raise InvalidArgumentError("Give a project or a directory.", field="project")
        if found is not None:
            return projects_pb2.EnsureProjectResponse(project=project_message(found))
        _check_may_use(ctx, request.repo_path)
        if name in await repository.names_like(tx, name):
            # Made just now, or somebody else's, whom this caller does not see.
            found = await find_project(tx, name)
            if found is None:
                raise _taken(name)
            return projects_pb2.EnsureProjectResponse(project=project_message(found))
        project = _new_project(_checked_name(name), request.repo_path, "")
        await _add(tx, ctx, project)
        return projects_pb2.EnsureProjectResponse(project=project_message(project), created=True)

    async def update_project(
        self, tx: WriteTx, ctx: CallContext, request: projects_pb2.UpdateProjectRequest
    ) -> projects_pb2.Project:
        """Change a project; what is not given stays.

        Raises:
            ProjectNotFoundError: there is none.
            EtagMismatchError: it has changed since the caller looked.
        """
        del ctx
        project = await get_project(tx, request.project)
        await repository.find_by_id(tx, project.id, lock=True)
        check_etag(request.etag, project_message(project).etag)
        project.description = request.description or project.description
        if request.greediness:
            project.greediness = _weight(request.greediness)
        if request.status:
            project.status = ProjectStatus(request.status)
        await tx.session.flush()  # the time of the change is part of the answer
        return project_message(project)

    async def add_project_member(
        self, tx: WriteTx, ctx: CallContext, request: projects_pb2.AddProjectMemberRequest
    ) -> projects_pb2.ProjectMember:
        """Let a user take part in a project, or change as what.

        Raises:
            ProjectNotFoundError: there is no such project.
            UserNotFoundError: there is no such user.
        """
        del ctx
        project_id = await resolve_project_id(tx, request.project)
        return await add_member(tx, project_id, request.user_id, request.role)

    async def remove_project_member(
        self, tx: WriteTx, ctx: CallContext, request: projects_pb2.RemoveProjectMemberRequest
    ) -> projects_pb2.RemoveProjectMemberResponse:
        """Take a user out of a project.

        Raises:
            ProjectNotFoundError: there is no such project.
            MemberNotFoundError: the user does not belong to it.
        """
        del ctx
        await remove_member(tx, await resolve_project_id(tx, request.project), request.user_id)
        return projects_pb2.RemoveProjectMemberResponse()

    async def list_project_members(
        self, tx: ReadTx, ctx: CallContext, request: projects_pb2.ListProjectMembersRequest
    ) -> projects_pb2.ListProjectMembersResponse:
        """Return one page of the members of a project by name.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        del ctx
        size = page_size(request.page_size)
        after = decode_token(request.page_token, 1)
        project_id = await resolve_project_id(tx, request.project)
        members = await list_members(tx, project_id, after[0] if after else None, size + 1)
        more = len(members) > size
        return projects_pb2.ListProjectMembersResponse(
            members=members[:size],
            next_page_token=encode_token(members[size - 1].username) if more else "",
        )

    async def get_model_policy(
        self, tx: ReadTx, ctx: CallContext, request: projects_pb2.GetModelPolicyRequest
    ) -> projects_pb2.ModelPolicy:
        """Return which models a project may call, under which names and where.

        Raises:
            ProjectNotFoundError: there is none.
        """
        return stated_policy((await get_project(tx, request.project)).metadata_)

    async def set_model_policy(
        self, tx: WriteTx, ctx: CallContext, request: projects_pb2.SetModelPolicyRequest
    ) -> projects_pb2.ModelPolicy:
        """State which models a project may call, in place of what was stated before.

        Raises:
            ProjectNotFoundError: there is none.
            InvalidArgumentError: a name makes no sense or stands twice.
            UnknownUpstreamError: a route leads to what the settings do not have.
        """
        project = await get_project(tx, request.project)
        policy = checked_policy(request.policy, self._upstreams)
        await remember_in_metadata(tx, project.id, **{KEY: policy})
        return request.policy

    async def get_egress(
        self, tx: ReadTx, ctx: CallContext, request: projects_pb2.GetEgressRequest
    ) -> projects_pb2.Egress:
        """Return which hosts the machines of a project may reach.

        Raises:
            ProjectNotFoundError: there is none.
        """
        project = await get_project(tx, request.project)
        return egress.stated_egress(project.metadata_, self._egress_allow)

    async def set_egress(
        self, tx: WriteTx, ctx: CallContext, request: projects_pb2.SetEgressRequest
    ) -> projects_pb2.Egress:
        """State which hosts the machines of a project may reach, or that it follows the settings.

        Raises:
            ProjectNotFoundError: there is none.
            InvalidArgumentError: a host is malformed or too wide.
        """
        project = await get_project(tx, request.project)
        kept = egress.kept_egress(request.egress)
        await remember_in_metadata(tx, project.id, **{egress.KEY: kept})
        return egress.stated_egress({egress.KEY: kept}, self._egress_allow)


async def find_project(tx: ReadTx | WriteTx, name_or_id: str) -> Project | None:
    """Return the project of an id or a name."""
    try:
        by_id = await repository.find_by_id(tx, uuid.UUID(name_or_id))
    except ValueError:
        by_id = None
    return by_id or await repository.find_by_name(tx, name_or_id)


async def get_project(tx: ReadTx | WriteTx, name_or_id: str) -> Project:
    """Return the project of an id or a name.

    Raises:
        ProjectNotFoundError: there is none.
    """
    project = await find_project(tx, name_or_id)
    if project is None:
        raise ProjectNotFoundError(
            f"There is no project {name_or_id!r}; see `autovibe project list`.", project=name_or_id
        )
    return project


async def resolve_project_id(tx: ReadTx | WriteTx, name_or_id: str) -> uuid.UUID:
    """Return the id of a project given by id or name.

    Raises:
        ProjectNotFoundError: there is none.
    """
    return (await get_project(tx, name_or_id)).id


async def advance_current_checkpoint(
    tx: WriteTx, project_id: uuid.UUID, expected: uuid.UUID | None, checkpoint_id: uuid.UUID
) -> bool:
    """Move the project's current checkpoint forward if it still is `expected` (decision B1).

    The first checkpoint of a project becomes its initial one too. The caller has made sure that
    the new checkpoint descends from the expected one. Returns whether it was moved.
    """
    moved = await repository.set_current_checkpoint(tx, project_id, expected, checkpoint_id)
    if moved and expected is None:
        project = await get_project(tx, str(project_id))
        if project.initial_checkpoint_id is None:
            project.initial_checkpoint_id = checkpoint_id
    return moved


async def remember_in_metadata(tx: WriteTx, project_id: uuid.UUID, **values: Any) -> None:
    """Add values to a project's metadata.

    The row is locked: of two writers at once neither loses what the other added.

    Raises:
        ProjectNotFoundError: there is none.
    """
    project = await repository.find_by_id(tx, project_id, lock=True)
    if project is None:
        raise ProjectNotFoundError(
            f"There is no project {project_id}; see `autovibe project list`."
        )
    project.metadata_ = {**project.metadata_, **values}


async def _add(tx: WriteTx, ctx: CallContext, project: Project) -> None:
    """Add a project; who made it belongs to it, as its admin."""
    tx.session.add(project)
    await tx.session.flush()  # the row's defaults are part of the answer
    if ctx.actor.user_id is not None:
        await join_project(tx, project.id, ctx.actor.user_id, ADMIN)


def _taken(name: str) -> ProjectExistsError:
    return ProjectExistsError(f"A project named {name!r} exists; choose another name.", name=name)


def _check_may_use(ctx: CallContext, directory: str) -> None:
    if directory and not (ctx.actor.sees_all and ctx.actor.may(HOST)):
        raise PermissionDeniedError(
            "Only an admin names directories of the server's host; create the project without one.",
            permission=HOST,
        )


def _weight(greediness: str) -> Decimal:
    weight = parse_decimal(greediness, "greediness")
    if weight > 1:
        raise InvalidArgumentError(
            f"Greediness {greediness} is above 1; give a number from 0 to 1.", field="greediness"
        )
    return weight.quantize(Decimal("0.01"))


def _new_project(name: str, repo_path: str, greediness: str) -> Project:
    return Project(
        name=name,
        greediness=_weight(greediness) if greediness else DEFAULT_GREEDINESS,
        metadata={"repo_path": repo_path} if repo_path else {},
    )


def _checked_name(name: str) -> str:
    if not name.strip() or name != name.strip() or _CONTROL.search(name):
        raise InvalidArgumentError(
            f"{name!r} cannot name a project; use visible characters without spaces around them.",
            field="name",
        )
    return name


async def _free_name(tx: WriteTx, repo_path: str) -> str:
    """Return the directory's name, or that with -2, -3, … when it is taken."""
    visible = _CONTROL.sub("", PurePosixPath(repo_path).name).strip()
    stem = visible[:_MAX_STEM].rstrip() or "project"
    taken = await repository.names_like(tx, stem)
    candidates = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(taken) + 2))
    return next(name for name in candidates if name not in taken)
