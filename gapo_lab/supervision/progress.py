"""What a person sees of a run, read from the run folder's files alone.

While it goes on: one live line on a terminal, a plain line now and then elsewhere. At the end: a short
table before and after, and where everything lies. When it failed: the lines of the log that say why.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gapo_lab.runs import metrics, objective
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import State
from gapo_lab.tracking import uri
from gapo_lab.utils.text import duration, points

PLAIN_EVERY = 10  # steps between two lines where there is no terminal
RECENT = 10  # steps that the pace is taken from
QUIET = ("starting", "training", "rehearsing")  # phases that need no word beside a step


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment. Times in seconds; metrics are None until this attempt has measured something.

    ``about``: the measure that the run is about, ``tests``: its newest value on each test set.

    ``resumes_from``: the step that this attempt began after; ``step`` is the same until it has done one.
    """

    step: int
    total: int | None
    phase: str
    elapsed: float
    resumes_from: int = 0
    reward: float | None = None
    about: str = metrics.EXACT_MATCH
    tests: Mapping[str, float] = field(default_factory=dict)
    pace: float | None = None

    @property
    def trains(self) -> bool:
        """Whether this attempt has done a step."""
        return self.step > self.resumes_from

    @property
    def left(self) -> float | None:
        """Seconds until the last step, at the recent pace."""
        if self.pace is None or self.total is None:
            return None
        return max(0, self.total - self.step) * self.pace


def snapshot(folder: RunFolder, now: float) -> Snapshot:
    """``folder`` as it stands at ``now`` (Unix seconds)."""
    status = folder.status()
    attempts = [attempt.rows() for attempt in folder.attempts()]
    # until this attempt has measured something: what earlier ones did would look like its progress
    begun = bool(attempts and attempts[-1])
    points = metrics.merge(attempts) if begun else {}
    curves = metrics.values(points)

    def last(name: str) -> float | None:
        return next((value for _, value in reversed(metrics.series(curves, name))), None)

    about = objective.objective(name for at in curves.values() for name in at) if curves else None
    newest = (
        {
            where: last(f"val/{where}/{about}")
            for where in objective.measures(name for at in curves.values() for name in at)
        }
        if about
        else {}
    )
    trained = [at["train/reward"].time for at in points.values() if "train/reward" in at]
    return Snapshot(
        step=max(curves, default=status.resumes_from),
        total=status.total_steps,
        phase=status.message or ("queued" if status.state is State.QUEUED else "starting"),
        elapsed=max(0.0, now - (status.started or now)),
        resumes_from=status.resumes_from,
        reward=last("train/reward"),
        about=about or metrics.EXACT_MATCH,
        tests={where: value for where, value in newest.items() if value is not None},
        pace=pace(trained[-RECENT - 1 :], since=status.started or 0.0),
    )


def pace(times: Sequence[float], since: float = 0) -> float | None:
    """Mean seconds a step, validation included, from the times at which steps ended.

    Only steps of the attempt that started at ``since`` count: a pause between attempts is no step.
    """
    times = [t for t in times if t >= since]
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None


def line(shot: Snapshot) -> str:
    """One line: the phase while the attempt starts, then step, reward, exact match, pace, time left."""
    if not shot.trains and shot.reward is None:
        parts = [shot.phase, duration(shot.elapsed)]
        if shot.resumes_from:
            parts.insert(1, f"resumes from step {shot.resumes_from}")
    else:
        parts = [f"step {shot.step}/{shot.total if shot.total is not None else '?'}"]
        if shot.phase not in QUIET:
            parts.append(shot.phase)
        if shot.reward is not None:
            parts.append(f"reward {shot.reward:.3f}")
    name = "EM" if shot.about == metrics.EXACT_MATCH else shot.about
    parts += [
        f"{name} {objective.set_label(where)} {objective.shown(shot.about, value)}"
        for where, value in shot.tests.items()
    ]
    if shot.pace is not None:
        parts.append(f"{shot.pace:.1f} s/step")
    if shot.left is not None:
        parts.append(f"{duration(shot.left)} left")
    return " | ".join(parts)


