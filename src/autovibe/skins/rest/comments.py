"""The comments of the proto files: the generated code has lost them, the descriptor set has not."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

from google.protobuf import descriptor_pb2

_MESSAGE: Final = descriptor_pb2.FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER
_SERVICE: Final = descriptor_pb2.FileDescriptorProto.SERVICE_FIELD_NUMBER
_FIELD: Final = descriptor_pb2.DescriptorProto.FIELD_FIELD_NUMBER
_METHOD: Final = descriptor_pb2.ServiceDescriptorProto.METHOD_FIELD_NUMBER


def comment(full_name: str) -> str:
    """Return what stands above a message, field, service or rpc; "" when nothing does."""
    return _comments().get(full_name, "")


@cache
def _comments() -> dict[str, str]:
    image = resources.files("autovibe.v1").joinpath("autovibe.binpb").read_bytes()
    found: dict[str, str] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(image).file:
        if file.package != "autovibe.v1":
            continue
        names = _names(file)
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name is not None and location.leading_comments:
                found[name] = " ".join(location.leading_comments.split())
    return found


def _names(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Return the full name of what each path of a file's source information points to."""
    names: dict[tuple[int, ...], str] = {}
    for m, message in enumerate(file.message_type):
        names[_MESSAGE, m] = full = f"{file.package}.{message.name}"
        for f, field in enumerate(message.field):
            names[_MESSAGE, m, _FIELD, f] = f"{full}.{field.name}"
    for s, service in enumerate(file.service):
        names[_SERVICE, s] = full = f"{file.package}.{service.name}"
        for r, method in enumerate(service.method):
            names[_SERVICE, s, _METHOD, r] = f"{full}.{method.name}"
    return names
