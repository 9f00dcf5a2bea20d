"""Services that do nothing but what a test tells them, behind the real contract."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from autovibe.db import Database
from autovibe.domains.contract import StreamPage
from autovibe.kernel.context import Actor
from autovibe.kernel.errors import UnauthenticatedError
from autovibe.kernel.paging import encode_token
from autovibe.operations import Operations, Registry
from autovibe.sdk.contract import Method, is_map, message_type, methods, rule_of, streams
from autovibe.v1 import options_pb2

TOKENS: Final = {
    "all": Actor("user", "owner", frozenset({"*"})),
    "reader": Actor("user", "reader", frozenset({"projects.read", "tasks.read"})),
}


class Stub:
    """A whole service: `answers` maps rpc attributes to what implements them.

    What is not given answers with an empty response and is noted in `calls`.
    """

    def __init__(self, service: str, **answers: Any) -> None:
        self.calls: list[tuple[str, Message]] = []
        for method in methods().values():
            if method.service == service:
                answer = answers.pop(method.attribute, None) or self._default(method)
                setattr(self, method.attribute, answer)
        for method in streams().values():
            if method.service == service:
                setattr(
                    self,
                    method.attribute,
                    answers.pop(method.attribute, None) or _EndedStream(method),
                )
        assert not answers, f"{service} has no {', '.join(answers)}"

    def _default(self, method: Method) -> Any:
        async def note(_tx: Any, _ctx: Any, request: Message) -> Message:
            self.calls.append((method.name, request))
            return method.response_type()

        if method.operation.kind == options_pb2.OPERATION_KIND_LONG:
            return LongStub(note)
        return note


class _EndedStream:
    """A stream that has nothing and is over."""

    def __init__(self, method: Method) -> None:
        self._method = method

    async def page(self, _tx: Any, _ctx: Any, _request: Message) -> StreamPage:
        return StreamPage(self._method.response_type(ended=True), "", 0, more=False)


class LongStub:
    """A long read out of one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    async def prepare(self, tx: Any, ctx: Any, request: Message) -> Message:
        return await self._function(tx, ctx, request)

    async def act(self, _ctx: Any, plan: Message) -> Message:
        return plan


async def authenticate(token: str) -> Actor:
    """Know the tokens `all` and `reader`."""
    if token not in TOKENS:
        raise UnauthenticatedError("The token is not valid; get a new one.")
    return TOKENS[token]


def operations_of(database: Database, **services: Any) -> Operations:
    """Return operations of services given as WorkService=…"""
    registry = Registry({f"autovibe.v1.{name}": service for name, service in services.items()})
    return Operations(database, registry, instance_id=uuid.uuid4())


def all_stubs() -> dict[str, Stub]:
    """Return a stub of every service, by full name."""
    return {name: Stub(name) for name in dict.fromkeys(m.service for m in methods().values())}


_PATTERN_SAMPLES: Final = {
    r"[!#-?A-Z^-~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*": "ada@example.org",
    r"[a-z0-9][a-z0-9._-]*": "ada",
    r"/[^\x00]*": "/srv/a b/ü",
    "[A-Z]{3}": "USD",
    "parent|children|[0-9a-f-]{36}": "parent",
    r"[A-Za-z0-9][A-Za-z0-9_.+#/-]{0,99}(:(beginner|intermediate|advanced|expert))?": "c++:expert",
    "[0-9a-f]{64}": "0f" * 32,
    "[0-9]{1,18}:[0-9]{1,18}": "1:20",
    "[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+": "text/plain",
    r"([^/\x00][^\x00]*)?": "src/a b/ü",
    r"0{1,9}(\.[0-9]{1,6})?|0{0,8}1(\.0{1,6})?": "0.25",
    r"[^\x00]*[^/\x00][^\x00]*": "*.l[ou]g",
    "[A-Za-z0-9_][A-Za-z0-9._-]*": "step-1",
    "[^=]{1,63}=.{0,255}": "team=web/ü",
    "[A-Za-z0-9][A-Za-z0-9._:@/-]*": "maker/model-1.5:free",
    "[a-z][a-z0-9_-]*": "our-vllm",
    r"[0-9]{1,9}(\.[0-9]{1,8})?": "1.38012345",
    "[0-9]{4}-[0-9]{2}-[0-9]{2}": "2026-10-31",
}
_WORDS: Final = ("a/b", "ü ✓", "..", "%2F", "x:pause", "a?b#c&d=e+f", "plain", "1", "true")


def sample(descriptor: Descriptor, rng: random.Random, depth: int = 0) -> Message:
    """Return a message with every field set as its rules allow, by chance."""
    message = message_type(descriptor)()
    for field in descriptor.fields:
        part = field.message_type
        if part is not None and is_map(field):
            getattr(message, field.name)[rng.choice(_WORDS)] = rng.choice(_WORDS)
        elif part is not None:
            target = getattr(message, field.name)
            target = target.add() if field.is_repeated else target
            if depth < 4:
                target.CopyFrom(_sample_part(part, rng, depth))
        elif field.is_repeated:
            getattr(message, field.name).extend(_sample_value(field, rng) for _ in range(2))
        else:
            setattr(message, field.name, _sample_value(field, rng))
    return message


def _sample_part(part: Descriptor, rng: random.Random, depth: int) -> Message:
    message = message_type(part)()
    if part.full_name == "google.protobuf.Timestamp":
        message.seconds, message.nanos = rng.randrange(2_000_000_000), rng.randrange(10**6) * 1000
        return message
    if part.full_name == "google.protobuf.Struct":
        message.update({"n": rng.random(), "t": rng.choice(_WORDS), "l": [1, None, {"d": True}]})
        return message
    return sample(part, rng, depth + 1)


def _sample_value(field: FieldDescriptor, rng: random.Random) -> Any:
    rule = rule_of(field)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return rng.random() * 1e6
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.randbytes(9)
    if field.type != FieldDescriptor.TYPE_STRING:
        most = rule.le if rule.HasField("le") else 2**31 - 1
        wide = field.type == FieldDescriptor.TYPE_INT64 and not rule.HasField("le")
        return 2**62 + rng.randrange(2**60) if wide else rng.randint(1, int(most))
    return _sample_text(rule, rng)


def _sample_text(rule: options_pb2.FieldRule, rng: random.Random) -> str:
    if rule.one_of:
        return rng.choice(list(rule.one_of))
    if rule.pattern in _PATTERN_SAMPLES:
        return _PATTERN_SAMPLES[rule.pattern]
    if rule.pattern:
        return rng.choice([word for word in _WORDS if re.fullmatch(rule.pattern, word)])
    if rule.format in _FORMAT_SAMPLES:
        return _FORMAT_SAMPLES[rule.format](rng)
    word = rng.choice(_WORDS)
    return word + "." * (rule.min_len - len(word))


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128)))


_FORMAT_SAMPLES: Final[dict[int, Callable[[random.Random], str]]] = {
    options_pb2.FORMAT_UUID: _uuid,
    options_pb2.FORMAT_ID_PREFIX: lambda rng: _uuid(rng)[: rng.randint(8, 36)],
    options_pb2.FORMAT_DECIMAL: lambda rng: f"{rng.randrange(1000)}.{rng.randrange(1000)}",
    options_pb2.FORMAT_AMOUNT: lambda rng: (
        f"{rng.randrange(1000)}{rng.choice(['', 'CAD', ' usd'])}"
    ),
    options_pb2.FORMAT_PAGE_TOKEN: lambda rng: encode_token(*(_uuid(rng) for _ in range(2))),
}
