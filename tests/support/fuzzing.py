"""Calls that nobody thought of, made by Schemathesis from the OpenAPI document of a real server."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import schemathesis
from google.protobuf.message import Message
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import Status, events, from_schema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from autovibe.operations import Operations

BETWEEN_FIELDS: Final = {
    ("AnswerApproval", "choice"): "for everything but a question",
    ("AnswerApproval", "text"): "for a question",
    ("SetPermissionPolicy", "policy.rules"): "which parts of a rule go together",
    ("CreateConversation", "task_id"): "a task or a project is named",
    ("CreateConversation", "project"): "the task that is named too is another project's",
    ("SendMessage", "conversation_id"): "a conversation, a task or a project is named, not two",
    ("SearchMessages", "query"): "spaces only are no words",
    ("AttachFile", "file_name"): "a name is no step in a path, and has at most 255 bytes",
    ("AttachFile", "ATTACHMENT_TYPE_REFUSED"): "the settings know which types are taken",
    ("AttachFile", "ATTACHMENT_TOO_LARGE"): "the settings know how large a file may be",
    ("*", "DOCUMENT_TOO_LARGE"): "the settings know how large a document may be",
    ("EnsureProject", "project"): "one of two fields must be given, whichever",
    ("CreateTask", "description"): "only a shell with arguments needs no prompt",
    ("CreateTask", "base_checkpoint_id"): "a checkpoint must belong to the task's project",
    ("ForkCheckpoint", "description"): "as CreateTask; a prompt of spaces only is none",
    ("CreateTasks", "base_checkpoint_id"): "a project of the batch needs a checkpoint first",
    ("CreateTasks", "description"): "as CreateTask, for each of its tasks",
    ("CreateTasks", "tasks"): "keys are given once, and name tasks of the request",
    ("*", "metadata.labels"): "free data has no schema, and labels in it have",
    ("SetEgress", "egress.allow"): "which texts name a host is more than a pattern says",
    ("*", "ETAG_MISMATCH"): "only etags that an answer gave are current",
    ("*", "expires_at"): "a token ends in the future",
    ("*", "password"): "a person has one of 10 characters and 72 bytes, a service account none",
    ("CreateToken", "for_worker"): "a worker's token has no user and no scopes of its own",
    ("CreateToken", "scopes"): "which permissions there are is not part of a request's schema",
    ("GetTaskGraph", "task_id"): "a task or a project is named, not both",
    ("ApplyTask", "branch"): "git knows which texts name a branch",
    ("SetBudget", "amount"): "only money has a currency",
    ("RaiseBudget", "amount"): "as SetBudget, and above 0",
    ("RaiseBudget", "budget_period"): "as SetBudget",
    ("ImportExchangeRates", "rates"): "a day exists, is not to come, and has one rate above 0",
    ("SetModelPolicy", "allowed"): "patterns are checked one by one",
    ("SetModelPolicy", "aliases"): "no alias stands for another",
    ("SetModelPolicy", "provider_features"): "features are checked one by one",
    ("SetEgress", "allow"): "hosts are checked one by one",
    ("SetModelPolicy", "routes"): "the settings know which upstreams there are",
    ("SetBudget", "budget_period"): "a task has one budget for all its time",
    ("ResumeTask", "budget"): "a task that may cost nothing cannot go on",
    ("RetryTask", "budget"): "as ResumeTask",
    ("*", "UNKNOWN_AGENT"): "which agents there are is not part of the contract",
    ("*", "capabilities"): "each is named once",
    ("*", "exclude"): "a character class in a pattern may be no range, as in [z-a]",
    ("*", "NOT_A_DIRECTORY"): "what lies on the server's disk is not part of the contract",
    ("*", "path"): "a path may not climb",
    ("*", "metadata"): "no text in free data may hold NUL, and free data has no schema",
    ("*", "page_token"): "a token is opaque: only those that an answer gave are taken",
}
"""What a schema cannot say of a request: (operation, field or reason) with why."""

STREAM: Final = "text/event-stream"
"""Media type of what is not called: followers of a log are tested by themselves."""
_LONGEST_QUERY: Final = 60_000

_CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "what_fits_is_taken",
    "reason_is_declared",
)


@schemathesis.check
def what_fits_is_taken(ctx: Any, response: Any, case: Any) -> bool | None:
    """Check as positive_data_acceptance does, but for what no schema can say."""
    try:
        return positive_data_acceptance(ctx, response, case)
    except Failure:
        if _is_another_path(case):
            return None
        problem = response.json()
        params = problem["params"]
        blamed = {problem["reason"], params.get("field"), params.get("what")}
        operation = case.operation.definition.raw["operationId"]
        if any((name, what) in BETWEEN_FIELDS for name in (operation, "*") for what in blamed):
            return None
        raise


def _is_another_path(case: Any) -> bool:
    """Return whether a variable of the path is empty: it is then the path of something else.

    The phase `stateful` does so with ids that an answer gave as "", for none.
    """
    return any(value == "" for value in (case.path_parameters or {}).values())


def fits_in_a_request_line(context: Any, case: Any) -> bool:
    """Leave out calls whose address alone is too long for any HTTP server, as ours says in text."""
    query = case.query if isinstance(case.query, dict) else {}
    return len(urlencode(query, doseq=True, errors="replace")) < _LONGEST_QUERY


class UndeclaredReason(Failure):
    """An error whose reason is not in the document of the operation."""


@schemathesis.check
def reason_is_declared(_ctx: Any, response: Any, case: Any) -> None:
    """Check that the document names the reason of an error under its status."""
    if response.status_code < 400 or response.status_code == 405:
        return
    if _is_another_path(case):
        return
    problem = response.json()
    documented = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    if f"`{problem['reason']}`" not in documented.get("description", ""):
        raise UndeclaredReason(
            operation=case.operation.label,
            title="Reason is not declared",
            message=f"{response.status_code} {problem['reason']}: {problem['detail']}",
        )


@dataclass
class Confined:
    """A long operation whose directory is one of three below a directory of the test's own.

    The server would read and write wherever a request says: that is what these operations are for.
    """

    implementation: Any
    base: Path

    async def prepare(self, tx: Any, ctx: Any, request: Message) -> Any:
        """Prepare with another directory: a full one, an empty one, or one that is not there."""
        given: str = getattr(request, "directory")  # noqa: B009 - a field of three messages
        chosen = hashlib.sha256(given.encode()).digest()[0] % 3
        fresh = f"fresh-{hashlib.sha256(given.encode()).hexdigest()[:16]}"
        directory = self.base / ("full", "empty", fresh)[chosen]
        setattr(request, "directory", str(directory))  # noqa: B010 - as above
        return await self.implementation.prepare(tx, ctx, request)

    def __getattr__(self, name: str) -> Any:
        """Act and record as the implementation does."""
        return getattr(self.implementation, name)


def confine(operations: Operations, base: Path) -> None:
    """Keep what reads or writes directories on the server's host below a directory."""
    (base / "full").mkdir(parents=True)
    (base / "full/file").write_text("something\n")
    (base / "empty").mkdir()
    confined = 0
    for operation in operations.registry:
        if "directory" in operation.method.descriptor.input_type.fields_by_name:
            object.__setattr__(
                operation, "implementation", Confined(operation.implementation, base)
            )
            confined += 1
    assert confined == 3, "ImportDirectory, ScanSecrets, RestoreCheckpoint"


