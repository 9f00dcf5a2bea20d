"""What every agent adapter must pass: run `CHECKS` over it, one test each.

@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_my_adapter(check, tmp_path):
    check(AgentCase(MyAdapter()), tmp_path)
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, get_args

from autovibe.domains.machines.agent import AgentAdapter, AgentLaunch, AgentRequest, EventKind
from autovibe.kernel.errors import InvalidArgumentError

if TYPE_CHECKING:
    from autovibe.domains.machines.agent import AgentEvent

_KEY: Final = "virtual-key-5d1f"
_PROMPT: Final = "Say {home} and {workspace};\n--settings /x 'quoted' \"twice\" $HOME `id` ü"
_MAX_EVENT_TEXT: Final = 100_000
_ENDLESS_BYTES: Final = 128 * 1024 * 1024

HOSTILE_LINES: Final[tuple[bytes, ...]] = (
    b"",
    b"\n",
    b"plain text\n",
    b"\xff\xfe\x00\x01\n",
    b"\x1b[2J\x1b]0;title\x07\n",
    b"{\n",
    b"[]\n",
    b"null\n",
    b'"text"\n',
    b"9" * 5000 + b"\n",
    b"NaN\n",
    b"[" * 100_000 + b"\n",
    b'{"a":' * 5000 + b"\n",
    b"x" * 2_000_000 + b"\n",
    b'{"type": 7}\n',
    b'{"type":"assistant"}\n',
    b'{"type":"assistant","message":"no object"}\n',
    b'{"type":"assistant","message":{"content":[1,null,{"type":"tool_use"}]}}\n',
    b'{"type":"assistant","message":{"content":[{"type":"text","text":"a\\u0000\\ud800b"}]}}\n',
    b'{"type":"assistant","message":{"content":[{"type":"tool_use","id":{},"name":[],"input":3}]}}\n',
    b'{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","input":{"command":9}}]}}\n',
    b'{"type":"user","message":{"content":[{"type":"tool_result","content":{"a":1}}]}}\n',
    b'{"type":"system","subtype":"api_retry","attempt":1e999,"retry_delay_ms":1e308}\n',
    b'{"type":"result"}\n',
    b'{"type":"result","subtype":"success","is_error":"no","errors":{},"num_turns":true}\n',
)
"""Lines that a hostile machine may print; none may end a reader."""


@dataclass(frozen=True)
class Transcript:
    """Where and how an agent keeps its conversation.

    `path` gives the file of a session below the home; `row` the line, with its newline, that holds
    the result of a tool call.
    """

    path: Callable[[str], str]
    row: Callable[[str], bytes]


@dataclass(frozen=True)
class AgentCase:
    """An adapter with what its checks need.

    `extra_args` are arguments that it accepts. An agent with a transcript can resume a session.
    """

    adapter: AgentAdapter
    extra_args: Sequence[str] = ()
    transcript: Transcript | None = None

    def request(self, base: Path) -> AgentRequest:
        """Return a request that the adapter accepts, with a fresh settings directory."""
        settings = base / f"settings-{uuid.uuid4()}"
        settings.mkdir(parents=True)
        return AgentRequest(
            prompt=_PROMPT,
            model=None,
            session_id=str(uuid.uuid4()),
            resume=False,
            gateway_url="http://127.0.0.1:{autovibe:port}",
            virtual_key=_KEY,
            settings_dir=settings,
            extra_args=self.extra_args,
        )


Check: TypeAlias = Callable[[AgentCase, Path], None]


def check_describes_itself(case: AgentCase, base: Path) -> None:
    """Name, gate and installation are told in the agreed form."""
    del base
    adapter = case.adapter
    assert adapter.name.isidentifier(), "the name is also a machine type and goes into columns"
    assert adapter.approval_gate in {"closed", "open", "none"}
    assert not adapter.uses_models or adapter.default_model, "adapters always pass a model (D5)"
    missing = adapter.check()
    assert missing is None or "install" in missing, "check() must say how to get the program"


def check_launch_is_complete(case: AgentCase, base: Path) -> None:
    """A launch can be started as it stands, and does not depend on when it was made."""
    request = case.request(base)
    launch = case.adapter.launch(request)
    _assert_well_formed(launch)
    assert case.adapter.launch(request) == launch, "the same request must give the same launch"
    for bind in launch.binds:
        assert bind.host.exists(), f"{bind.host} is bound but not there"
        assert Path(bind.inside).is_absolute()
    assert all(Path(prefix).is_absolute() for prefix in launch.path_prefix)


def _assert_well_formed(launch: AgentLaunch) -> None:
    assert launch.argv, "there must be a program"
    for text in (*launch.argv, *launch.env, *launch.env.values()):
        assert isinstance(text, str)
        assert "\0" not in text


def check_key_goes_only_into_the_environment(case: AgentCase, base: Path) -> None:
    """The virtual key stands in no argument and no file, which process lists and disks keep."""
    request = case.request(base)
    launch = case.adapter.launch(request)
    assert not any(_KEY in argument for argument in launch.argv)
    for path in request.settings_dir.rglob("*"):
        assert not path.is_file() or _KEY not in path.read_text(encoding="utf-8")
    if case.adapter.uses_models:
        assert _KEY in launch.env.values()
        assert any(request.gateway_url in value for value in launch.env.values())


def check_host_environment_stays_outside(case: AgentCase, base: Path) -> None:
    """Nothing of this process's environment gets into a machine (decision C5)."""
    canary = "host-secret-" + uuid.uuid4().hex
    names = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "AUTOVIBE_CANARY")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, canary))
    try:
        launch = case.adapter.launch(case.request(base))
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    assert not any(canary in text for text in (*launch.argv, *launch.env.values()))


