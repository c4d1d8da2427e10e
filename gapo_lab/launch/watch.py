"""Follows runs until they have ended, from their folders and the scheduler alone: any shell can, at any time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from gapo_lab.errors import UserError
from gapo_lab.launch import run_states, study_end
from gapo_lab.runs import naming
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.history import History
from gapo_lab.runs.run_root import RunRoot
from gapo_lab.runs.status import COLOURS, NEW, RunStatus, State
from gapo_lab.supervision.progress import history_of, line, snapshot
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import duration

EVERY = 1.0  # seconds between two looks at the folders
EVERY_SCHEDULER = 10.0  # seconds between two questions to the scheduler
MOST = 0.04  # of a core's time that looking may take
ROWS = 12  # runs shown live


def follow(
    root: Path,
    keys: Sequence[str],
    console: Console,
    tick: Callable[[], bool] = lambda: True,
    every: float = EVERY,
    expected: Mapping[str, float] | None = None,
    common: Collection[str] = (),
    more: Callable[[], Sequence[str]] = lambda: (),
) -> dict[str, RunStatus]:
    """Show the runs until none is queued or running; their last statuses, by key.

    tick: called at each look; False means that there is more to come although nothing is queued or running.
    expected: the seconds that each run is thought to take; with it the time left of all of them is shown.
    common: what all cells set, as ``naming.in_common`` has it, which their names leave out.
    more: called at each look, after tick: runs that are to be followed from then on, also those that are followed.
    """
    keys = list(keys)
    pace = Pace(expected or {}, time.time())
    shown: dict[str, State] = {}
    runs = RunRoot(root)
    names = {key: _name(runs.folder(key), common) for key in keys}
    histories: dict[str, History] = {}
    with Live(console=console, transient=True, refresh_per_second=4) if console.is_terminal else nullcontext() as live:
        while True:
            over, began = tick(), time.process_time()
            runs.look()
            for key in more():
                if key not in names:
                    keys.append(key)
                    names[key] = _name(runs.folder(key), common)
            found = run_states.read(root, keys, runs)
            left = pace.left(_shares(keys, found), time.time())
            states = {key: found.get(key, NEW).state for key in keys}
            # several may have finished since the last look: each line says how many had by then
            finished = sum(
                state is State.FINISHED and shown.get(key, state) is State.FINISHED for key, state in states.items()
            )
            for key, state in states.items():
                if shown.get(key) != state:
                    finished_before = state is State.FINISHED and key not in shown
                    finished += state is State.FINISHED and not finished_before
                    if state not in (State.NEW, State.QUEUED) and not finished_before:
                        say(console, _event(runs.folder(key), names[key], found, finished, left))
                    shown[key] = state
            if over and not any(found.get(key, NEW).is_active for key in keys):
                return found
            if live is not None:
                live.update(_table(root, keys, names, found, histories, left, console.width))
            slurm = any(status.submission for status in found.values())
            pause = max(every, EVERY_SCHEDULER if slurm and len(keys) > 1 else 2.0) if slurm else every
            time.sleep(max(pause, min((time.process_time() - began) / MOST, EVERY_SCHEDULER)))


class Pace:
    """How fast a sweep goes on, from what its runs were expected to take. Pure but for what it remembers."""

    def __init__(self, expected: Mapping[str, float], began: float) -> None:
        self.expected, self.began = expected, began
        self.first: Mapping[str, float] | None = None

    def left(self, shares: Mapping[str, float], now: float) -> float | None:
        """Seconds until all runs are done, if it goes on as since it began; None while nothing can be said.

        shares: how much of each run is done, 0 to 1; 1 for what has ended.
        """
        if self.first is None:
            self.first = dict(shares)
        work = [(seconds, shares.get(key, 0.0), self.first.get(key, 0.0)) for key, seconds in self.expected.items()]
        done = sum(seconds * (share - first) for seconds, share, first in work)
        # a run's first steps tell little: its start-up is in the seconds and not in the share
        if not work or done < 0.2 * max(seconds for seconds, _, _ in work):
            return None
        rest = sum(seconds * (1 - share) for seconds, share, _ in work)
        return rest * (now - self.began) / done


def _shares(keys: Sequence[str], found: Mapping[str, RunStatus]) -> dict[str, float]:
    """How much of each run is done: its steps; all of it where it has ended."""
    out = {}
    for key in keys:
        status = found.get(key, NEW)
        over = status.state is not State.NEW and not status.is_active
        out[key] = 1.0 if over else status.step / (status.total_steps or 1)
    return out


def _name(folder: RunFolder, without: Collection[str]) -> str:
    try:
        return naming.run_name(folder.spec, without)
    except UserError:
        return folder.key


def _event(
    folder: RunFolder, name: str, found: Mapping[str, RunStatus], finished: int, left: float | None = None
) -> str:
    key, status = folder.key, found[folder.key]
    state = status.state
    where = f" as job {status.job}" if status.job and state is State.RUNNING else ""
    text = f"{time.strftime('%H:%M:%S')} [{COLOURS.get(state, '')}]{state}[/]{where}  {escape(name)} ({key})"
    remains = f", {duration(left)} left" if left else ""
    if state is State.FINISHED:
        measured = study_end.last(folder.summary() or {})
        text += f"  {measured}" if measured else ""
        text += f"  [{finished}/{len(found)} finished{remains}]"
    if status.has_stopped or state is State.BROKEN:
        text += "".join(f"\n    {escape(part)}" for part in said(folder.path.parent, key, status))
    return text


def said(root: Path, key: str, status: RunStatus) -> list[str]:
    """Why a run stands still, the last lines of its log and what to do; for the screen."""
    lines = status.message.splitlines()[-6:]
    head = [str(status.cause)] if status.cause not in " ".join(lines).lower() else []
    advice = status.advice(key, root)
    return [*head, *lines, *([f"-> {advice}"] if advice else [])]


def _table(
    root: Path,
    keys: Sequence[str],
    names: Mapping[str, str],
    found: Mapping[str, RunStatus],
    histories: dict[str, History],
    left: float | None = None,
    width: int | None = None,
) -> Table:
    """Return the runs that go on, a line each, as far as ``width`` allows.

    histories: what was read of those shown before; those not shown are dropped.
    """
    counts = Counter(found.get(key, NEW).state for key in keys)
    title = ", ".join(
        f"{counts[state]} {state}"
        for state in (State.FINISHED, State.RUNNING, State.QUEUED, State.FAILED, State.INTERRUPTED, State.NEW)
        if counts[state]
    )
    title += f" | {duration(left)} left" if left else ""
    table = Table(box=None, title=title, title_justify="left", show_header=False, pad_edge=False)
    running = [key for key in keys if found.get(key, NEW).state is State.RUNNING]
    for key in set(histories) - set(running[:ROWS]):
        del histories[key]
    for key in running[:ROWS]:
        folder = RunFolder(Path(root) / key)
        shot = snapshot(folder, time.time(), histories.setdefault(key, history_of(folder)))
        table.add_row(escape(names[key]), escape(line(shot, width and width - len(names[key]) - 2)))
    if len(running) > ROWS:
        table.add_row(f"... and {len(running) - ROWS} more", "")
    return table


def summary_lines(root: Path, keys: Sequence[str], found: Mapping[str, RunStatus]) -> list[str]:
    """Return the end of a sweep in a few lines."""
    counts = Counter(found.get(key, NEW).state for key in keys)
    return [", ".join(f"{count} {state}" for state, count in counts.most_common())]
