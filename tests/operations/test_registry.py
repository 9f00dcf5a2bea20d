"""A registry binds services to the contract, or says at start what does not fit."""

from __future__ import annotations

import pytest
from stubs import Stub, all_stubs

from autovibe.domains.identity import IdentityService
from autovibe.domains.projects import ProjectService
from autovibe.operations import Registry, RegistryError
from autovibe.sdk.contract import methods
from autovibe.v1 import options_pb2


def test_a_service_without_an_rpc_is_refused_by_name() -> None:
    class Half(IdentityService):
        revoke_token = None

    with pytest.raises(RegistryError, match="IdentityService/RevokeToken: revoke_token must be"):
        Registry({"autovibe.v1.IdentityService": Half()})


def test_a_plain_function_is_no_implementation() -> None:
    class Plain(ProjectService):
        def get_project(self, _tx, _ctx, _request): ...

    with pytest.raises(RegistryError, match="get_project must be an async method"):
        Registry({"autovibe.v1.ProjectService": Plain()})


def test_a_long_operation_needs_its_steps() -> None:
    class Lame:
        async def prepare(self): ...

    with pytest.raises(RegistryError, match="apply_task must have the async methods"):
        Registry({"autovibe.v1.WorkService": Stub("autovibe.v1.WorkService", apply_task=Lame())})


def test_a_service_that_the_contract_lacks_is_refused() -> None:
    with pytest.raises(RegistryError, match=r"no service autovibe\.v1\.GhostService"):
        Registry({"autovibe.v1.GhostService": object()})


def test_a_whole_set_of_services_serves_every_rpc() -> None:
    registry = Registry(all_stubs())
    assert [operation.method.name for operation in registry] == list(methods())


def test_only_what_changes_something_is_audited() -> None:
    audited = {
        operation.method.attribute for operation in Registry(all_stubs()) if operation.audited
    }
    for method in methods().values():
        writes = method.operation.kind == options_pb2.OPERATION_KIND_WRITE
        expected = writes and not method.operation.unaudited
        assert (method.attribute in audited) == expected
    assert {"reserve_many", "claim_work_order", "heartbeat_instance"}.isdisjoint(audited)