class Progress:
    """Shows a run while it goes on: ``with Progress(folder, console) as p: ... p.poll() ...``.

    ``poll`` reads the run folder and may be called as often as one likes. A terminal that is gone is no error: the run
    has still to be ended and its state to be recorded.
    """

    def __init__(self, folder: RunFolder, console: Console | None = None, every: int = PLAIN_EVERY) -> None:
        self.folder, self.console, self.every = folder, console or Console(), every
        self._live: Live | None = None
        self._said: tuple[str, int] | None = None
        self._note = ""

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._spinner = Spinner("dots", text="")
            self._live = Live(self._spinner, console=self.console, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live:
            with suppress(OSError):
                self._live.stop()
            self._live = None

    def note(self, text: str) -> None:
        """Say ``text`` now and keep it before the live line."""
        self._note = f"{text} | " if self._live else ""
        if not self._live:
            self._print(text)

    def poll(self) -> Snapshot:
        """Read the folder, show what is new, and give it back."""
        shot = snapshot(self.folder, time.time())
        if self._live:
            self._spinner.update(text=Text(self._note + line(shot), no_wrap=True, overflow="ellipsis"))
        elif (mark := self._mark(shot)) != self._said:
            self._said = mark
            self._print(line(shot))
        return shot

    def _print(self, text: str) -> None:
        with suppress(OSError):
            self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _mark(self, shot: Snapshot) -> tuple[str, int]:
        """Changes when a plain line is due: a new phase, the first step, each ``every`` steps, the last."""
        if not shot.trains:
            return (shot.phase, 0)
        return ("", -1 if shot.step == shot.total else shot.step // self.every)


# The end of a run


def table(summary: Mapping[str, float], title: str = "") -> Table:
    """Before, after, best and the change in points, from ``gapo_lab.runs.metrics.summary``."""
    out = Table(title=title or None, title_justify="left", title_style="bold")
    out.add_column("")
    for name in ("before", "after", "change", "best", "at step"):
        out.add_column(name, justify="right")
    for name in objective.measured_in(summary):
        out.add_row(_label(name), *_changes(summary, name))
    if "final/train/reward" in summary:
        first, final = summary["first/train/reward"], summary["final/train/reward"]
        out.add_row("training reward", f"{first:.3f}", f"{final:.3f}", f"{final - first:+.3f}", "", "")
    return out


def _label(name: str) -> str:
    """`ID exact match, greedy` for `id/em_greedy`."""
    where, measure = name.split("/", 1)
    plain = measure.removesuffix(objective.GREEDY)
    what = {metrics.EXACT_MATCH: "exact match", metrics.EXPECTED: "exact match, expected"}.get(plain, plain)
    return f"{objective.set_label(where)} {what}, {'T=1.0' if plain == measure else 'greedy'}"


def _changes(summary: Mapping[str, float], name: str) -> list[str]:
    """Before, after, change, best, and the step of the best where the run is about this."""
    first, final, best = (summary.get(f"{which}/{name}", math.nan) for which in ("first", "final", "best"))
    where, measure = name.split("/", 1)
    share = objective.is_share(measure)
    change = points(final - first) if share else f"{final - first:+.3f}"
    suffix = objective.GREEDY if measure.endswith(objective.GREEDY) else ""
    about = objective.of_summary(summary) == measure.removesuffix(objective.GREEDY)
    step = summary.get(f"best/{where}/step{suffix}", math.nan) if about else math.nan
    texts = [objective.shown(measure, value) for value in (first, final, best)]
    return [*texts[:2], change, texts[2], "" if math.isnan(step) else f"{step:.0f}"]


def show_end(folder: RunFolder, console: Console, tracking_uri: str | None = None, title: str = "") -> None:
    """Print the table and where everything lies: the run folder, its log, and how to open MLflow."""
    summary = folder.summary() or metrics.summary(folder.merged_metrics(), folder.config().get("metric"))
    if summary:
        console.print(table(summary, title))
    for text in where_lines(folder, uri.resolve(tracking_uri)):
        console.print(text, highlight=False, soft_wrap=True, markup=False)


def where_lines(folder: RunFolder, tracking_uri: str) -> list[str]:
    """Where the run folder, its log and its charts are."""
    attempts, charts = folder.attempts(), uri.how_to_open(tracking_uri)
    if folder.config().get("tracking") == "later":
        charts = f"after {uri.command('sync', folder.key)}: {charts}"
    return (
        [f"run folder  {_near(folder.path)}"]
        + ([f"log         {_near(attempts[-1].log_path)}"] if attempts else [])
        + [f"charts      {charts}"]
    )


def _near(path: Path) -> str:
    """``path`` from the working folder, where it lies below it."""
    path, here = Path(path).absolute(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
