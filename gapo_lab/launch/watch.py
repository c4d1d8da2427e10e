"""Follows runs until they have ended, from their folders and the scheduler alone: any shell can, at any time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from gapo_lab.errors import UserError
from gapo_lab.launch import states
from gapo_lab.progress import duration, line, percent, snapshot
from gapo_lab.run_folder import RunFolder
from gapo_lab.tracking.describe import run_name

EVERY = 1.0  # seconds between two looks at the folders
EVERY_SCHEDULER = 10.0  # seconds between two questions to the scheduler
ROWS = 12  # runs shown live


def follow(
    root: Path,
    keys: Sequence[str],
    console: Console,
    tick: Callable[[], bool] = lambda: True,
    every: float = EVERY,
) -> dict[str, dict[str, Any]]:
    """Show the runs until none is queued or running; their last statuses, by key.

    tick: called at each look; False means that there is more to come although nothing is queued or running.
    """
    said: dict[str, str] = {}
    names = {key: _name(Path(root) / key) for key in keys}
    with (
        Live(console=console, transient=True, refresh_per_second=4)
        if console.is_terminal
        else _Quiet() as live
    ):
        while True:
            over = tick()
            found = states.read(root, keys)
            for key in keys:
                state = found.get(key, {}).get("state", "new")
                if said.get(key) != state:
                    if state not in ("new", "queued") and not (state == "finished" and key not in said):
                        console.print(_event(key, names[key], found), highlight=False, soft_wrap=True)
                    said[key] = state
            if over and not any(found.get(key, {}).get("state") in states.ACTIVE for key in keys):
                return found
            live.update(_table(root, keys, names, found))
            slurm = any(status.get("submission") for status in found.values())
            time.sleep(max(every, EVERY_SCHEDULER if slurm and len(keys) > 1 else 2.0) if slurm else every)


class _Quiet:
    """Stands where the live table would be, on a console that is no terminal."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def update(self, _: object) -> None:
        pass


def _name(path: Path) -> str:
    try:
        return run_name(RunFolder(path).spec)
    except UserError:
        return path.name


def _event(key: str, name: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    status = found[key]
    state = status["state"]
    done = Counter(s.get("state") for s in found.values())
    where = f" as job {status['job']}" if status.get("job") and state == "running" else ""
    text = f"{time.strftime('%H:%M:%S')} [{states.COLOURS.get(state, '')}]{state}[/]{where}  {escape(name)} ({key})"
    text += f"  [{done['finished']}/{len(found)} finished]" if state == "finished" else ""
    if state in ("failed", "interrupted", "broken"):
        text += "".join(f"\n    {escape(part)}" for part in said(status))
    return text


def said(status: Mapping[str, Any]) -> list[str]:
    """Why a run stands still, the last lines of its log and what to do; for the screen."""
    lines = str(status.get("message") or "").splitlines()[-6:]
    cause = status.get("cause")
    head = [cause] if cause and cause not in " ".join(lines).lower() else []
    return [*head, *lines, *([f"-> {status['remedy']}"] if status.get("remedy") else [])]


def _table(
    root: Path, keys: Sequence[str], names: Mapping[str, str], found: Mapping[str, Mapping[str, Any]]
) -> Table:
    counts = Counter(found.get(key, {}).get("state", "new") for key in keys)
    title = ", ".join(
        f"{counts[state]} {state}"
        for state in ("finished", "running", "queued", "failed", "interrupted", "new")
        if counts[state]
    )
    table = Table(box=None, title=title, title_justify="left", show_header=False, pad_edge=False)
    running = [key for key in keys if found.get(key, {}).get("state") == "running"]
    for key in running[:ROWS]:
        table.add_row(escape(names[key]), escape(line(snapshot(RunFolder(Path(root) / key), time.time()))))
    if len(running) > ROWS:
        table.add_row(f"... and {len(running) - ROWS} more", "")
    return table


def summary_lines(root: Path, keys: Sequence[str], found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The end of a sweep in a few lines."""
    counts = Counter(found.get(key, {}).get("state", "new") for key in keys)
    return [", ".join(f"{count} {state}" for state, count in counts.most_common())]


__all__ = ["duration", "follow", "percent", "said", "summary_lines"]
