"""What a task came to, as the services tell it."""

from __future__ import annotations

from autovibe.cli.client.connection import Connection
from autovibe.v1 import projects_pb2, work_pb2


async def get_result(connection: Connection, task_id: str) -> work_pb2.TaskResult:
    """Return the result of a task with the name of its project.

    Raises:
        TaskNotFoundError: there is no such task.
    """
    result = await connection.services.work.get_task_result(
        work_pb2.GetTaskResultRequest(task_id=task_id)
    )
    if result.project_id and not result.project_name:
        project = await connection.services.projects.get_project(
            projects_pb2.GetProjectRequest(project=result.project_id)
        )
        result.project_name = project.name
    return result
