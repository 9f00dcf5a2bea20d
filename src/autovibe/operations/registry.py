"""Which object implements each rpc, checked when the process starts."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autovibe.operations.errors import NotServedError
from autovibe.operations.resources import ResourceFinder, resource_finder
from autovibe.operations.validation import Validator, rule_problems, validator
from autovibe.sdk.contract import Method, methods, streams
from autovibe.v1 import options_pb2


class RegistryError(Exception):
    """Services and contract do not fit; a mistake in the program, found at its start."""


@dataclass(frozen=True)
class Operation:
    """One rpc with its implementation and all that is worked out ahead of a call."""

    method: Method
    implementation: Any
    """A method `(tx, ctx, request)`, or a `LongOperation` or `LongRead`."""
    validator: Validator
    find_resource: ResourceFinder
    kind: options_pb2.OperationKind
    permission: str
    is_anonymous: bool
    """Whether it is called without a token."""
    audited: bool
    """Whether it changes something that the audit trail tells of."""


class Registry:
    """The operations of the services that this process serves.

    A service that is not given is absent on purpose: its operations answer NOT_SERVED.
    """

    def __init__(self, services: Mapping[str, object]) -> None:
        """Bind services by full name (`autovibe.v1.WorkService`).

        Raises:
            RegistryError: a service is unknown, an rpc has no implementation, or one of the wrong
                shape.
        """
        self._operations: dict[str, Operation] = {}
        declared = (*methods().values(), *streams().values())
        unknown = set(services) - {method.service for method in declared}
        problems = [f"the contract has no service {name}" for name in sorted(unknown)]
        for method in methods().values():
            service = services.get(method.service)
            if service is None:
                continue
            implementation = getattr(service, method.attribute, None)
            problem = _problem(method, implementation)
            if problem is not None:
                problems.append(f"{method.name}: {problem}")
                continue
            self._operations[method.name] = _operation(method, implementation)
        self._streams: dict[str, Operation] = {}
        for method in streams().values():
            service = services.get(method.service)
            if service is None:
                continue
            implementation = getattr(service, method.attribute, None)
            if not inspect.iscoroutinefunction(getattr(implementation, "page", None)):
                problems.append(f"{method.name}: {method.attribute} must be a StreamOperation")
                continue
            self._streams[method.name] = _operation(method, implementation)
        for descriptor in {method.descriptor.input_type for method in declared}:
            problems += rule_problems(descriptor)
        if problems:
            raise RegistryError("; ".join(problems))

    def __iter__(self) -> Iterator[Operation]:
        """Give every operation, in the order of the proto files."""
        return iter(self._operations.values())

    @property
    def streams(self) -> Collection[Operation]:
        """The operations whose answer is a stream; no loop over the registry gives them."""
        return self._streams.values()

    def get_stream(self, name: str) -> Operation:
        """Return the streaming operation of an rpc's full name.

        Raises:
            NotServedError: this process does not serve it.
        """
        operation = self._streams.get(name)
        if operation is None:
            raise NotServedError(
                f"{name} is not served here; ask a server that has it.", operation=name
            )
        return operation

    def get(self, name: str) -> Operation:
        """Return the operation of an rpc's full name.

        Raises:
            NotServedError: this process does not serve it.
        """
        operation = self._operations.get(name)
        if operation is None:
            raise NotServedError(
                f"{name} is not served here; ask a server that has it.", operation=name
            )
        return operation


def _operation(method: Method, implementation: Any) -> Operation:
    kind = method.operation.kind
    records = kind == options_pb2.OPERATION_KIND_WRITE or hasattr(implementation, "record")
    return Operation(
        method=method,
        implementation=implementation,
        validator=validator(method.descriptor.input_type),
        find_resource=resource_finder(method),
        kind=kind,
        permission=method.operation.permission,
        is_anonymous=method.operation.anonymous,
        audited=records and not method.operation.unaudited,
    )


def _problem(method: Method, implementation: object) -> str | None:
    declared = method.operation
    if not (declared.permission and declared.audience and declared.kind):
        return "the contract names no kind, no audience or no permission"
    if declared.kind != options_pb2.OPERATION_KIND_LONG:
        is_async = inspect.iscoroutinefunction(implementation)
        return None if is_async else f"{method.attribute} must be an async method"
    steps = ["prepare", "act", *(["record"] if hasattr(implementation, "record") else [])]
    if not all(inspect.iscoroutinefunction(getattr(implementation, step, None)) for step in steps):
        return f"{method.attribute} must have the async methods of a LongOperation or LongRead"
    return None
