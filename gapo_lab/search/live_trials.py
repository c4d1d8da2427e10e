"""The trials that go on, a line each run, on a terminal: how far it is, what it has measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.history import History
from gapo_lab.search import names
from gapo_lab.search.search_space import Space
from gapo_lab.search.trials import Live
from gapo_lab.supervision.progress import history_of, line, snapshot

ROWS = 12  # runs shown


class LiveTrials:
    """Use as a context: ``with LiveTrials(...) as screen: ... screen.show(trials)``. Elsewhere it shows nothing."""

    def __init__(self, root: Path, space: Space, console: Console) -> None:
        self.root, self.space = root, space
        self._histories: dict[str, History] = {}
        self._screen = Screen(console=console, transient=True, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._screen:
            self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._screen:
            self._screen.stop()

    def show(self, trials: Sequence[Live]) -> None:
        """Show these trials as they stand now."""
        if self._screen:
            self._screen.update(self.table(trials))

    def table(self, trials: Sequence[Live]) -> Table:
        """Return a line for each run of these trials."""
        out = Table(box=None, show_header=False, pad_edge=False)
        runs = [(trial, run) for trial in trials for run in trial.runs]
        keys = {run.key for _, run in runs[:ROWS]}
        self._histories = {key: history for key, history in self._histories.items() if key in keys}
        for trial, run in runs[:ROWS]:
            seed = f" seed={run.valid_spec.seed}" if len(trial.runs) > 1 else ""
            name = f"trial {trial.number}  {names.of_trial(self.space, trial.trial.params)}{seed}"
            folder = RunFolder(self.root / run.key)
            shot = snapshot(folder, time.time(), self._histories.setdefault(run.key, history_of(folder)))
            out.add_row(Text(name), Text(line(shot)))
        if len(runs) > ROWS:
            out.add_row(f"... and {len(runs) - ROWS} more", "")
        return out
