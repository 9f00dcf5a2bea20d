"""A repeat of a change with the same idempotency key: the same answer, and nothing done again."""

from __future__ import annotations

import hashlib
import json

from google.protobuf.message import Message

from autovibe.db import ReadTx, WriteTx
from autovibe.db.records import IdempotentReply
from autovibe.db.replies import find_reply, keep_reply
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import IdempotencyKeyReusedError, InvalidArgumentError
from autovibe.kernel.protojson import from_json, to_json_bytes
from autovibe.operations.registry import Operation


def check_key(operation: Operation, ctx: CallContext) -> None:
    """Refuse a key where the answer holds a secret, which is told once.

    Raises:
        InvalidArgumentError: the operation takes no key.
    """
    if ctx.idempotency_key and operation.method.operation.answers_once:
        raise InvalidArgumentError(
            f"{operation.method.name} answers once; call it without an idempotency key.",
            field="idempotency_key",
        )


async def repeated_answer(
    tx: ReadTx, operation: Operation, request: Message, ctx: CallContext
) -> Message | None:
    """Return the answer of the first call with this key; None if this is the first.

    Raises:
        IdempotencyKeyReusedError: that call was another one.
    """
    if not ctx.idempotency_key:
        return None
    kept = await find_reply(tx, ctx.actor.id, ctx.idempotency_key, ctx.clock.now())
    if kept is None:
        return None
    if kept.operation != operation.method.name or kept.request_hash != _hash(request):
        raise IdempotencyKeyReusedError(
            f"The idempotency key {ctx.idempotency_key!r} was used for another call; "
            "take a new key for each.",
            idempotency_key=ctx.idempotency_key,
        )
    answer = operation.method.response_type()
    from_json(json.loads(kept.response), answer)
    return answer


async def keep_answer(
    tx: WriteTx, operation: Operation, request: Message, ctx: CallContext, response: Message
) -> None:
    """Keep the answer of a call with a key, in the call's own transaction."""
    if not ctx.idempotency_key:
        return
    await keep_reply(
        tx,
        IdempotentReply(
            actor_id=ctx.actor.id,
            idempotency_key=ctx.idempotency_key,
            operation=operation.method.name,
            request_hash=_hash(request),
            response=to_json_bytes(response).decode(),
            created_at=ctx.clock.now(),
        ),
        ctx.clock.now(),
    )


def _hash(request: Message) -> str:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
