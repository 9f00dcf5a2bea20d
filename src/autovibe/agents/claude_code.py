"""Claude Code as an agent: its program, its command line, and what it may not be told."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from autovibe.agents.claude_output import ClaudeOutputReader
from autovibe.agents.claude_transcript import TranscriptIndex
from autovibe.agents.prompt import SETTINGS_INSIDE, write_prompt
from autovibe.domains.machines.agent import AgentLaunch, AgentRequest, OutputReader
from autovibe.domains.machines.driver import Bind
from autovibe.domains.machines.errors import AgentNotInstalledError
from autovibe.kernel.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM_INSIDE: Final = "/opt/autovibe/agent/claude"
SETTINGS_NAME: Final = "claude.json"
MCP_NAME: Final = "mcp.json"
MCP_SERVER: Final = "autovibe"
"""Its tools are `mcp__autovibe__approve`, which the program calls, and `mcp__autovibe__ask`."""
DEFAULT_MODEL: Final = "claude-sonnet-5-5"
_HOW_TO_INSTALL: Final = "Claude Code is not installed; run: pip install 'autovibe[claude]'"
_ELF_MAGIC: Final = b"\x7fELF"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,127}")

# The program reads the prompt from its standard input: as an argument it could be taken for an
# option, would be cut off at 128 KiB by the kernel, and would stand in every process list. It is a
# file, or a pipe through which more is said later.
_START: Final = 'prompt=$1; shift; exec "$@" <"$prompt"'
_SPOKEN_TO: Final = ("--input-format", "stream-json", "--replay-user-messages")

_SETTINGS: Final = {
    # Transcripts that are older are deleted at start, by file time; a resumed task needs them.
    "cleanupPeriodDays": 3650,
    # Hooks are commands; nothing that comes with a repository may bring some.
    "disableAllHooks": True,
}

# What is not named here the program lets pass by its own rules: reading, and what it takes for a
# harmless command. Named, every use is asked for, whatever other settings say.
_ASKED_TOOLS: Final = (
    "Agent", "AskUserQuestion", "Bash", "BashOutput", "CronCreate", "CronDelete", "CronList",
    "Edit", "EnterPlanMode", "EnterWorktree", "ExitPlanMode", "ExitWorktree", "Glob", "Grep",
    "KillShell", "LS", "ListAgents", "Monitor", "MultiEdit", "NotebookEdit", "NotebookRead", "Read",
    "ReportFindings", "ScheduleWakeup", "SendMessage", "Skill", "SlashCommand", "Task",
    "TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "TodoRead",
    "TodoWrite", "ToolSearch", "WebFetch", "WebSearch", "Workflow", "Write",
)  # fmt: skip
_SUPERVISED: Final = {
    **_SETTINGS,
    "permissions": {
        "ask": list(_ASKED_TOOLS),
        "defaultMode": "default",
        "disableBypassPermissionsMode": "disable",
    },
    # It would run git by itself, and git what the repository's configuration names.
    "includeGitInstructions": False,
}
_MCP: Final = {
    "mcpServers": {
        MCP_SERVER: {
            "type": "http",
            # The port is known when the machine has started.
            "url": "${AUTOVIBE_MCP_URL}",
            # Not the variable of the models' key: that one the program keeps from servers.
            "headers": {"Authorization": "Bearer ${AUTOVIBE_MCP_KEY}"},
            # Milliseconds: the program gives up after five minutes otherwise, and people sleep.
            "timeout": 2_147_483_647,
        }
    }
}
_SUPERVISED_ENV: Final = {
    "CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT": "0",
    # What git runs besides itself is nothing that anybody has allowed.
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
}

_ENV: Final = {
    "IS_SANDBOX": "1",  # as root it refuses to skip permissions otherwise
    "HOME": "{autovibe:home}",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    # Retries wait 0.6 s and then twice as long each: 5 are 19 s, the default of 10 three minutes.
    "CLAUDE_CODE_MAX_RETRIES": "5",
    # The default of 128,000 would make every hold four times as large (decision D5).
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "32000",
}

_WITH_VALUE: Final = frozenset(
    {
        "--append-system-prompt",
        "--disallowed-tools",
        "--disallowedTools",
        "--effort",
        "--fallback-model",
        "--json-schema",
        "--max-budget-usd",
        "--max-turns",
        "--system-prompt",
        "--tools",
    }
)
_WITHOUT_VALUE: Final = frozenset(
    {
        "--disable-slash-commands",
        "--exclude-dynamic-system-prompt-sections",
        "--forward-subagent-text",
        "--include-partial-messages",
    }
)


class ClaudeCodeAdapter:
    """Runs Claude Code without any settings but ours (decision C10)."""

    name: str = "claude_code"
    approval_gate: Literal["closed", "open", "none"] = "closed"
    default_model: str | None = DEFAULT_MODEL
    uses_models: bool = True

    def __init__(self, program: Path | None = None) -> None:
        """Use this program; `None` looks for the bundled one and then on PATH."""
        self._program = program
        self._transcripts = TranscriptIndex()

    def check(self) -> str | None:
        """Return `None` when the program is installed, else how to get it."""
        return None if self._find() else _HOW_TO_INSTALL

    def _find(self) -> Path | None:
        candidates = [self._program] if self._program else [_bundled(), _on_path()]
        return next((path for path in candidates if path and _is_native_program(path)), None)

    def launch(self, request: AgentRequest) -> AgentLaunch:
        """Return the command of one run; writes settings and prompt into `settings_dir`.

        Raises:
            AgentNotInstalledError: the program is missing.
            InvalidArgumentError: no prompt, a malformed model or session, or an extra argument
                that is not known to be harmless.
        """
        program = self._find()
        if program is None:
            raise AgentNotInstalledError(_HOW_TO_INSTALL, agent=self.name)
        _check_session(request.session_id)
        model = _checked_model(request.model or DEFAULT_MODEL)
        extra = _checked_extra(request.extra_args)
        prompt_inside = write_prompt(request, before=_before(request.prompt))
        if request.input_pipe is not None:
            prompt_inside = f"{SETTINGS_INSIDE}/{request.input_pipe.name}"
        _write(request.settings_dir / SETTINGS_NAME, _settings(request))
        _write(request.settings_dir / MCP_NAME, _MCP)
        session = "--resume" if request.resume else "--session-id"
        arguments = [
            *("--print", "--output-format", "stream-json", "--verbose"),
            *("--setting-sources", "", "--strict-mcp-config"),
            *("--settings", f"{SETTINGS_INSIDE}/{SETTINGS_NAME}"),
            *("--model", model),
            *(session, request.session_id),
            *("--mcp-config", f"{SETTINGS_INSIDE}/{MCP_NAME}"),
            *_permission_arguments(request),
            *(_SPOKEN_TO if request.input_pipe is not None else ()),
        ]
        endpoint = {
            "ANTHROPIC_BASE_URL": f"{request.gateway_url}/llm/anthropic",
            "ANTHROPIC_AUTH_TOKEN": request.virtual_key,
            "AUTOVIBE_MCP_URL": f"{request.gateway_url}/agent/mcp",
            "AUTOVIBE_MCP_KEY": request.virtual_key,
        }
        if request.supervised:
            endpoint |= _SUPERVISED_ENV
        return AgentLaunch(
            argv=("/bin/sh", "-c", _START, "sh", prompt_inside, PROGRAM_INSIDE, *arguments, *extra),
            env=_ENV | endpoint,
            binds=(Bind(program, PROGRAM_INSIDE), Bind(request.settings_dir, SETTINGS_INSIDE)),
        )

    def said(self, text: str, message_id: str) -> bytes:
        """Return what goes into the agent's input for a message, its prompt included."""
        message = {"role": "user", "content": _before(text) + text}
        line = {"type": "user", "message": message, "uuid": message_id}
        return json.dumps(line | {"parent_tool_use_id": None, "session_id": ""}).encode() + b"\n"

    def reader(self) -> OutputReader:
        """Return a fresh reader for one run."""
        return ClaudeOutputReader()

    def transcript_holds(self, home: Path, session_id: str, tool_use_ids: Sequence[str]) -> bool:
        """Return whether the conversation on disk holds the results of all these tool calls.

        A call without its result does not count: a resumed session would run it again. The
        results of sub-agents stand in files of their own, which are read too.
        """
        return self._transcripts.holds(home, session_id, tool_use_ids)

    def holds_session(self, home: Path, session_id: str) -> bool:
        """Return whether the conversation is on disk, so that it can be continued."""
        return self._transcripts.exists(home, session_id)


