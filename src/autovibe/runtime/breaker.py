"""The breaker: a task of which nothing comes is paused before it has spent its whole budget.

It judges by the lines of the execution's own log (what calls cost, which tools the gateway saw
fail, which files a checkpoint found changed) and by what the agent tells of its tools. It is no
fence against an agent that wants to spend: that is the budget.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, cast

from autovibe.domains.machines.agent import AgentEvent
from autovibe.kernel.breaker_settings import BreakerSettings
from autovibe.kernel.money import ZERO, to_text
from autovibe.runtime.stop import Ending

REASON: Final = "BREAKER_OPEN"
_AT_ALL: Final = 3
"""How much more often the same error may come while files change."""
_MOST_CALLS: Final = 1_000
# What the gateway tells of an error is as long.
_SIGNATURE_CHARS: Final = 500
_ERROR_PARTS: Final = ("tool_use_id", "tool", "text")
_NUMBER: Final = re.compile(r"\d+")
_SPACE: Final = re.compile(r"\s+")
_GO_ON: Final = (
    "See `autovibe logs` for what it does, change the task or what keeps it, and go on with "
    "`autovibe task resume`, which closes the breaker."
)
# These are faults of ours, which a pause would hide.
_OUR_FAULTS: Final = frozenset({"CHECKPOINT_FAILED", "VERIFICATION_FAILED"})


class Breaker:
    """Counts what one task costs and how often it fails since it changed a file last.

    `due` is set when a limit is reached; a look at the files then decides (`confirm`). `message`
    says why it has opened, "" while it has not.
    """

    def __init__(
        self, settings: BreakerSettings, attempts: int = 0, cost_cad: Decimal = ZERO
    ) -> None:
        """Go on from earlier attempts.

        Args:
            settings: the limits.
            attempts: failed ones in a row that changed nothing.
            cost_cad: what was spent since the last change.
        """
        self._settings = settings
        self._attempts = attempts
        self.cost_cad = cost_cad
        self.changed = False
        self.due = asyncio.Event()
        self.message = ""
        self._tools: dict[str, str] = {}
        self._counted: set[str] = set()
        self._error = ""
        self._errors = 0
        self._errors_at_all = 0

    def line(self, kind: str, details: Mapping[str, object]) -> None:
        """Take a line of the execution's log."""
        if kind == "call" and details.get("status") in {"settled", "uncertain"}:
            self.cost_cad += Decimal(str(details.get("cost_cad") or 0))
            for error in _objects(details.get("tool_errors")):
                self._failed(*(str(error.get(name) or "") for name in _ERROR_PARTS))
            self._judge()
        elif kind == "checkpoint" and details.get("files_changed"):
            self.changed = True
            self.cost_cad = ZERO
            self._errors = 0
            self.due.clear()
            self._judge()

    def saw(self, event: AgentEvent) -> None:
        """Take what the agent tells of a tool: its call, or its result."""
        call = event.tool_use_id or ""
        if event.kind != "tool_result":
            tool = event.details.get("tool")
            if call and isinstance(tool, str):
                if len(self._tools) >= _MOST_CALLS:
                    self._tools.clear()
                self._tools[call] = tool
            return
        if event.details.get("is_error") is not True:
            return
        self._failed(call, self._tools.get(call, "a tool"), event.text)

    def _failed(self, call_id: str, tool: str, text: str) -> None:
        """Count the failure of a tool once: the gateway tells of it, and some agents do, too."""
        if call_id:
            if call_id in self._counted:
                return
            if len(self._counted) >= _MOST_CALLS:
                self._counted.clear()
            self._counted.add(call_id)
        error = f"{tool}: {_signature(text)}"
        if error != self._error:
            self._error, self._errors, self._errors_at_all = error, 0, 0
        self._errors += 1
        self._errors_at_all += 1
        self._judge()

    def confirm(self) -> bool:
        """Open if a limit is reached still; called when all changes of files are known."""
        self.message = self._reached()
        if not self.message:
            self.due.clear()
        return bool(self.message)

    def judge_attempt(self, ending: Ending) -> Ending:
        """Return how an attempt ends: one too many that failed and changed nothing is a pause."""
        most = self._settings.attempts
        failed = ending.outcome in {"failed", "timeout"} and ending.reason not in _OUR_FAULTS
        if not failed or self.changed or not most or self._attempts + 1 < most:
            return ending
        said = (
            f"{self._attempts + 1} attempts in a row have failed without a change of any file. "
            f"The last one: {ending.message} {_GO_ON}"
        )
        return Ending("paused", REASON, said)

    def _judge(self) -> None:
        if self._reached():
            self.due.set()

    def _reached(self) -> str:
        """Return what to say of a limit that is reached, "" while none is."""
        most, often = self._settings.spend_cad, self._settings.same_errors
        if most and self.cost_cad >= most:
            return (
                f"{to_text(self.cost_cad)} CAD were spent without a change of any file (the limit "
                f"is {to_text(most)} CAD, breaker.spend_cad in config.toml). {_GO_ON}"
            )
        if often and (self._errors >= often or self._errors_at_all >= _AT_ALL * often):
            times = max(self._errors, self._errors_at_all)
            tool = self._error.partition(":")[0]
            return (
                f"The same error of {tool} came {times} times (the limit is "
                f"breaker.same_errors in config.toml). {_GO_ON}"
            )
        return ""


def _objects(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list):
        return []
    items = cast("list[object]", value)
    return [cast("Mapping[str, object]", item) for item in items if isinstance(item, Mapping)]


def _signature(text: str) -> str:
    """Return an error without what differs from time to time: numbers and spaces."""
    return _SPACE.sub(" ", _NUMBER.sub("0", text[:_SIGNATURE_CHARS])).strip()
