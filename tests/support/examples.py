"""Examples of requests and answers: those of a walk, with one set of ids, times and secrets."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message

from autovibe.kernel.protojson import to_json
from autovibe.sdk.contract import Method
from autovibe.v1 import options_pb2

_LONGEST: Final = 6_000
_ITEMS: Final = 2
_TIME: Final = "2026-01-15T09:30:00Z"
_DIRECTORY: Final = "/srv/autovibe"
_OWN_HOST: Final = "worker-1.example.org"
_HOSTS: Final = {"host", "hostname"}
_STEADY: Final = {"pid": 4242, "etag": "5f2b8c1d0e9a4736b1c2d3e4f5a60718", "address": "192.0.2.7"}

_KINDS: Final[dict[str, Callable[[int], str]]] = {
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": lambda n: str(
        uuid.uuid5(uuid.NAMESPACE_URL, f"example {n}")
    ),
    r"\b[0-9a-f]{64}\b": lambda n: hashlib.sha256(b"example %d" % n).hexdigest(),
    r"\b[0-9a-f]{40}\b": lambda n: hashlib.sha256(b"example %d" % n).hexdigest()[:40],
    r"avt_[A-Za-z0-9_-]+": lambda n: f"avt_example{n}",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z": lambda _: _TIME,
}


def examples_of(
    answered: Iterable[tuple[Method, Message, Message]], directory: Path
) -> dict[str, dict[str, Any]]:
    """Return one example for each operation for people: that which shows most.

    Args:
        answered: what a walk asked, and what was answered.
        directory: of the walk; what lies in it is shown in somebody's home.
    """
    best: dict[str, tuple[int, dict[str, Any]]] = {}
    for method, request, response in answered:
        if method.operation.audience != options_pb2.AUDIENCE_PEOPLE:
            continue
        name = method.descriptor.name
        example = _example(
            _shown(_given(to_json(request)), directory), _shown(to_json(response), directory)
        )
        size = len(json.dumps(example))
        shown = size if size <= _LONGEST else -size
        if name not in best or shown > best[name][0]:
            best[name] = shown, example
    found = {name: example for name, (_, example) in best.items()}
    user, task = found["GetUser"]["response"], found["GetTask"]["response"]
    (order, *_) = found["ListWorkOrders"]["response"]["work_orders"]
    # What no walk gets done: nobody has read the mail, and no order of it has died.
    found |= {
        "ChangePassword": _example(
            {"current_password": "correct horse", "new_password": "battery staple"}, {}
        ),
        "RequestEmailVerification": _example({}, {}),
        "VerifyEmail": _example({"token": "avt_example1"}, user | {"is_verified": True}),
        "RequeueWorkOrder": _example({"work_order_id": order["id"]}, order | {"status": "pending"}),
        "RetryTask": _example(
            {"task_id": task["id"], "budget": "2.00CAD"}, task | {"status": "queued"}
        ),
    }
    return dict(sorted(found.items()))


def _example(request: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    return {"request": request, "response": response}


def _given(value: Any) -> Any:
    """Leave out of a request what was not given."""
    if isinstance(value, dict):
        kept = {name: _given(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if part not in ("", 0, False, [], {})}
    return [_given(part) for part in value] if isinstance(value, list) else value


def _shown(value: Any, directory: Path) -> Any:
    text = json.dumps(_steady(value)).replace(str(directory), _DIRECTORY)
    for pattern, make in _KINDS.items():
        found: dict[str, str] = {}
        text = re.sub(
            pattern,
            lambda match, found=found, make=make: found.setdefault(match[0], make(len(found) + 1)),
            text,
        )
    return json.loads(text)


def _steady(value: Any, name: str = "") -> Any:
    if name in _HOSTS and value:
        return _OWN_HOST
    if name in _STEADY and value:
        return _STEADY[name]
    if isinstance(value, dict):
        return {key: _steady(part, key) for key, part in value.items()}
    return [_steady(part) for part in value[:_ITEMS]] if isinstance(value, list) else value