def _before(text: str) -> str:
    """Return what goes in front of what is said to the program.

    A slash at the very start makes a command of it: `/clear` ends without any model call and says
    that it is done, others run shell lines that no tool call shows.
    """
    return "\n" if text.startswith("/") else ""


def _settings(request: AgentRequest) -> Mapping[str, object]:
    return _SUPERVISED if request.supervised else _SETTINGS


def _permission_arguments(request: AgentRequest) -> list[str]:
    """Return how the program asks for leave; nothing skips that where it is supervised."""
    if request.supervised:
        prompt_tool = f"mcp__{MCP_SERVER}__approve"
        return ["--permission-mode", "default", "--permission-prompt-tool", prompt_tool]
    return ["--dangerously-skip-permissions"] if request.skip_permissions else []


def _write(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _bundled() -> Path | None:
    """Find the program in the wheel without importing the package, which takes a second."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "_bundled" / "claude"


def _on_path() -> Path | None:
    found = shutil.which("claude")
    return Path(found).resolve() if found else None


def _is_native_program(path: Path) -> bool:
    """Tell whether the file runs by itself: a script would need its interpreter in the machine."""
    try:
        with path.open("rb") as file:
            return file.read(4) == _ELF_MAGIC and os.access(path, os.X_OK)
    except OSError:
        return False


def _check_session(session_id: str) -> None:
    if not _UUID.fullmatch(session_id):
        msg = f"{session_id!r} is no session id of Claude Code; give a UUID."
        raise InvalidArgumentError(msg, what="session_id", value=session_id)


def _checked_model(model: str) -> str:
    if not _MODEL.fullmatch(model):
        msg = f"{model!r} is not a model name; give one such as {DEFAULT_MODEL}."
        raise InvalidArgumentError(msg, what="model", value=model)
    return model


def _checked_extra(arguments: Sequence[str]) -> list[str]:
    """Return the user's own arguments when each is known to be harmless.

    A list of what is allowed, because a new version of the program may bring new ways to load
    settings, skip permissions or leave the session.
    """
    checked: list[str] = []
    rest = list(arguments)
    while rest:
        given = rest.pop(0)
        name, has_value, _ = given.partition("=")
        if name in _WITH_VALUE and not has_value:
            if not rest or rest[0].startswith("-"):
                msg = f"The argument {name} needs a value; write {name}=VALUE."
                raise InvalidArgumentError(msg, what="extra_args", value=given)
            given = f"{name}={rest.pop(0)}"
        elif not (name in _WITH_VALUE or given in _WITHOUT_VALUE):
            raise _refusal(given)
        if "\0" in given:
            raise _refusal(given)
        checked.append(given)
    return checked


def _refusal(given: str) -> InvalidArgumentError:
    allowed = ", ".join(sorted(_WITH_VALUE | _WITHOUT_VALUE))
    if given.partition("=")[0] == "--model":
        hint = "choose the model with run --model"
    else:
        hint = "others could undo the isolation, the permissions or the session of the run"
    msg = f"claude_code does not take the argument {given!r}: {hint}. It takes {allowed}."
    return InvalidArgumentError(msg, what="extra_args", value=given)
