"""One run in the foreground: `gapo_lab.run` without -m. A plan of one run, shown live where it runs on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from gapo_lab.errors import Interrupted, RunFailed, UserError
from gapo_lab.launch import executor, joined_runs, run_states, submitted_run, watch
from gapo_lab.planning import plan_notes
from gapo_lab.planning.plan import Action, Plan, Planned
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import RunStatus
from gapo_lab.supervision.progress import Progress, show_end
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.prose import say

EVERY = 0.5  # seconds between two looks at a run that another process works on


def run(wanted: Planned, console: Console, wait: bool = False) -> Mapping[str, Any]:
    """Carry out one run and return its summary; {} for one that was handed to a cluster.

    wait: stay until it has ended, on a cluster too. Raises as `executor.carry_out` and `Supervisor.run`.
    """
    if wanted.action is Action.INVALID:
        raise UserError(wanted.why)
    key, name, root = wanted.key, wanted.valid_spec.name, Path(wanted.settings["run_root"])
    if not wanted.cluster.is_local:
        return executor.carry_out(Plan((wanted,)), wait=wait, console=console).get(key, {})
    folder = RunFolder(root / key)
    joined = joined_runs.joining(root, [wanted])
    submissions = executor.hand_over(root, [wanted], console)
    if submissions:
        (submission,) = submissions
        for note in plan_notes.warnings([wanted]):
            say(console, f"[yellow]note[/] {escape(note)}")
        submitted_run.run(submission, 0, submitted_run.supervisor_of(submission, 0, console))
    elif folder.is_finished:
        say(console, f"{name}: finished already")
        joined_runs.show(root, joined, [wanted], console)
    else:
        _follow(folder, name, console)
    show_end(folder, console, title=f"run {key}")
    return folder.summary() or {}


def _follow(folder: RunFolder, name: str, console: Console) -> None:
    """Show a run that another process has, until it has ended. RunFailed where it did not finish."""
    root, keys = folder.path.parent, [folder.key]

    def status() -> RunStatus:
        return run_states.read(root, keys)[folder.key]

    now = status()
    by = f"SLURM job {now.job}" if now.job else f"{now.process}"
    text = f"{name}   run {folder.key} is {now.state} already ({by}): following it; Ctrl-C leaves it alone"
    try:
        say(console, text)
        with Progress(folder, console) as progress:
            while (now := status()).is_active:
                progress.poll()
                time.sleep(watch.EVERY_SCHEDULER if now.submission else EVERY)
    except KeyboardInterrupt as stop:
        again = lab_command("watch", folder.key, root=root)
        raise Interrupted(f"the run goes on without this command; to follow it again: {again}") from stop
    if not folder.is_finished:
        raise RunFailed("\n".join(watch.said(root, folder.key, now)))
