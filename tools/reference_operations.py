"""The page of operations: every rpc with its HTTP path, permission and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from repository import ROOT

from autovibe.v1 import options_pb2

# The order in which domains build on each other.
ORDER: Final = ("identity", "projects", "machines", "checkpoints", "metering", "work")
PREFIX: Final = {
    options_pb2.AUDIENCE_PEOPLE: "/api/v1",
    options_pb2.AUDIENCE_MACHINE: "/agent/v1",
}
KINDS: Final = {
    options_pb2.OPERATION_KIND_READ: "read",
    options_pb2.OPERATION_KIND_WRITE: "write",
    options_pb2.OPERATION_KIND_LONG: "long",
}
HEAD: Final = """# Operations

One declaration in `proto/autovibe/v1` makes each of these a REST route and a gRPC method. A read
has one read transaction, a write one write transaction; a long operation prepares in one, acts
without one, and records in another. Operations without an HTTP path are called by autovibe's own
processes over gRPC. Beside the reasons listed, every operation may answer INVALID_ARGUMENT,
UNAUTHENTICATED, PERMISSION_DENIED or UNAVAILABLE. What each reason means: [errors](errors.md).
"""
Comments = dict[tuple[int, ...], str]


def page() -> str:
    """Return the page."""
    image = ROOT / "src/autovibe/v1/autovibe.binpb"
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file
    ours = [file for file in files if file.package == "autovibe.v1" and file.service]
    return HEAD + "".join(line + "\n" for file in sorted(ours, key=place) for line in domain(file))


def place(file: descriptor_pb2.FileDescriptorProto) -> tuple[int, str]:
    """Return where a file's domain comes on the page."""
    name = domain_name(file)
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def domain_name(file: descriptor_pb2.FileDescriptorProto) -> str:
    """Return `work` for autovibe/v1/work.proto."""
    return file.name.rsplit("/", 1)[1].removesuffix(".proto")


def domain(file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    """Give the lines of one domain."""
    comments: Comments = {
        tuple(where.path): " ".join(where.leading_comments.split())
        for where in file.source_code_info.location
    }
    yield f"\n## {domain_name(file).capitalize()}"
    for s, service in enumerate(file.service):
        yield f"\n`autovibe.v1.{service.name}`: {comments.get((6, s), '')}\n"
        yield "| rpc | HTTP | kind | permission | errors | what it does |"
        yield "|---|---|---|---|---|---|"
        for m, method in enumerate(service.method):
            yield row(method, comments.get((6, s, 2, m), ""))


def row(method: descriptor_pb2.MethodDescriptorProto, comment: str) -> str:
    """Return one operation as a row of the table."""
    operation = method.options.Extensions[options_pb2.operation]
    kind = KINDS[operation.kind] + (", idempotent" if operation.idempotent else "")
    cells = (
        f"`{method.name}`",
        http(method, operation),
        kind,
        f"`{operation.permission}`",
        " ".join(f"`{reason}`" for reason in operation.errors),
        comment.replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |"


def http(method: descriptor_pb2.MethodDescriptorProto, operation: options_pb2.Operation) -> str:
    """Return the HTTP method and path, or that there is none."""
    prefix = PREFIX.get(operation.audience)
    rule = method.options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    if prefix is None or verb is None:
        return "gRPC only"
    return f"`{verb.upper()} {prefix}{getattr(rule, verb)}`"
