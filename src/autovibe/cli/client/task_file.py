"""Files of tasks: a graph in YAML, as docs/formats/task-graph.md says.

Only the tree of such a file is used: no value is ever constructed from a tag, anchors and aliases
are refused (a few lines of them can stand for gigabytes), and so is whatever nests deeper than a
graph can. Every refusal names the line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeAlias, cast

import yaml

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.units import parse_duration_s
from autovibe.v1 import tasks_pb2

MAX_BYTES: Final = 1_000_000
_DEEPEST: Final = 6
_VERSION: Final = "1"
_TOP: Final = ("version", "project", "defaults", "tasks")
_DIGITS: Final = 3
_BOOLEANS: Final = {"true": True, "false": False}

Set: TypeAlias = Callable[[tasks_pb2.TaskSpec, "_Value"], None]


@dataclass(frozen=True)
class GraphFile:
    """What a file holds; `project` is "" when it names none."""

    project: str
    tasks: list[tasks_pb2.TaskSpec]


@dataclass(frozen=True)
class _Value:
    """A node of the file under its name."""

    name: str
    node: yaml.Node

    def refuse(self, why: str) -> NoReturn:
        """Refuse it, with its line.

        Raises:
            InvalidArgumentError: always.
        """
        raise _refused(self.node.start_mark.line, f"{self.name!r} {why}")

    def text(self) -> str:
        """Return a scalar as it is written."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.refuse("must be a text")
        return str(self.node.value)

    def boolean(self) -> bool:
        """Return true or false."""
        written = self.text()
        if written not in _BOOLEANS:
            self.refuse("must be true or false")
        return _BOOLEANS[written]

    def texts(self) -> list[str]:
        """Return a list of texts; one text alone is a list of one."""
        if isinstance(self.node, yaml.ScalarNode):
            return [self.text()]
        if not isinstance(self.node, yaml.SequenceNode):
            self.refuse("must be a list of texts")
        return [_Value(self.name, item).text() for item in self.node.value]

    def members(self) -> Iterator[_Value]:
        """Yield the members of a mapping; a name that comes twice is refused."""
        if not isinstance(self.node, yaml.MappingNode):
            self.refuse("must have names and values")
        seen: set[str] = set()
        for key, node in self.node.value:
            name = _Value("a name", key).text()
            if name in seen:
                raise _refused(key.start_mark.line, f"{name!r} stands here twice")
            seen.add(name)
            yield _Value(name, node)

    def whole(self) -> int:
        """Return a whole number."""
        written = self.text()
        if not (written.isascii() and written.isdecimal() and len(written) <= _DIGITS):
            self.refuse("must be a whole number")
        return int(written)

    def duration_s(self) -> int:
        """Return a time such as 30m in seconds."""
        try:
            return parse_duration_s(self.text())
        except InvalidArgumentError as error:
            raise _refused(self.node.start_mark.line, error.message) from error


def _setter(field: str, read: Callable[[_Value], object]) -> Set:
    def put(spec: tasks_pb2.TaskSpec, value: _Value) -> None:
        setattr(spec, field, read(value))

    return put


def _put_list(field: str) -> Set:
    def put(spec: tasks_pb2.TaskSpec, value: _Value) -> None:
        spec.ClearField(field)  # those of `defaults` are replaced, not added to
        getattr(spec, field).extend(value.texts())

    return put


def _put_labels(spec: tasks_pb2.TaskSpec, value: _Value) -> None:
    for member in value.members():
        spec.labels[member.name] = member.text()