def check_writes_only_into_settings(case: AgentCase, base: Path) -> None:
    """Launching leaves files in the settings directory and nowhere else around it."""
    request = case.request(base)
    before = {path for path in base.rglob("*") if request.settings_dir not in path.parents}
    case.adapter.launch(request)
    after = {path for path in base.rglob("*") if request.settings_dir not in path.parents}
    assert before == after


def check_refuses_impossible_prompts(case: AgentCase, base: Path) -> None:
    """A blank prompt and one with a NUL are refused before anything starts."""
    for prompt in ("", " \n", "a\0b", "lone \ud800"):
        request = replace(case.request(base), prompt=prompt)
        try:
            case.adapter.launch(request)
        except InvalidArgumentError:
            continue
        msg = f"the prompt {prompt!r} was accepted"
        raise AssertionError(msg)


def check_passes_the_model(case: AgentCase, base: Path) -> None:
    """The chosen model reaches the agent; without a choice the default does (decision D5)."""
    request = case.request(base)
    chosen = case.adapter.launch(replace(request, model="chosen-model-1"))
    assert "chosen-model-1" in (*chosen.argv, *chosen.env.values())
    default = case.adapter.default_model
    if default is not None:
        launch = case.adapter.launch(request)
        assert default in (*launch.argv, *launch.env.values())


def check_resume_differs_from_start(case: AgentCase, base: Path) -> None:
    """An agent with sessions is told whether to begin one or to go on with it."""
    request = case.request(base)
    started = case.adapter.launch(request)
    resumed = case.adapter.launch(replace(request, resume=True))
    assert (started.argv != resumed.argv) == (case.transcript is not None)
    assert (request.session_id in resumed.argv) == (case.transcript is not None)


def check_reader_survives_anything(case: AgentCase, base: Path) -> None:
    """No line ends a reader, and what it returns can be stored and shown."""
    del base
    reader = case.adapter.reader()
    for line in HOSTILE_LINES:
        for event in reader.feed(line):
            _assert_storable(event)
    outcome = reader.outcome(1)
    assert not outcome.finished, "exit status 1 after garbage is no success"
    assert outcome.is_error
    assert outcome.message


def _assert_storable(event: AgentEvent) -> None:
    assert event.kind in get_args(EventKind)
    assert len(event.text) <= _MAX_EVENT_TEXT
    for text in (event.text, event.tool_use_id or "", repr(dict(event.details))):
        text.encode()
        assert "\0" not in text


