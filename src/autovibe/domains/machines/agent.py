"""What an agent adapter must do: the contract between the runtime and `agents`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from autovibe.domains.machines.driver import Bind

EventKind: TypeAlias = Literal[
    "reasoning",
    "message",
    "command",
    "file_edit",
    "tool",
    "tool_result",
    "usage",
    "error",
    "retry",
    "notice",
]


@dataclass(frozen=True)
class AgentRequest:
    """What the agent is to do.

    `gateway_url` is the listener as seen inside the machine, without a trailing slash, for example
    `http://127.0.0.1:9000`. `virtual_key` is valid on that listener only.
    `settings_dir` is a host directory, outside workspace and home, into which the adapter may write
    files that the machine then sees read-only at `/run/autovibe/settings`.
    `supervised`: each use of a tool is asked for at `{gateway_url}/agent/mcp` before it is done.
    `resume` continues the agent's own session `session_id`.
    `input_pipe` is a named pipe in `settings_dir` from which a `ListeningAgent` reads its prompt,
    and whatever else is said, until its end.
    """

    prompt: str
    model: str | None
    session_id: str
    resume: bool
    gateway_url: str
    virtual_key: str
    settings_dir: Path
    extra_args: Sequence[str] = ()
    skip_permissions: bool = True
    supervised: bool = False
    input_pipe: Path | None = None


@dataclass(frozen=True)
class AgentLaunch:
    """A program to start in a machine; the driver fills in placeholders as in `MachineSpec`."""

    argv: Sequence[str]
    env: Mapping[str, str]
    binds: Sequence[Bind] = ()
    path_prefix: Sequence[str] = ()


@dataclass(frozen=True)
class AgentEvent:
    """One thing the agent did, in terms common to all agents.

    `text` is what a person reads; it came out of a machine and is escaped only where it is shown.
    """

    kind: EventKind
    text: str
    tool_use_id: str | None = None
    details: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class AgentOutcome:
    """How the agent itself says that it ended.

    `finished`: it said that it is done. `is_error`, `message`, `status`: its own account of a
    failure (`status` is an HTTP status when a model call failed). `session_id`: its session.
    """

    finished: bool
    is_error: bool
    message: str
    status: int | None = None
    session_id: str | None = None
    turns: int | None = None


class OutputReader(Protocol):
    """Turns the standard output of one run into events."""

    def feed(self, line: bytes) -> Sequence[AgentEvent]:
        """Take one line of output and return what it tells; garbage becomes `notice` events."""
        ...

    def outcome(self, exit_code: int) -> AgentOutcome:
        """Return the agent's account after its output and program have ended."""
        ...


@runtime_checkable
class ListeningReader(Protocol):
    """What a reader tells beside events of an agent that can be spoken to while it works."""

    heard: list[str]
    """Ids of messages that the agent has read since somebody last emptied this list."""
    turns_ended: int
    """How often it has said that it is done."""


@runtime_checkable
class ListeningAgent(Protocol):
    """An adapter whose agent can be spoken to while it works.

    Its readers are `ListeningReader`s.
    """

    def said(self, text: str, message_id: str) -> bytes:
        """Return what goes into the agent's input for a message, its prompt included."""
        ...


class AgentAdapter(Protocol):
    """One coding agent."""

    name: str
    """Also the `machine_type` of its machines."""
    approval_gate: Literal["closed", "open", "none"]
    """Whether the agent's own permission gate fails closed (decision C10)."""
    default_model: str | None
    uses_models: bool
    """Whether it calls models by itself; `shell` programs may."""

    def check(self) -> str | None:
        """Return `None` when the program is installed, else a sentence that says how to get it."""
        ...

    def launch(self, request: AgentRequest) -> AgentLaunch:
        """Return the program to start.

        Raises:
            AgentNotInstalledError: the program is missing.
            InvalidArgumentError: the request does not fit this agent.
        """
        ...

    def reader(self) -> OutputReader:
        """Return a fresh reader for one run."""
        ...

    def transcript_holds(self, home: Path, session_id: str, tool_use_ids: Sequence[str]) -> bool:
        """Return whether the conversation on disk holds all these tool calls (decision B6).

        An agent without a transcript returns True.
        """
        ...

    def holds_session(self, home: Path, session_id: str) -> bool:
        """Return whether a conversation is on disk that `launch` could resume."""
        ...
