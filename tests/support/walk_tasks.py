"""The part of the walk that makes more tasks than one: graphs, forks and what is done to them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from autovibe.kernel.errors import AutovibeError
from autovibe.sdk.services import Services
from autovibe.v1 import (
    tasks_pb2,
    work_pb2,
)

if TYPE_CHECKING:
    from walk_steps import Found


async def other_tasks(services: Services, found: Found) -> None:
    """Fork, pause, cancel, retry, resume: as far as that goes without a worker."""
    work = services.work
    fork = await work.fork_checkpoint(
        work_pb2.ForkCheckpointRequest(
            checkpoint_id=found.final.id,
            description="And in French",
            context=work_pb2.TaskContext(agent="shell", isolation="process", agent_args=["true"]),
            budget="1",
            start=True,
        )
    )
    with contextlib.suppress(AutovibeError):
        await work.pause_task(work_pb2.PauseTaskRequest(task_id=fork.id))
    with contextlib.suppress(AutovibeError):
        await work.resume_task(work_pb2.ResumeTaskRequest(task_id=fork.id, budget="3", timeout_s=9))
    await work.cancel_task(work_pb2.CancelTaskRequest(task_id=fork.id))
    with contextlib.suppress(AutovibeError):
        await work.retry_task(work_pb2.RetryTaskRequest(task_id=fork.id))
    await work.delete_task(tasks_pb2.DeleteTaskRequest(task_id=fork.id))
    await graph(services)
    await work.abandon_executions(work_pb2.AbandonExecutionsRequest(machine_id=found.machine.id))


async def graph(services: Services) -> None:
    """Make tasks that wait for each other, and let them wait for others."""
    work = services.work
    common = {"agent": "shell", "isolation": "process", "agent_args": ["true"]}
    made = await work.create_tasks(
        tasks_pb2.CreateTasksRequest(
            project="website",
            tasks=[
                tasks_pb2.TaskSpec(key="a", prompt="A", labels={"team": "ü"}, **common),
                tasks_pb2.TaskSpec(key="b", prompt="B", after=["a"], parent="a", **common),
            ],
            start=True,
        )
    )
    first, second = (task.task_id for task in made.tasks)
    edge = {"task_id": second, "depends_on_task_id": first}
    with contextlib.suppress(AutovibeError):  # each waits for the other then
        await work.add_task_dependency(
            tasks_pb2.AddTaskDependencyRequest(task_id=first, depends_on_task_id=second)
        )
    await work.remove_task_dependency(tasks_pb2.RemoveTaskDependencyRequest(**edge))
    await work.add_task_dependency(
        tasks_pb2.AddTaskDependencyRequest(dependency_type="related", **edge)
    )
    await work.list_task_dependencies(tasks_pb2.ListTaskDependenciesRequest(task_id=second))
    for query in ({"task_id": first}, {"project": "website"}, {}):
        with contextlib.suppress(AutovibeError):
            await work.get_task_graph(tasks_pb2.GetTaskGraphRequest(**query))
    await work.list_tasks(
        work_pb2.ListTasksRequest(ready=True, labels=["team=ü"], order_by="-priority")
    )
    changed = await work.update_task(
        tasks_pb2.UpdateTaskRequest(
            task_id=first[:8],
            title="Ä",
            description="A, but better",
            task_type="bugfix",
            permission_level="autonomous",
            priority="high",
            labels=["team=", "size=s"],
            issue_number=7,
            pr_number=8,
            repository_url="https://git.example.org/website",
        )
    )
    with contextlib.suppress(AutovibeError):  # it has changed since
        await work.update_task(
            tasks_pb2.UpdateTaskRequest(task_id=first, title="B", etag=changed.etag[::-1])
        )
    for task_id in (first, second):
        await work.cancel_task(work_pb2.CancelTaskRequest(task_id=task_id))
