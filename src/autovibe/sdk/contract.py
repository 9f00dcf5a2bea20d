"""Every rpc of the contract, read from its descriptors: what twins, operations and skins loop over.

It lies here because the sdk is the lowest layer that knows both the contract and the kernel.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

import autovibe.v1
from autovibe.v1 import options_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import FileDescriptor

PREFIX: Final = {
    options_pb2.AUDIENCE_PEOPLE: "/api/v1",
    options_pb2.AUDIENCE_MACHINE: "/agent/v1",
}
"""Where the operations of an audience are served over HTTP (decision A6)."""

_VARIABLE: Final = re.compile(r"{([a-z][a-z0-9_]*)}")


@dataclass(frozen=True)
class HttpRule:
    """How a method is called over HTTP."""

    verb: str
    """GET, PUT, POST, PATCH or DELETE."""
    template: str
    """Path with `{field}` variables, prefix included."""
    variables: tuple[str, ...]
    """Fields of the request that the path gives."""
    has_body: bool
    """The fields that are not in the path are the body; without a body they are the query."""


@dataclass(frozen=True)
class Method:
    """One rpc."""

    name: str
    """`autovibe.v1.WorkService/CreateTask`."""
    service: str
    """`autovibe.v1.WorkService`."""
    attribute: str
    """`create_task`: what implements it, and what twins call it."""
    descriptor: MethodDescriptor
    request_type: type[Message]
    response_type: type[Message]
    operation: options_pb2.Operation
    http: HttpRule | None


@cache
def methods() -> Mapping[str, Method]:
    """Return every rpc with one answer by its full name, in the order of the proto files."""
    return _methods(streaming=False)


@cache
def streams() -> Mapping[str, Method]:
    """Return every rpc whose answer is a stream, by its full name.

    Its requests have `cursor`, its responses `next_cursor` and `ended`, so that a stream that
    broke off goes on where it was.
    """
    return _methods(streaming=True)


def _methods(*, streaming: bool) -> Mapping[str, Method]:
    found: dict[str, Method] = {}
    for module in pkgutil.iter_modules(autovibe.v1.__path__):
        if not module.name.endswith("_pb2"):
            continue
        loaded = importlib.import_module(f"{autovibe.v1.__name__}.{module.name}")
        file = cast("FileDescriptor", loaded.DESCRIPTOR)
        for service in file.services_by_name.values():
            for descriptor in service.methods:
                if descriptor.server_streaming == streaming:
                    method = _method(service.full_name, descriptor)
                    found[method.name] = method
    return MappingProxyType(found)


def rule_of(field: FieldDescriptor) -> options_pb2.FieldRule:
    """Return what a field's value must fulfil."""
    return _option(field.GetOptions(), options_pb2.rule)


def is_map(field: FieldDescriptor) -> bool:
    """Return whether a field is a map; its entries are then the fields `key` and `value`."""
    part = field.message_type
    return part is not None and part.GetOptions().map_entry


def snake(name: str) -> str:
    """Return the snake_case form of a message's or an rpc's name."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def _method(service: str, descriptor: MethodDescriptor) -> Method:
    operation: options_pb2.Operation = _option(descriptor.GetOptions(), options_pb2.operation)
    return Method(
        name=f"{service}/{descriptor.name}",
        service=service,
        attribute=snake(descriptor.name),
        descriptor=descriptor,
        request_type=message_type(descriptor.input_type),
        response_type=message_type(descriptor.output_type),
        operation=operation,
        http=_http_rule(descriptor, operation),
    )


def message_type(descriptor: Descriptor) -> type[Message]:
    """Return the class of a message."""
    return message_factory.GetMessageClass(descriptor)


def _option(options: Any, extension: Any) -> Any:
    """Return an option of ours; the generated stubs do not say what type it has."""
    return options.Extensions[extension]


def _http_rule(descriptor: MethodDescriptor, operation: options_pb2.Operation) -> HttpRule | None:
    prefix = PREFIX.get(operation.audience)
    rule = _option(descriptor.GetOptions(), annotations_pb2.http)
    verb: str | None = rule.WhichOneof("pattern")
    if prefix is None or verb is None:
        return None
    template: str = getattr(rule, verb)
    return HttpRule(
        verb=verb.upper(),
        template=prefix + template,
        variables=tuple(_VARIABLE.findall(template)),
        has_body=rule.body == "*",
    )
