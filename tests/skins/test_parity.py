"""Both skins carry every operation whole: what is sent is what the service gets."""

from __future__ import annotations

import random

import pytest
from served import ALL_METHODS, Served, call, served
from stubs import sample

from autovibe.db import Database
from autovibe.kernel.errors import PermissionDeniedError
from autovibe.sdk.contract import streams
from autovibe.v1 import options_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = [m for m in ALL_METHODS if m.operation.audience == options_pb2.AUDIENCE_PEOPLE]
OTHERS = [m for m in ALL_METHODS if m.operation.audience != options_pb2.AUDIENCE_PEOPLE]


@pytest.mark.req("S2-15")
async def test_every_operation_for_people_arrives_whole_over_rest(stubs: Served) -> None:
    for method in PEOPLE:
        rng = random.Random(method.name)
        for _ in range(5):
            request = sample(method.descriptor.input_type, rng)
            assert await call(stubs.http, method, request) == method.response_type()
            assert stubs.stubs[method.service].calls.pop() == (method.name, request)


@pytest.mark.req("S2-17")
async def test_every_operation_arrives_whole_over_grpc(stubs: Served) -> None:
    for method in ALL_METHODS:
        rng = random.Random(method.name)
        for _ in range(5):
            request = sample(method.descriptor.input_type, rng)
            assert await call(stubs.rpc, method, request) == method.response_type()
            assert stubs.stubs[method.service].calls.pop() == (method.name, request)


@pytest.mark.req("S2-21")
async def test_internal_operations_are_not_offered_over_rest(stubs: Served) -> None:
    document = await (await stubs.request("GET", "/openapi.json")).json()
    offered = {
        operation["operationId"]
        for verbs in document["paths"].values()
        for operation in verbs.values()
    }
    streamed = {method.descriptor.name for method in streams().values()}
    assert offered == {method.descriptor.name for method in PEOPLE} | streamed
    for method in OTHERS:
        with pytest.raises(PermissionDeniedError):
            await call(stubs.http, method, method.request_type())


async def test_every_answer_arrives_whole_over_both(sqlite: Database) -> None:
    async with served(sqlite) as stubs:
        await _answers_arrive(stubs)


async def _answers_arrive(stubs: Served) -> None:
    for method in ALL_METHODS:
        answer = sample(method.descriptor.output_type, random.Random(method.name))

        async def give(*_: object, answer=answer):
            return answer

        operation = stubs.operations.registry.get(method.name)
        implementation = operation.implementation
        if method.operation.kind == options_pb2.OPERATION_KIND_LONG:
            implementation._function = give
        else:
            object.__setattr__(operation, "implementation", give)
        request = sample(method.descriptor.input_type, random.Random(1))
        assert await call(stubs.rpc, method, request) == answer
        if method in PEOPLE:
            assert await call(stubs.http, method, request) == answer