def check_readers_are_independent(case: AgentCase, base: Path) -> None:
    """A reader knows nothing of another run; a failed run without output did not finish."""
    del base
    other = case.adapter.reader()
    other.feed(b'{"type":"result","subtype":"success","is_error":false,"result":"done"}\n')
    outcome = case.adapter.reader().outcome(9)
    assert not outcome.finished
    assert outcome.is_error


def check_transcript_is_read_as_it_grows(case: AgentCase, base: Path) -> None:
    """A call counts once its row is complete on disk; without a transcript everything counts."""
    session, adapter, home = str(uuid.uuid4()), case.adapter, base / "home"
    home.mkdir()
    assert adapter.transcript_holds(home, session, ()) is True
    assert adapter.transcript_holds(home, session, ("toolu_1",)) is (case.transcript is None)
    if case.transcript is None:
        return
    path = home / case.transcript.path(session)
    path.parent.mkdir(parents=True)
    second = case.transcript.row("toolu_2")
    with path.open("wb", buffering=0) as file:
        file.write(case.transcript.row("toolu_1") + second[:-9])
        assert adapter.transcript_holds(home, session, ("toolu_1",)) is True
        assert adapter.transcript_holds(home, session, ("toolu_1", "toolu_2")) is False
        file.write(second[-9:])
        assert adapter.transcript_holds(home, session, ("toolu_2", "toolu_1")) is True
    assert adapter.transcript_holds(home, str(uuid.uuid4()), ("toolu_1",)) is False
    path.write_bytes(case.transcript.row("toolu_1"))
    assert adapter.transcript_holds(home, session, ("toolu_2",)) is False, "an older file is back"


def check_transcript_look_is_safe(case: AgentCase, base: Path) -> None:
    """Whatever a machine makes of its home, the look neither waits nor follows a link out of it."""
    session, calls, adapter = str(uuid.uuid4()), ("toolu_1",), case.adapter
    if case.transcript is None:
        return
    outside = base / "outside" / case.transcript.path(session)
    outside.parent.mkdir(parents=True)
    outside.write_bytes(case.transcript.row("toolu_1"))
    assert adapter.transcript_holds(base / "outside", session, calls) is True
    assert adapter.transcript_holds(base / "absent", session, calls) is False
    assert adapter.transcript_holds(base / "outside", f"../{session}", calls) is False
    plants = (_pipe, _directory, _link_to_zero, _socket, _endless_line)
    for number, plant in enumerate((lambda path: path.symlink_to(outside), *plants)):
        home = base / f"home-{number}"
        path = home / case.transcript.path(session)
        path.parent.mkdir(parents=True)
        plant(path)
        assert adapter.transcript_holds(home, session, calls) is False
    # Each directory on the way, in turn, is a link to the one outside that has it all.
    parts = Path(case.transcript.path(session)).parts[:-1]
    for depth in range(1, len(parts) + 1):
        home = base / f"linked-{depth}"
        link = home.joinpath(*parts[:depth])
        link.parent.mkdir(parents=True)
        link.symlink_to(base.joinpath("outside", *parts[:depth]))
        assert adapter.transcript_holds(home, session, calls) is False


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.mkdir()


def _link_to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    # Bound by a short relative name: addresses of sockets end at 107 characters.
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{parent}/s")
        (path.parent / "s").rename(path)
    finally:
        os.close(parent)


def _endless_line(path: Path) -> None:
    """Write a long line without end, which takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(_ENDLESS_BYTES)


CHECKS: Final[dict[str, Check]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_describes_itself,
        check_launch_is_complete,
        check_key_goes_only_into_the_environment,
        check_host_environment_stays_outside,
        check_writes_only_into_settings,
        check_refuses_impossible_prompts,
        check_passes_the_model,
        check_resume_differs_from_start,
        check_reader_survives_anything,
        check_readers_are_independent,
        check_transcript_is_read_as_it_grows,
        check_transcript_look_is_safe,
    )
}
