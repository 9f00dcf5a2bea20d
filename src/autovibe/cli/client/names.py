"""Names of projects, for tables."""

from __future__ import annotations

from collections.abc import Sequence

from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect
from autovibe.v1 import projects_pb2


async def project_names(connection: Connection) -> dict[str, str]:
    """Return the names of projects by id."""

    async def fetch(size: int, token: str) -> tuple[Sequence[projects_pb2.Project], str]:
        answer = await connection.services.projects.list_projects(
            projects_pb2.ListProjectsRequest(page_size=size, page_token=token)
        )
        return answer.projects, answer.next_page_token

    projects, _ = await collect(fetch, 10_000)
    return {item.id: item.name for item in projects}
