"""The one way into a service: validate, authorise, open the transaction, call, audit, commit."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar, cast

from google.protobuf.message import DecodeError, Message

from autovibe.db import Database, ReadTx, WriteTx
from autovibe.db.cache import region_of
from autovibe.db.errors import (
    DatabaseBusyError,
    DatabaseFullError,
    DatabaseOpenError,
    DatabaseReadOnlyError,
    DatabaseUnavailableError,
)
from autovibe.db.in_place import is_hot
from autovibe.db.records import AuditOutcome, AuditRecord, text_id
from autovibe.db.row_writes import InsertRows, Rows, write_rows
from autovibe.db.visibility import limit, sees_any
from autovibe.domains.contract import StreamPage
from autovibe.kernel.clock import Clock
from autovibe.kernel.context import Actor, CallContext
from autovibe.kernel.errors import (
    AutovibeError,
    Code,
    InvalidArgumentError,
    PermissionDeniedError,
)
from autovibe.operations.errors import NotForMachinesError
from autovibe.operations.registry import Operation, Registry
from autovibe.operations.replies import check_key, keep_answer, repeated_answer
from autovibe.operations.streaming import Renew, Streams
from autovibe.operations.viewers import viewer_of
from autovibe.sdk.contract import methods
from autovibe.v1 import options_pb2

_logger = logging.getLogger(__name__)

MAX_RERUNS: Final = 3
_BACKOFF_S: Final = 0.02
_AUDIT: Final = InsertRows(cast("Any", AuditRecord.__table__))
_LONGEST_TEXT: Final = 100
# A database that cannot take the change cannot take the row that tells of it either.
_DATABASE_TROUBLE: Final = (
    DatabaseBusyError,
    DatabaseFullError,
    DatabaseOpenError,
    DatabaseReadOnlyError,
    DatabaseUnavailableError,
)

TxT = TypeVar("TxT", bound=ReadTx)
T = TypeVar("T")


class Operations:
    """Runs operations on one database, for every skin and for the local twin alike."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        *,
        instance_id: uuid.UUID,
        clock: Clock | None = None,
    ) -> None:
        """Serve the operations of a registry as one instance; the clock is the database's."""
        self.registry = registry
        self._database = database
        self._instance_id = instance_id
        self._clock = clock or database.clock
        self._streams = Streams(database.bells)
        self._jitter = random.Random(os.getpid())  # noqa: S311 - spreads re-runs, guards nothing

    def context(self, actor: Actor) -> CallContext:
        """Return the context of a new call by an actor."""
        return CallContext(actor=actor, clock=self._clock, instance_id=self._instance_id)

    async def invoke(self, method: str, request: Message, ctx: CallContext) -> Message:
        """Run one operation and return its response after the commit.

        Args:
            method: full name of the rpc, such as `autovibe.v1.WorkService/CreateTask`.
            request: a message of the rpc's request type.
            ctx: who calls, under which request id.

        Raises:
            NotServedError: this process does not serve the operation.
            InvalidArgumentError: the request breaks rules of its fields.
            PermissionDeniedError: the actor lacks the operation's permission.
            AutovibeError: what the service raised; with reason INTERNAL for anything unexpected.
        """
        operation = self.registry.get(method)
        if not isinstance(request, operation.method.request_type):
            raise TypeError(f"{method} takes {operation.method.request_type.DESCRIPTOR.full_name}")
        operation.validator.check(request)
        check_key(operation, ctx)
        try:
            _check_permission(operation, ctx)
        except PermissionDeniedError as error:
            await self._audit_failure(operation, request, ctx, error)
            raise
        try:
            return await self._run(operation, request, ctx)
        except AutovibeError as caught:
            error = await self._denied_in_project(operation, request, ctx, caught) or caught
            if operation.audited:
                await self._audit_failure(operation, request, ctx, error)
            raise error from caught.__cause__
        except Exception as error:
            _logger.exception("request %s: %s failed", ctx.request_id, method)
            internal = AutovibeError(
                "Something went wrong inside autovibe; its log tells more under request "
                f"{ctx.request_id}.",
                request_id=ctx.request_id,
            )
            if operation.audited:
                await self._audit_failure(operation, request, ctx, internal)
            raise internal from error

    async def stream(
        self, method: str, request: Message, ctx: CallContext, renew: Renew | None = None
    ) -> AsyncGenerator[StreamPage]:
        """Give what comes behind the request's cursor, as it comes, until there is an end.

        Pages are read one by one, each when the one before was taken: a slow reader holds one page
        and no more. Now and then there is one without anything in it, so that both sides notice a
        broken connection. When the process ends, the stream does too, without having said so.

        Args:
            method: full name of the rpc.
            request: where to go on.
            ctx: who calls.
            renew: asks again who calls, from time to time; what it raises ends the stream.

        Raises:
            NotServedError: this process does not serve the operation.
            InvalidArgumentError: the request breaks rules of its fields.
            PermissionDeniedError: the actor lacks the operation's permission.
            AutovibeError: what the service raised.
        """
        operation = self.registry.get_stream(method)
        operation.validator.check(request)

        async def read(place: Message, ctx: CallContext) -> StreamPage:
            _check_permission(operation, ctx)
            return await self._transaction(
                self._database.read,
                lambda tx: operation.implementation.page(tx, ctx, place),
                operation,
                ctx,
            )

        async for page in self._streams.pages(operation, request, ctx, read, renew):
            yield page

    def end_streams(self) -> None:
        """End every stream after the page that it reads now."""
        self._streams.end()

    async def invoke_for_machine(self, method: str, request: bytes, ctx: CallContext) -> bytes:
        """Run an operation for machines from its encoded request; return the encoded response.

        Raises:
            NotForMachinesError: there is no such operation for machines.
            InvalidArgumentError: the request cannot be decoded, or breaks rules of its fields.
            AutovibeError: what the operation raises.
        """
        declared = methods().get(method)
        if declared is None or declared.operation.audience != options_pb2.AUDIENCE_MACHINE:
            raise NotForMachinesError(
                f"{method[:_LONGEST_TEXT]} is not for machines; see /agent/v1.",
                operation=method[:_LONGEST_TEXT],
            )
        message = declared.request_type()
        try:
            message.ParseFromString(request)
        except DecodeError:
            raise InvalidArgumentError(
                f"The request is no {declared.descriptor.input_type.full_name}; send one."
            ) from None
        return (await self.invoke(method, message, ctx)).SerializeToString()

    async def _run(self, operation: Operation, request: Message, ctx: CallContext) -> Message:
        if operation.kind == options_pb2.OPERATION_KIND_LONG:
            return await self._run_long(operation, request, ctx)
        call = cast("Callable[..., Awaitable[Message]]", operation.implementation)
        if operation.kind == options_pb2.OPERATION_KIND_READ:
            return await self._read(operation, call, request, ctx)

        if is_hot(call) and ctx.actor.sees_all and not (operation.audited and ctx.idempotency_key):
            hot = cast("Callable[..., Coroutine[Any, Any, Message]]", call)

            async def work(tx: WriteTx) -> Message:
                response = await hot(tx, ctx, request)
                if operation.audited:
                    await _audit_at_once(tx, operation, request, response, ctx)
                return response

            return await self._again(lambda: self._database.write_in_place(work))
        return await self._write(operation, lambda tx: call(tx, ctx, request), request, ctx)

    async def _write(
        self,
        operation: Operation,
        call: Callable[[WriteTx], Awaitable[Message | AutovibeError]],
        request: Message,
        ctx: CallContext,
    ) -> Message:
        """Write, or answer as the first call with this idempotency key was answered.

        A service that must keep what it wrote about a refusal returns the error instead of raising
        it: it is raised after the commit.
        """

        async def write(tx: WriteTx) -> Message | AutovibeError:
            answered = await repeated_answer(tx, operation, request, ctx)
            if answered is not None:
                return answered
            response = await call(tx)
            if isinstance(response, AutovibeError):
                return response
            _audit_success(tx, operation, request, response, ctx)
            await keep_answer(tx, operation, request, ctx, response)
            return response

        outcome = await self._transaction(self._database.write, write, operation, ctx)
        if isinstance(outcome, AutovibeError):
            raise outcome
        return outcome

    async def _read(
        self,
        operation: Operation,
        call: Callable[..., Awaitable[Message]],
        request: Message,
        ctx: CallContext,
    ) -> Message:
        """Answer from the query cache where the operation opted in, else from the database."""

        async def load() -> Message:
            return await self._transaction(
                self._database.read, lambda tx: call(tx, ctx, request), operation, ctx
            )

        region = region_of(call)
        # What one sees depends on more than the tables of the answer: one's projects.
        if region is None or not ctx.actor.sees_all:
            return await load()
        viewer = f"{ctx.actor.type}/{ctx.actor.id}"
        return await self._database.cache.answer(
            region, request, viewer, load, operation.method.response_type
        )

    async def _run_long(self, operation: Operation, request: Message, ctx: CallContext) -> Message:
        """Prepare, act, record. Only the transactions are re-run: what was done is not repeated."""
        steps = operation.implementation
        records = hasattr(steps, "record")

        async def prepare(tx: ReadTx) -> tuple[Message | None, Any]:
            answered = await repeated_answer(tx, operation, request, ctx) if records else None
            plan = None if answered is not None else await steps.prepare(tx, ctx, request)
            return answered, plan

        answered, plan = await self._transaction(self._database.read, prepare, operation, ctx)
        if answered is not None:
            return answered
        outcome: Any = await steps.act(ctx, plan)
        if not records:
            return outcome
        return await self._write(
            operation, lambda tx: steps.record(tx, ctx, plan, outcome), request, ctx
        )

    async def _transaction(
        self,
        open_transaction: Callable[[], AbstractAsyncContextManager[TxT]],
        body: Callable[[TxT], Awaitable[T]],
        operation: Operation,
        ctx: CallContext,
    ) -> T:
        """Run a body in a transaction of its own, and again when it lost a race.

        The transaction sees what the actor may see for this operation, and no more.
        """
        viewer = viewer_of(ctx.actor, operation.permission)

        async def run() -> T:
            async with open_transaction() as tx:
                if viewer is not None:
                    limit(tx.session, viewer)
                return await body(tx)

        return await self._again(run)

    async def _again(self, run: Callable[[], Awaitable[T]]) -> T:
        """Run a whole transaction, and again when it lost a race."""
        for rerun in range(MAX_RERUNS + 1):
            try:
                return await run()
            except Exception as error:
                if rerun == MAX_RERUNS or not self._database.dialect.is_retryable(error):
                    raise
            await asyncio.sleep(_BACKOFF_S * 2**rerun * (0.5 + self._jitter.random()))
        raise AssertionError("unreachable: the last run returns or raises")

    async def _denied_in_project(
        self, operation: Operation, request: Message, ctx: CallContext, error: AutovibeError
    ) -> AutovibeError | None:
        """Return the refusal where one may see what was not found, and may not do this to it."""
        if error.code is not Code.NOT_FOUND or ctx.actor.sees_all:
            return None
        names = [value for _, value in request.ListFields() if isinstance(value, str)]
        may_change = viewer_of(ctx.actor, operation.permission)
        may_see = viewer_of(ctx.actor, operation.permission, for_everything=True)
        if may_change is None or may_see is None or may_change == may_see:
            return None
        async with self._database.read() as tx:
            if await sees_any(tx, may_change, names) or not await sees_any(tx, may_see, names):
                return None
        return PermissionDeniedError(
            f"Your role in this project lacks the permission {operation.permission}; ask an admin "
            "of the project.",
            permission=operation.permission,
            operation=operation.method.name,
        )

    async def _audit_failure(
        self, operation: Operation, request: Message, ctx: CallContext, error: AutovibeError
    ) -> None:
        """Tell of a refused or failed call in a transaction of its own: the call's is gone."""
        if isinstance(error, _DATABASE_TROUBLE):
            return
        failed = type(error) is AutovibeError
        resource = operation.find_resource(request, None)
        try:
            async with self._database.write() as tx:
                tx.audit(
                    actor_type=ctx.actor.type,
                    actor_id=ctx.actor.id[:_LONGEST_TEXT],
                    operation=operation.method.name,
                    outcome=AuditOutcome.FAILED if failed else AuditOutcome.REFUSED,
                    resource_type=resource.type,
                    resource_id=resource.id,
                    reason=error.reason,
                    request_id=ctx.request_id,
                )
        except Exception:  # the caller gets the error of the call, not that of its audit row
            _logger.exception("request %s: its failure could not be audited", ctx.request_id)


