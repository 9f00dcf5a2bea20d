"""`autovibe doctor`: what works on this host, what is missing, what dead ones left."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import click

from autovibe import __version__
from autovibe.agents import adapters
from autovibe.cli import lazy
from autovibe.cli.client.command import json_option
from autovibe.cli.client.connection import LivingServer, find_server, log_to_file
from autovibe.cli.client.question import can_ask, confirm
from autovibe.cli.client.waiting import waiting
from autovibe.cli.options import is_quiet
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import plural
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.cli.view import progress_view
from autovibe.domains.machines.driver import MachineDriver
from autovibe.drivers.machine.process import ProcessDriver
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import EXIT_FAILED, EXIT_OK, AutovibeError
from autovibe.kernel.settings import Settings, ensure_home, load_settings
from autovibe.runtime.doctor import Finding, examine, tool_chains
from autovibe.runtime.leftovers import SCRATCH, Leftover, find_leftovers, remove_leftover

# Opening a control plane ends these.
_RECOVERED: Final = frozenset({"instance", "machine"})
_INDENT: Final = " " * 6


@dataclass
class Report:
    """What was found, and what was removed."""

    findings: list[Finding]
    chains: list[Path]
    server: LivingServer | None
    leftovers: list[Leftover] = field(default_factory=list[Leftover])
    removed: list[Leftover] = field(default_factory=list[Leftover])

    @property
    def missing(self) -> list[str]:
        """Names of what keeps a sandboxed run from being possible."""
        return [finding.name for finding in self.findings if finding.level == "bad"]


@click.command(epilog="Example: autovibe doctor --fix")
@click.option("--fix", is_flag=True, help="Remove what dead control planes left.")
@json_option
def doctor(*, fix: bool, as_json: bool) -> int:
    """Say what works on this host, what is missing, and how to get it.

    A sandbox is really started. Exit status 0 when a task can run in one, 1 otherwise. With --fix
    leftovers of dead control planes are removed; on a terminal you are asked before. What may hold
    work that is in no checkpoint is removed only when you say so.
    """
    settings = load_settings()

    async def body(_interrupts: Interrupts) -> Report:
        return await look(settings, fix=fix, ask=can_ask() and not as_json)

    report = run_with_interrupts(body)
    if as_json:
        print_json(document(report))
    else:
        show(settings, report)
    return EXIT_FAILED if report.missing else EXIT_OK


async def look(settings: Settings, *, fix: bool, ask: bool) -> Report:
    """Examine the host, and remove leftovers if wanted."""
    clock = SystemClock()
    view = progress_view()
    try:
        with _scratch(settings) as scratch:
            sandbox = SandboxDriver(scratch, settings.sandbox_ro, clock)
            drivers: dict[str, MachineDriver] = {
                "sandbox": sandbox,
                "process": ProcessDriver(scratch, clock),
            }
            async with waiting(view, "examining this host"):
                report = Report(
                    findings=await examine(settings, adapters(), sandbox, clock),
                    chains=tool_chains(Path.home(), settings.sandbox_ro),
                    server=find_server(settings),
                )
                await _find(settings, report)
            if fix and report.leftovers:
                await _fix(settings, report, drivers, ask=ask)
                await _find(settings, report)
    finally:
        view.close()
    return report


@contextlib.contextmanager
def _scratch(settings: Settings) -> Generator[Path]:
    """Give a directory for a trial: that of machines, or where there is no home yet, another."""
    if settings.home.is_dir():
        yield settings.machines_path / SCRATCH
        return
    with tempfile.TemporaryDirectory(prefix="autovibe-doctor-") as directory:
        yield Path(directory)


async def _find(settings: Settings, report: Report) -> None:
    # What keeps the database from being read is a finding already.
    with contextlib.suppress(AutovibeError, OSError):
        report.leftovers = await find_leftovers(settings, SystemClock())


async def _fix(
    settings: Settings, report: Report, drivers: dict[str, MachineDriver], *, ask: bool
) -> None:
    """Remove leftovers: the harmless ones, and each other one that a person agrees to."""
    wanted = [item for item in report.leftovers if not item.unsaved]
    if ask:
        print_lines([item.text for item in wanted])
        if wanted and not await confirm(f"Remove {plural(len(wanted), 'leftover')}?"):
            wanted = []
        for item in report.leftovers:
            if item.unsaved and await confirm(f"{item.text} Remove it?"):
                wanted.append(item)
    if any(item.kind in _RECOVERED for item in wanted):
        ensure_home(settings)
        log_to_file(settings.home / "autovibe.log")
        async with lazy.open_embedded(settings):
            pass
    for item in wanted:
        if item.kind not in _RECOVERED:
            await remove_leftover(item, drivers)
    await _find(settings, report)
    left = {(item.kind, item.name) for item in report.leftovers}
    report.removed = [item for item in wanted if (item.kind, item.name) not in left]


def document(report: Report) -> dict[str, object]:
    """Return a report as plain data."""
    server = report.server
    return {
        "ok": not report.missing,
        "version": __version__,
        "missing": report.missing,
        "findings": [asdict(finding) for finding in report.findings],
        "server": None if server is None else asdict(server),
        "tool_chains": [str(path) for path in report.chains],
        "leftovers": [_plain(item) for item in report.leftovers],
        "removed": [_plain(item) for item in report.removed],
    }


def _plain(item: Leftover) -> dict[str, object]:
    path = None if item.path is None else str(item.path)
    return {
        "kind": item.kind,
        "name": item.name,
        "text": item.text,
        "path": path,
        "unsaved": item.unsaved,
    }


def show(settings: Settings, report: Report) -> None:
    """Print a report for people; quiet leaves out what is well."""
    shown = [
        finding for finding in report.findings if not is_quiet() or finding.level in {"warn", "bad"}
    ]
    wide = max((len(finding.name) for finding in shown), default=0)
    for finding in shown:
        lines = [f"{finding.level:<5} {finding.name:<{wide}}  {finding.text}"]
        if finding.advice:
            lines.append(f"{_INDENT}{' ' * wide}  -> {finding.advice}")
        print_lines(lines)
    print_notes(_surroundings(settings, report))
    _show_leftovers(report)
    if report.missing:
        names = ", ".join(report.missing)
        print_lines([f"No task can run in a sandbox here before this is mended: {names}."])
    else:
        print_notes(["", "Tasks can run in a sandbox here."])


def _surroundings(settings: Settings, report: Report) -> list[str]:
    if report.server is not None:
        where = f"at {report.server.url} (process {report.server.pid})"
        lines = ["", f"A server of {settings.home} runs {where}."]
    else:
        lines = ["", f"No server of {settings.home} runs; commands do their work by themselves."]
    if settings.server is not None:
        lines.append(f"Commands use the server {settings.server} (AUTOVIBE_SERVER).")
    if report.chains:
        listed = ", ".join(f'"{path}"' for path in report.chains)
        lines += [
            "",
            "Tool chains that no machine sees. Of those that your tasks need, put into",
            f"{settings.home / 'config.toml'}:",
            "  [sandbox]",
            f"  ro = [{listed}]",
        ]
    return lines


def _show_leftovers(report: Report) -> None:
    if report.removed:
        print_notes(["", *_listed("Removed:", report.removed)])
    unsaved = [item for item in report.leftovers if item.unsaved]
    harmless = [item for item in report.leftovers if not item.unsaved]
    if harmless:
        print_lines(["", *_listed("Left by dead control planes:", harmless)])
        print_notes(["`autovibe doctor --fix` removes it."])
    if unsaved:
        print_lines(["", *_listed("Left, and perhaps in no checkpoint:", unsaved)])
        print_notes(["Look at it; on a terminal `autovibe doctor --fix` asks about each."])


def _listed(title: str, items: Sequence[Leftover]) -> list[str]:
    return [title, *(f"  {item.text}" for item in items)]