_SHARED: Final[Mapping[str, Set]] = {
    "type": _setter("task_type", _Value.text),
    "permission": _setter("permission_level", _Value.text),
    "priority": _setter("priority", _Value.text),
    "agent": _setter("agent", _Value.text),
    "model": _setter("model", _Value.text),
    "isolation": _setter("isolation", _Value.text),
    "timeout": _setter("timeout_s", _Value.duration_s),
    "budget": _setter("budget", _Value.text),
    "args": _put_list("agent_args"),
    "trust_agent": _setter("trust_agent", _Value.boolean),
    "labels": _put_labels,
    "worker": _setter("worker_type", _Value.text),
    "capabilities": _put_list("capabilities"),
    "retries": _setter("max_retries", _Value.whole),
    "expires": _setter("expires_s", _Value.duration_s),
}
_OWN: Final[Mapping[str, Set]] = {
    **_SHARED,
    "title": _setter("title", _Value.text),
    "prompt": _setter("prompt", _Value.text),
    "after": _put_list("after"),
    "parent": _setter("parent", _Value.text),
}


def read_graph(path: Path) -> GraphFile:
    """Read a file of tasks.

    Raises:
        InvalidArgumentError: it cannot be read, or holds anything else; the line is named.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidArgumentError(
            f"{str(path)!r} cannot be read: {error.strerror}; name another file."
        ) from error
    if len(raw) > MAX_BYTES:
        raise InvalidArgumentError(
            f"{str(path)!r} is larger than {MAX_BYTES:,} bytes; split it into several graphs."
        )
    try:
        written = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start)
        raise _refused(line, "this is not UTF-8") from error
    return parse_graph(written)


def parse_graph(written: str) -> GraphFile:
    """Return what a text in YAML says of tasks.

    Raises:
        InvalidArgumentError: it says anything else; the line is named.
    """
    root = _compose(written)
    if root is None:
        raise _refused(0, "there is nothing in the file; it needs `tasks:`")
    members = {member.name: member for member in _Value("the file", root).members()}
    for name, member in members.items():
        if name not in _TOP:
            member.refuse(f"is not known here; there are {', '.join(_TOP)}")
    version = members.get("version")
    if version is not None and version.text() != _VERSION:
        version.refuse(f"must be {_VERSION}; a newer autovibe may read this file")
    if "tasks" not in members:
        raise _refused(root.start_mark.line, "the file needs `tasks:`")
    defaults = tasks_pb2.TaskSpec()
    if "defaults" in members:
        _fill(defaults, members["defaults"], _SHARED)
    return GraphFile(
        members["project"].text() if "project" in members else "",
        [_spec(task, defaults) for task in members["tasks"].members()],
    )


def _compose(written: str) -> yaml.Node | None:
    try:
        _check_events(written)
        root = yaml.compose(written, Loader=yaml.SafeLoader)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # the stub leaves `stream` open
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _refused(mark.line if mark else 0, error.problem or "this is no YAML") from error
    except yaml.YAMLError as error:
        raise _refused(0, " ".join(str(error).split())) from error
    return cast("yaml.Node | None", root)


def _spec(task: _Value, defaults: tasks_pb2.TaskSpec) -> tasks_pb2.TaskSpec:
    spec = tasks_pb2.TaskSpec()
    spec.CopyFrom(defaults)
    spec.key = task.name
    _fill(spec, task, _OWN)
    return spec


def _fill(spec: tasks_pb2.TaskSpec, value: _Value, fields: Mapping[str, Set]) -> None:
    for member in value.members():
        put = fields.get(member.name)
        if put is None:
            member.refuse(f"is not known here; there are {', '.join(sorted(fields))}")
        put(spec, member)


def _check_events(written: str) -> None:
    """Refuse what is dangerous to compose: anchors, aliases, deep nesting, several documents."""
    depth = documents = 0
    parsed = yaml.parse(written, Loader=yaml.SafeLoader)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # the stub leaves `stream` open
    for event in cast("Iterator[yaml.Event]", parsed):
        line: int = event.start_mark.line
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            raise _refused(line, "anchors and aliases are not taken; write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > _DEEPEST:
            raise _refused(line, "this nests deeper than a graph can")
        if documents > 1:
            raise _refused(line, "there is a second document; a file holds one graph")


def _refused(line: int, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"Line {line + 1}: {why}.", line=line + 1)