def _check_permission(operation: Operation, ctx: CallContext) -> None:
    """Refuse who lacks the permission of an operation.

    Raises:
        PermissionDeniedError: the actor does.
    """
    if not operation.is_anonymous and not ctx.actor.may(operation.permission):
        raise PermissionDeniedError(
            f"This token lacks the permission {operation.permission}; use one that has it.",
            permission=operation.permission,
            operation=operation.method.name,
        )


async def _audit_at_once(
    tx: WriteTx, operation: Operation, request: Message, response: Message, ctx: CallContext
) -> None:
    """Write the audit row of a hot operation, which adds no objects."""
    resource = operation.find_resource(request, response)
    each: dict[str, Sequence[Any]] = {
        "at": [ctx.clock.now()],
        "actor_type": [ctx.actor.type],
        "actor_id": [ctx.actor.id],
        "operation": [operation.method.name],
        "outcome": [AuditOutcome.OK],
        "resource_type": [resource.type],
        "resource_id": [text_id(resource.id)],
        "request_id": [ctx.request_id],
        "details": [{}],
    }
    await write_rows(tx, (_AUDIT, Rows(each)))


def _audit_success(
    tx: WriteTx, operation: Operation, request: Message, response: Message, ctx: CallContext
) -> None:
    if not operation.audited:
        return
    resource = operation.find_resource(request, response)
    tx.audit(
        actor_type=ctx.actor.type,
        actor_id=ctx.actor.id[:_LONGEST_TEXT],
        operation=operation.method.name,
        resource_type=resource.type,
        resource_id=resource.id,
        request_id=ctx.request_id,
    )
