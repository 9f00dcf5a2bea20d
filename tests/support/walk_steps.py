"""One walk through every rpc of the contract on a real control plane."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from machine_at_work import AtWork
from plane import make_repository, write_files
from walk import Walk
from walk_agent import agent_calls, look_at_execution
from walk_approvals import approvals, ask_to_apply
from walk_calls import network, pay
from walk_people import people
from walk_queue import queue
from walk_talk import talk, write
from walk_tasks import other_tasks
from walk_transfer import transfer
from walk_upkeep import maintain

from autovibe import __version__
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import struct
from autovibe.sdk.services import Services
from autovibe.v1 import (
    checkpoints_pb2,
    identity_pb2,
    machines_pb2,
    metering_pb2,
    model_calls_pb2,
    projects_pb2,
    queue_pb2,
    usage_pb2,
    work_pb2,
)


@dataclass(frozen=True)
class Found:
    """What a walk has made, for tests that go on from there."""

    repo: Path
    project: projects_pb2.Project
    genesis: checkpoints_pb2.Checkpoint
    final: checkpoints_pb2.Checkpoint
    task: work_pb2.Task
    machine: machines_pb2.Machine
    execution: work_pb2.Execution


async def walk(going: Walk) -> Found:
    """Call every rpc at least once, as a person, a worker and a gateway would."""
    services = going.services
    repo = make_repository(
        going.directory / "website",
        {"a.txt": "one\n", "src/main.py": "print('hello')\n", ".gitignore": "*.log\n"},
    )
    write_files(repo, {"build.log": "noise\n", ".env": "SECRET_KEY=hunter2hunter2\n"})
    project = await _project_and_budget(services, repo)
    imported = await services.checkpoints.import_directory(
        checkpoints_pb2.ImportDirectoryRequest(
            project="website", directory=str(repo), exclude=[".env"]
        )
    )
    task = await _task(services)
    found = await _execution(going, repo, project, imported.checkpoint, task)
    await ask_to_apply(services, found.task.id)
    await _look(services, found)
    await look_at_execution(going, found.execution.id)
    await _store(going, found)
    await _purge(going, found)
    await other_tasks(services, found)
    await queue(services, str(going.plane.instance_id))
    await _instances_and_tokens(services)
    await people(going)
    await transfer(going)
    await maintain(going)
    await _refused(services, found)
    return found


async def _project_and_budget(services: Services, repo: Path) -> projects_pb2.Project:
    project = await services.projects.create_project(
        projects_pb2.CreateProjectRequest(name="website", description="ü", repo_path=str(repo))
    )
    await services.projects.ensure_project(projects_pb2.EnsureProjectRequest(project="website"))
    await services.projects.ensure_project(projects_pb2.EnsureProjectRequest(project="a/b: c"))
    for name in ("website", project.id, "a/b: c"):
        await services.projects.get_project(projects_pb2.GetProjectRequest(project=name))
    await services.projects.list_projects(
        projects_pb2.ListProjectsRequest(page_size=1, order_by="-created_at", status="active")
    )
    for resource, amount in (("money", "20.50 CAD"), ("api_calls", "100"), ("money", "10USD")):
        await services.metering.set_budget(
            metering_pb2.SetBudgetRequest(
                project="website", resource_type=resource, amount=amount, budget_period="monthly"
            )
        )
    await services.metering.raise_budget(
        metering_pb2.RaiseBudgetRequest(
            project="website", resource_type="money", amount="0.5 CAD", budget_period="monthly"
        )
    )
    await services.metering.import_exchange_rates(
        metering_pb2.ImportExchangeRatesRequest(
            rates=[
                metering_pb2.DatedRate(
                    currency="EUR", rate_to_cad=rate, valid_from=day, source="by hand"
                )
                for day, rate in (("2020-01-01", "1.46"), ("2020-02-01", "1.47"))
            ]
        )
    )
    await services.metering.list_exchange_rates(
        metering_pb2.ListExchangeRatesRequest(currency="EUR")
    )
    await services.metering.get_exchange_rate(metering_pb2.GetExchangeRateRequest(currency="EUR"))
    await services.metering.get_parked_calls(metering_pb2.GetParkedCallsRequest())
    await services.projects.set_model_policy(
        projects_pb2.SetModelPolicyRequest(
            project="website",
            policy=projects_pb2.ModelPolicy(
                allowed=["claude-*"],
                aliases=[projects_pb2.ModelAlias(name="fast", model="claude-haiku-4-5")],
                routes=[projects_pb2.ModelRoute(api="openai", upstream="openai")],
                provider_features=["web_search"],
                keep_bodies=True,
            ),
        )
    )
    await services.projects.get_model_policy(projects_pb2.GetModelPolicyRequest(project="website"))
    await services.projects.set_egress(
        projects_pb2.SetEgressRequest(
            project="website",
            egress=projects_pb2.Egress(allow=["*.example.org", "packages.example.org:8443"]),
        )
    )
    await services.projects.get_egress(projects_pb2.GetEgressRequest(project="website"))
    await services.checkpoints.scan_secrets(
        checkpoints_pb2.ScanSecretsRequest(project="website", directory=str(repo))
    )
    return project


async def _task(services: Services) -> work_pb2.Task:
    context = work_pb2.TaskContext(agent="shell", isolation="process", agent_args=["true"])
    await services.work.check_task_context(work_pb2.CheckTaskContextRequest(context=context))
    return await services.work.create_task(
        work_pb2.CreateTaskRequest(
            project="website",
            description="Say goodbye\nin German",
            priority="high",
            context=context,
            budget="2.00CAD",
            start=True,
            metadata=struct({"ticket": {"number": 7, "labels": ["a", None, True]}}),
        )
    )


async def _execution(
    going: Walk,
    repo: Path,
    project: projects_pb2.Project,
    genesis: checkpoints_pb2.Checkpoint,
    task: work_pb2.Task,
) -> Found:
    """Do what a worker does: claim, run, log, pay, checkpoint, finish."""
    services = going.services
    instance_id = str(going.plane.instance_id)
    worker = await services.queue.register_worker(
        queue_pb2.RegisterWorkerRequest(name="w", max_concurrent_tasks=2, version=__version__)
    )
    claimed = await services.work.claim_work_order(
        work_pb2.ClaimWorkOrderRequest(
            worker_id=worker.id, instance_id=instance_id, task_id=task.id, lease_s=60
        )
    )
    order = claimed.order
    lease = {"lease_generation": order.lease_generation}
    await services.work.heartbeat_work_order(
        work_pb2.HeartbeatWorkOrderRequest(work_order_id=order.work_order_id, lease_s=60, **lease)
    )
    machine = await services.machines.create_machine(
        machines_pb2.CreateMachineRequest(
            id=str(uuid.uuid4()),
            machine_type="shell",
            project_id=project.id,
            parent_checkpoint_id=genesis.id,
            worker_id=worker.id,
            hypervisor="process",
            original_prompt=task.description,
            resource_constraints=struct({"memory_mb": 512}),
            instance_id=instance_id,
        )
    )
    await services.work.attach_machine(
        work_pb2.AttachMachineRequest(
            execution_id=order.execution.id, machine_id=machine.id, **lease
        )
    )
    for status in ("active", "working"):
        await services.machines.update_machine(
            machines_pb2.UpdateMachineRequest(
                machine_id=machine.id, status=status, resource_usage=struct({"cpu_s": 0.5})
            )
        )
    await network(services, order, machine)
    await _converse(services, order, machine)
    await write(services, project.id)
    going.machine = AtWork(order.execution.id, machine.id, order.lease_generation)
    await agent_calls(going)
    await _log(services, order)
    await pay(going, order, machine)
    final = await _final_checkpoint(going, order, machine, genesis)
    await services.machines.update_machine(
        machines_pb2.UpdateMachineRequest(machine_id=machine.id, status="terminated")
    )
    task = await services.work.finish_execution(
        work_pb2.FinishExecutionRequest(
            execution_id=order.execution.id,
            outcome="completed",
            result_checkpoint_id=final.id,
            metrics=work_pb2.ExecutionMetrics(
                stop_reason="COMPLETED", checkpoints=1, model_calls=1, duration_s=1.5, summary="Ok."
            ),
            **lease,
        )
    )
    return Found(repo, project, genesis, final, task, machine, order.execution)


async def _log(services: Services, order: work_pb2.ClaimedOrder) -> None:
    entries: list[work_pb2.LogEntry] = []
    for seq, (kind, message) in enumerate((("state", "started"), ("output", "Tschüss ✓\n")), 1):
        entry = work_pb2.LogEntry(
            execution_id=order.execution.id,
            seq=seq,
            level="INFO",
            message=message,
            event=work_pb2.LogEvent(kind=kind, details=struct({"n": seq})),
        )
        entry.logged_at.FromJsonString("2026-11-23T12:00:00.25Z")
        entries.append(entry)
    await services.work.append_execution_logs(
        work_pb2.AppendExecutionLogsRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            entries=entries,
        )
    )


async def _final_checkpoint(
    going: Walk,
    order: work_pb2.ClaimedOrder,
    machine: machines_pb2.Machine,
    genesis: checkpoints_pb2.Checkpoint,
) -> checkpoints_pb2.Checkpoint:
    services = going.services
    workspace = going.directory / "workspace"
    await services.checkpoints.restore_checkpoint(
        checkpoints_pb2.RestoreCheckpointRequest(checkpoint_id=genesis.id, directory=str(workspace))
    )
    write_files(workspace, {"a.txt": "two\n", "new/ü.txt": "neu\n", "result.log": "ignored\n"})
    home = going.directory / "agent"
    write_files(home, {"notes": "mine\n"})
    store = going.plane.surroundings.store
    snapshot = await asyncio.to_thread(store.snapshot, {"workspace": workspace, "home": home})
    return await services.checkpoints.record_checkpoint(
        checkpoints_pb2.RecordCheckpointRequest(
            id=str(uuid.uuid4()),
            project_id=genesis.project_id,
            parent_checkpoint_id=genesis.id,
            creating_machine_id=machine.id,
            checkpoint_type="final",
            hypervisor="process",
            description="The result",
            size_bytes=2**40,
            manifest_root=snapshot.root,
            manifest_file_count=5,
            file_manifest=checkpoints_pb2.FileManifest(
                files=[checkpoints_pb2.ManifestFile(path="workspace/a.txt", size=4)],
                deleted=["workspace/gone"],
                relative_to=genesis.id,
            ),
            metadata=struct({"reason": "final"}),
            verified=True,
            work_order_id=order.work_order_id,
            lease_generation=order.lease_generation,
        )
    )


async def _converse(
    services: Services, order: work_pb2.ClaimedOrder, machine: machines_pb2.Machine
) -> None:
    await talk(services, order, machine)
    await approvals(services, order)


async def _look(services: Services, found: Found) -> None:
    """Read all that there is to read."""
    task_id, checkpoint_id = found.task.id, found.final.id
    work, checkpoints = services.work, services.checkpoints
    for id_ in (task_id, task_id[:8]):
        await work.get_task(work_pb2.GetTaskRequest(task_id=id_))
    await work.list_tasks(
        work_pb2.ListTasksRequest(project="website", statuses=["completed", "failed"], page_size=1)
    )
    await work.get_task_result(work_pb2.GetTaskResultRequest(task_id=task_id))
    first = await work.list_task_logs(work_pb2.ListTaskLogsRequest(task_id=task_id, page_size=1))
    await work.list_task_logs(
        work_pb2.ListTaskLogsRequest(task_id=task_id, cursor=first.next_cursor)
    )
    await services.machines.get_machine(machines_pb2.GetMachineRequest(machine_id=found.machine.id))
    await services.machines.list_machines(
        machines_pb2.ListMachinesRequest(project="website", statuses=["terminated", "working"])
    )
    for id_ in (checkpoint_id, checkpoint_id[:13]):
        await checkpoints.get_checkpoint(checkpoints_pb2.GetCheckpointRequest(checkpoint_id=id_))
    await checkpoints.list_checkpoints(
        checkpoints_pb2.ListCheckpointsRequest(project="website", page_size=1)
    )
    await checkpoints.get_checkpoint_tree(
        checkpoints_pb2.GetCheckpointTreeRequest(project="website")
    )
    newest = (
        await checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(project="website")
        )
    ).checkpoints
    await checkpoints.get_checkpoint_path(
        checkpoints_pb2.GetCheckpointPathRequest(
            checkpoint_id=newest[0].id, to_checkpoint_id=newest[-1].id
        )
    )
    await checkpoints.list_running_machines(
        checkpoints_pb2.ListRunningMachinesRequest(project="website")
    )
    await services.metering.list_budgets(
        metering_pb2.ListBudgetsRequest(project="website", task_id=task_id)
    )
    call_id = "019ae0c0-1111-7000-8000-000000000001"
    await services.work.keep_model_call(
        model_calls_pb2.KeepModelCallRequest(
            request_id=call_id,
            model="claude-haiku-4-5",
            status="completed",
            request='{"messages": []}',
            response="Hello!",
            upstream_status=200,
            cost_cad="0.01",
            tokens_used=12,
            duration_ms=340,
        )
    )
    await services.work.get_model_call(model_calls_pb2.GetModelCallRequest(request_id=call_id))
    await services.metering.list_daily_usage(metering_pb2.ListDailyUsageRequest(project="website"))
    await services.metering.list_path_history(
        metering_pb2.ListPathHistoryRequest(project="website", path="README.md")
    )
    await services.metering.audit_usage(usage_pb2.AuditUsageRequest(project="website"))
    await services.metering.rebuild_usage(usage_pb2.RebuildUsageRequest(project="website"))
    for query in ({"project": "website"}, {"task_id": task_id}, {}):
        await services.metering.get_usage(metering_pb2.GetUsageRequest(**query))
    since = metering_pb2.GetUsageRequest(project="website")
    since.since.FromJsonString("2020-01-01T00:00:00.123456Z")
    await services.metering.get_usage(since)


async def _purge(going: Walk, found: Found) -> None:
    """Purge a machine that has made nothing, and not the one that a project stands on."""
    services = going.services
    spare = await services.machines.create_machine(
        machines_pb2.CreateMachineRequest(
            id=str(uuid.uuid4()),
            machine_type="shell",
            project_id=found.project.id,
            hypervisor="process",
            instance_id=str(going.plane.instance_id),
        )
    )
    for machine_id in (spare.id, found.machine.id):
        with contextlib.suppress(AutovibeError):
            await services.checkpoints.purge_machine(
                machines_pb2.PurgeMachineRequest(machine_id=machine_id)
            )
    await services.machines.update_machine(
        machines_pb2.UpdateMachineRequest(machine_id=spare.id, status="terminated")
    )
    await services.checkpoints.purge_machine(machines_pb2.PurgeMachineRequest(machine_id=spare.id))


async def _store(going: Walk, found: Found) -> None:
    """Read what the store holds, and write it out."""
    services = going.services
    checkpoints, checkpoint_id = services.checkpoints, found.final.id
    listing = checkpoints_pb2.ListCheckpointFilesRequest(checkpoint_id=checkpoint_id, page_size=2)
    page = await checkpoints.list_checkpoint_files(listing)
    listing.page_token = page.next_page_token
    await checkpoints.list_checkpoint_files(listing)
    await checkpoints.list_checkpoint_files(
        checkpoints_pb2.ListCheckpointFilesRequest(
            checkpoint_id=checkpoint_id, home=True, path="notes"
        )
    )
    for options in ({}, {"with_patch": True, "without_git": True, "path": "a.txt"}):
        await checkpoints.diff_checkpoints(
            checkpoints_pb2.DiffCheckpointsRequest(checkpoint_id=checkpoint_id, **options)
        )
    await checkpoints.verify_checkpoint(
        checkpoints_pb2.VerifyCheckpointRequest(checkpoint_id=checkpoint_id)
    )
    await checkpoints.restore_checkpoint(
        checkpoints_pb2.RestoreCheckpointRequest(
            checkpoint_id=checkpoint_id, directory=str(going.directory / "restored"), path="new"
        )
    )
    await services.work.get_task_patch(work_pb2.GetTaskPatchRequest(task_id=found.task.id))
    await services.work.apply_task(work_pb2.ApplyTaskRequest(task_id=found.task.id))


async def _instances_and_tokens(services: Services) -> None:
    identity = services.identity
    instance = str(uuid.uuid4())
    await identity.register_instance(
        identity_pb2.RegisterInstanceRequest(id=instance, host="elsewhere", pid=2**40)
    )
    await identity.heartbeat_instance(identity_pb2.HeartbeatInstanceRequest(id=instance))
    await identity.list_instances(identity_pb2.ListInstancesRequest(page_size=1))
    await identity.remove_instance(identity_pb2.RemoveInstanceRequest(id=instance))
    issued = await identity.issue_token(
        identity_pb2.IssueTokenRequest(name="ci", scopes=["tasks.read", "projects.read"])
    )
    await identity.authenticate_token(identity_pb2.AuthenticateTokenRequest(token=issued.token))
    await identity.revoke_token(identity_pb2.RevokeTokenRequest(token_id=issued.token_id))


async def _refused(services: Services, found: Found) -> None:
    """Meet errors of every kind: malformed, missing, taken, not now."""
    ghost = str(uuid.UUID(int=9))
    refused = [
        services.projects.create_project(projects_pb2.CreateProjectRequest(name="website")),
        services.projects.create_project(projects_pb2.CreateProjectRequest(name=" x ")),
        services.projects.get_project(projects_pb2.GetProjectRequest(project="..")),
        services.projects.list_projects(projects_pb2.ListProjectsRequest(page_token="WyIxIl0x")),
        services.work.get_task(work_pb2.GetTaskRequest(task_id=ghost)),
        services.work.get_task(work_pb2.GetTaskRequest(task_id="zzzzzzzz")),
        services.work.list_tasks(work_pb2.ListTasksRequest(statuses=["sleeping"], page_size=501)),
        services.work.apply_task(work_pb2.ApplyTaskRequest(task_id=found.task.id, branch="main")),
        services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=found.task.id)),
        services.work.list_task_logs(
            work_pb2.ListTaskLogsRequest(task_id=found.task.id, cursor="x")
        ),
        services.checkpoints.restore_checkpoint(
            checkpoints_pb2.RestoreCheckpointRequest(
                checkpoint_id=found.final.id, directory=str(found.repo)
            )
        ),
        services.checkpoints.list_checkpoint_files(
            checkpoints_pb2.ListCheckpointFilesRequest(checkpoint_id=found.final.id, path="no")
        ),
        services.metering.set_budget(
            metering_pb2.SetBudgetRequest(
                project="website", resource_type="money", amount="0", budget_period="monthly"
            )
        ),
        services.metering.get_exchange_rate(metering_pb2.GetExchangeRateRequest(currency="ZZZ")),
        services.metering.raise_budget(
            metering_pb2.RaiseBudgetRequest(
                project="website", resource_type="network", amount="1", budget_period="daily"
            )
        ),
        services.metering.import_exchange_rates(
            metering_pb2.ImportExchangeRatesRequest(
                rates=[
                    metering_pb2.DatedRate(currency="EUR", rate_to_cad="9", valid_from="2020-01-01")
                ]
            )
        ),
        services.projects.set_model_policy(
            projects_pb2.SetModelPolicyRequest(
                project="website",
                policy=projects_pb2.ModelPolicy(
                    routes=[projects_pb2.ModelRoute(api="openai", upstream="nowhere")]
                ),
            )
        ),
        services.work.get_model_call(model_calls_pb2.GetModelCallRequest(request_id=ghost)),
        services.projects.set_egress(
            projects_pb2.SetEgressRequest(
                project="website", egress=projects_pb2.Egress(allow=["*"])
            )
        ),
        services.machines.get_machine(machines_pb2.GetMachineRequest(machine_id=ghost)),
        services.machines.update_machine(
            machines_pb2.UpdateMachineRequest(machine_id=found.machine.id, status="active")
        ),
        services.identity.authenticate_token(identity_pb2.AuthenticateTokenRequest(token="no")),
    ]
    for one in refused:
        with contextlib.suppress(AutovibeError):
            await one