@dataclass(frozen=True)
class Fuzzed:
    """What came of a run."""

    operations: Collection[str]
    calls: int
    problems: list[str]


def fuzz(
    document: dict[str, Any],
    url: str,
    token: str,
    *,
    seed: int,
    examples: int,
    phases: Collection[str],
) -> Fuzzed:
    """Call a server; this blocks.

    Args:
        document: what the server gives as /openapi.json.
        url: of the REST skin.
        token: of somebody who may do everything.
        seed: makes the run the same again.
        examples: random calls per operation, beside those of the phase `coverage`.
        phases: of coverage, fuzzing, stateful.
    """
    for path, verbs in list(document["paths"].items()):
        # A stream goes on until its task has ended: nobody ends one here.
        if any(STREAM in one["responses"]["200"]["content"] for one in verbs.values()):
            del document["paths"][path]
    for verbs in document["paths"].values():
        for operation in verbs.values():
            # Anything would conform to it; what a run meets must be declared by its status.
            del operation["responses"]["default"]
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "suppress-health-check": ["all"],
            "base-url": url,
            "headers": {"Authorization": f"Bearer {token}"},
            "continue-on-failure": True,
            "output": {"sanitization": {"enabled": False}},
            "generation": {"max-examples": examples, "database": "none", "no-shrink": True},
            "checks": {"enabled": False} | {name: {"enabled": True} for name in _CHECKS},
            "phases": {
                name: {"enabled": name in phases}
                for name in ("examples", "coverage", "fuzzing", "stateful")
            },
        }
    )
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.hook("filter_case")(fits_in_a_request_line)
    operations: set[str] = set()
    problems: list[str] = []
    calls = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            if event.phase.value in {"coverage", "fuzzing"} and event.status != Status.SKIP:
                operations.add(event.recorder.label)
            calls += len(event.recorder.interactions)
            problems += _problems(event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            problems.append(f"error of the run: {getattr(event, 'info', event)}")
    return Fuzzed(operations, calls, sorted(set(problems)))


def _problems(recorder: Any) -> Iterator[str]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status == Status.FAILURE:
                request = recorder.interactions[case_id].request
                failure = check.failure_info.failure
                yield (
                    f"{recorder.label}: {check.name}: {failure.title}: {failure.message}\n"
                    f"    {request.method} {request.uri} {request.body!r}"[:1500]
                    + f"\n    {_told(recorder.interactions[case_id].response)}"[:500]
                )


def _told(response: Any) -> str:
    return "no answer" if response is None else f"{response.status_code} {response.content!r}"
