"""One contract, one truth: a walk through every rpc has the same answers on every way there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from composed import Composed, composed
from served import ALL_METHODS, MACHINE_METHODS, call
from walk import Walk
from walk_steps import walk

from autovibe.kernel.errors import AutovibeError, PermissionDeniedError
from autovibe.sdk.contract import methods
from autovibe.skins.rest.routes import COMMON_REASONS
from autovibe.v1 import options_pb2

RELAY: Final = "autovibe.v1.AgentService/RelayAgentCall"
_OWN: Final = "a worker, hub or gateway reports it; a person who could would forge the record"
_UPKEEP: Final = "a scheduler calls it; people have `autovibe db maintain` where the database is"
_WORKERS: Final = (
    "RegisterWorker",
    "HeartbeatWorker",
    "SignOffWorker",
    "ClaimMany",
    "CompleteMany",
    "WaitForWork",
    "RequestStop",
)
_TRANSFERS: Final = (
    "DescribeStore",
    "GetSnapshotObjects",
    "GetObjects",
    "FindMissingObjects",
    "PutObjects",
    "NameSnapshot",
)
_JOBS: Final = (
    "GetJobs",
    "BeginJob",
    "StepJob",
    "EndJob",
    "RegisterJobs",
    "ReadArchivable",
    "DeleteArchived",
    "InsertArchived",
    "ReconcileReferences",
    "PruneStore",
    "AuditStore",
    "ClaimVerification",
    "FinishVerification",
)
_ASKS: Final = ("AskApproval", "WaitForApproval", "ReleaseApprovals")
_MAIL: Final = ("WaitForMail", "TakeMail", "ReportMail", "PostAgentMessage")
NOT_IN_REST: Final = {
    **dict.fromkeys((f"autovibe.v1.ChatService/{name}" for name in _MAIL), _OWN),
    "autovibe.v1.DocumentService/GetMachineDocuments": "a worker asks for what a machine is given",
    **dict.fromkeys((f"autovibe.v1.ApprovalService/{name}" for name in _ASKS), _OWN),
    RELAY: _OWN,
    "autovibe.v1.LogService/RecordAgentWork": _OWN,
    "autovibe.v1.CheckpointService/RecordCheckpoint": _OWN,
    "autovibe.v1.IdentityService/RegisterInstance": _OWN,
    "autovibe.v1.IdentityService/HeartbeatInstance": _OWN,
    "autovibe.v1.IdentityService/RemoveInstance": _OWN,
    "autovibe.v1.IdentityService/ListInstances": "recovery asks for it; `doctor` shows it",
    "autovibe.v1.IdentityService/IssueToken": "a process of the home has it; people: CreateToken",
    "autovibe.v1.IdentityService/NoteTokenUse": "a skin reports it",
    "autovibe.v1.IdentityService/OpenBrowserSession": "a skin asks it; its request is a secret",
    "autovibe.v1.IdentityService/AuthenticateToken": "a skin asks it; its request is a secret",
    "autovibe.v1.MachineService/CreateMachine": _OWN,
    "autovibe.v1.MachineService/UpdateMachine": _OWN,
    "autovibe.v1.MachineService/RecordConnections": _OWN,
    **dict.fromkeys((f"autovibe.v1.MaintenanceService/{name}" for name in _JOBS), _UPKEEP),
    "autovibe.v1.MeteringService/ReserveMany": _OWN,
    "autovibe.v1.MeteringService/SettleMany": _OWN,
    "autovibe.v1.MeteringService/GetBudgetLevels": _OWN,
    "autovibe.v1.MeteringService/RecordUsageMany": _OWN,
    "autovibe.v1.MeteringService/RecoverReservations": _OWN,
    **dict.fromkeys((f"autovibe.v1.QueueService/{name}" for name in _WORKERS), _OWN),
    **dict.fromkeys((f"autovibe.v1.TransferService/{name}" for name in _TRANSFERS), _OWN),
    "autovibe.v1.WorkService/KeepModelCall": _OWN,
    "autovibe.v1.WorkService/ClaimWorkOrder": _OWN,
    "autovibe.v1.WorkService/HeartbeatWorkOrder": _OWN,
    "autovibe.v1.WorkService/AttachMachine": _OWN,
    "autovibe.v1.WorkService/FinishExecution": _OWN,
    "autovibe.v1.WorkService/GetEarlierAttempts": _OWN,
    "autovibe.v1.WorkService/AbandonExecutions": _OWN,
    "autovibe.v1.WorkService/AppendExecutionLogs": _OWN,
}
"""The rpcs that REST for people does not have, each with its reason."""


def test_what_rest_does_not_have_is_what_the_contract_says() -> None:
    people = options_pb2.AUDIENCE_PEOPLE
    assert set(NOT_IN_REST) == {
        method.name for method in ALL_METHODS if method.operation.audience != people
    }


async def recorded(home: Path, way: str) -> list[tuple[str, Any]]:
    """Return what a walk was answered on a control plane of its own."""
    home.mkdir()
    async with composed(home) as world:
        people = {"local": world.local, "http": world.http, "grpc": world.rpc}[way]
        internal = world.local if way == "local" else world.rpc
        going = Walk(people, internal, world.plane, home)
        await walk(going)
        if way == "http":
            await _is_not_in_rest(world)
        return going.record


async def _is_not_in_rest(world: Composed) -> None:
    for method in (*ALL_METHODS, *MACHINE_METHODS):
        if method.name in NOT_IN_REST or method in MACHINE_METHODS:
            with pytest.raises(PermissionDeniedError):
                await call(world.http, method, method.request_type())


@pytest.mark.req("S2-04", "S2-15", "S2-17", "S2-21")
async def test_every_rpc_answers_the_same_embedded_over_rest_and_over_grpc(tmp_path: Path) -> None:
    local = await recorded(tmp_path / "local", "local")
    # What carries the calls of machines has no answers of its own.
    every = {method.name for method in (*ALL_METHODS, *MACHINE_METHODS)} - {RELAY}
    assert {name for name, _ in local} == every
    failed = {outcome[1] for _, outcome in local if isinstance(outcome, list)}
    assert {"INVALID_ARGUMENT", "PROJECT_EXISTS", "TASK_NOT_FOUND", "BRANCH_EXISTS"} <= failed
    assert AutovibeError.reason not in failed
    for name, outcome in local:
        if isinstance(outcome, list):
            assert outcome[1] in {*COMMON_REASONS, *methods()[name].operation.errors}, name
    for way in ("http", "grpc"):
        other = await recorded(tmp_path / way, way)
        for mine, theirs in zip(local, other, strict=True):
            assert mine == theirs, way
