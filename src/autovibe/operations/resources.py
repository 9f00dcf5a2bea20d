"""Which thing an operation was about, for the audit trail: read from the shapes of its messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from autovibe.sdk.contract import Method, snake


class Resource(NamedTuple):
    """A kind of thing and its id; both `None` when an operation is about no single thing."""

    type: str | None
    id: str | None


NOTHING = Resource(None, None)
ResourceFinder = Callable[[Message, Message | None], Resource]


def resource_finder(method: Method) -> ResourceFinder:
    """Return what finds the thing in a request and, if there is one, its response.

    The response says it best: an entity (`id`), an entity in it, or an `<entity>_id`. Otherwise
    the request names it the same way.
    """
    in_response = _finder(method.descriptor.output_type)
    in_request = _finder(method.descriptor.input_type, snake(_noun(method.descriptor.name)))

    def find(request: Message, response: Message | None) -> Resource:
        if response is not None and in_response is not None:
            found = in_response(response)
            if found.id:
                return found
        if in_request is not None:
            found = in_request(request)
            if found.id:
                return found
        return NOTHING

    return find


def _noun(rpc: str) -> str:
    """Return `Instance` for `RemoveInstance`."""
    second = next((i for i, char in enumerate(rpc) if i and char.isupper()), 0)
    return rpc[second:]


def _finder(
    descriptor: Descriptor, own_type: str | None = None
) -> Callable[[Message], Resource] | None:
    fields = descriptor.fields
    if _is_text(descriptor.fields_by_name.get("id")):
        kind = own_type or snake(descriptor.name)
        return lambda message: Resource(kind, getattr(message, "id"))  # noqa: B009 - a field of any message
    for field in fields:
        if field.name.endswith("_id") and _is_text(field):
            return _named_id(field.name)
    for field in fields:
        part = field.message_type
        if part is not None and not field.is_repeated and _is_text(part.fields_by_name.get("id")):
            return _part_id(field.name, snake(part.name))
    return None


def _is_text(field: FieldDescriptor | None) -> bool:
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


def _named_id(name: str) -> Callable[[Message], Resource]:
    kind = name.removesuffix("_id")
    return lambda message: Resource(kind, getattr(message, name))


def _part_id(name: str, kind: str) -> Callable[[Message], Resource]:
    return lambda message: Resource(kind, getattr(message, name).id)
