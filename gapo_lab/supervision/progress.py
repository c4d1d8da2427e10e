"""What a person sees of a run, read from the run folder's files alone.

While it goes on: one live line on a terminal, a plain line now and then elsewhere. At the end: a short
table before and after, and where everything lies. When it failed: the lines of the log that say why.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gapo_lab.errors import UserError
from gapo_lab.runs import measures, metrics
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.history import History, last, newest_first
from gapo_lab.runs.status import State
from gapo_lab.tracking import uri
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import duration, points, signed

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
    about: str = measures.EXACT_MATCH
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


def history_of(folder: RunFolder) -> History:
    """Return what ``snapshot`` reads of a run, to be kept from one look to the next."""
    return History(folder.path, lambda found: [name for name in found if name.startswith(("train/reward", "val/"))])


def snapshot(folder: RunFolder, now: float, history: History | None = None) -> Snapshot:
    """``folder`` as it stands at ``now`` (Unix seconds).

    history: of ``history_of``, so that only what is new is read.
    """
    status = folder.status()
    history = history or history_of(folder)
    points = history.look()
    if not history.begun:  # what earlier attempts did would look like the progress of this one
        points = {}
    about = _about(folder, history.names) if points else None
    sets = measures.measures(history.names) if about else ()
    newest = {where: last(points, f"val/{where}/{about}") for where in sets}
    trained = list(islice((at["train/reward"].time for at in newest_first(points) if "train/reward" in at), RECENT + 1))
    return Snapshot(
        step=next(reversed(points), status.resumes_from),
        total=status.total_steps,
        phase=status.message or ("queued" if status.state is State.QUEUED else "starting"),
        elapsed=max(0.0, now - (status.started or now)),
        resumes_from=status.resumes_from,
        reward=last(points, "train/reward"),
        about=about or measures.EXACT_MATCH,
        tests={where: value for where, value in newest.items() if value is not None},
        pace=pace(trained[::-1], since=status.started or 0.0),
    )


def _about(folder: RunFolder, names: Collection[str]) -> str | None:
    """Return the measure that the run is about: that of `metric=`, unless it has not been measured (yet)."""
    config = folder.path / "config.yaml"
    asked = _asked(folder.path, config.stat().st_mtime_ns) if config.exists() else None
    there = {one for found in measures.measures(names).values() for one in found}
    return measures.main_measure(names, asked if asked in there else None)


@lru_cache(maxsize=1024)
def _asked(path: Path, _changed: int) -> str | None:
    """Return what `metric=` names in the run folder ``path``: it is looked for twice a second."""
    try:
        return RunFolder(path).config_values(["metric"]).get("metric")
    except UserError:  # not YAML: told where it is needed
        return None


def pace(times: Sequence[float], since: float = 0) -> float | None:
    """Mean seconds a step, validation included, from the times at which steps ended.

    Only steps of the attempt that started at ``since`` count: a pause between attempts is no step.
    """
    times = [t for t in times if t >= since]
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None


def line(shot: Snapshot, width: int | None = None) -> str:
    """One line: the phase while the attempt starts, then step, reward, exact match, pace, time left.

    width: of what may be shown; the last test sets are left out where it is narrower.
    """
    for shown in range(len(shot.tests), -1, -1):
        tests = dict(list(shot.tests.items())[:shown])
        text = _line(replace(shot, tests=tests))
        if width is None or len(text) <= width:
            break
    return text


def _line(shot: Snapshot) -> str:
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
    name = "EM" if shot.about == measures.EXACT_MATCH else shot.about
    parts += [
        f"{name} {measures.set_label(where)} {measures.shown(shot.about, value)}" for where, value in shot.tests.items()
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
        self._history = history_of(folder)
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
        shot = snapshot(self.folder, time.time(), self._history)
        if self._live:
            self._spinner.update(text=Text(self._note + line(shot, self._room), no_wrap=True, overflow="ellipsis"))
        elif (mark := self._mark(shot)) != self._said:
            self._said = mark
            self._print(line(shot))
        return shot

    @property
    def _room(self) -> int:
        return self.console.width - len("* ") - len(self._note)

    def _print(self, text: str) -> None:
        with suppress(OSError):
            say(self.console, text, markup=False)

    def _mark(self, shot: Snapshot) -> tuple[str, int]:
        """Return what changes when a plain line is due: a new phase, the first step, each ``every`` steps, the last."""
        if not shot.trains:
            return (shot.phase, 0)
        return ("", -1 if shot.step == shot.total else shot.step // self.every)


# The end of a run


def table(summary: Mapping[str, float], merged: Mapping[int, Mapping[str, float]], title: str = "") -> Table:
    """Before, after, best and the change in points, from ``gapo_lab.runs.metrics.summary``.

    merged: what the run measured, {step: {metric: value}}; it says at which step each value was best.
    """
    out = Table(title=title or None, title_justify="left", title_style="bold")
    out.add_column("")
    for name in ("before", "after", "change", "best", "at step"):
        out.add_column(name, justify="right")
    for name in measures.measured_in(summary):
        out.add_row(_label(name), *_changes(summary, merged, name))
    if "final/train/reward" in summary:
        first, final = summary["first/train/reward"], summary["final/train/reward"]
        out.add_row("training reward", f"{first:.3f}", f"{final:.3f}", signed(final - first, 3), "", "")
    return out


def _label(name: str) -> str:
    """`ID exact match, greedy` for `id/em_greedy`."""
    where, measure = name.split("/", 1)
    plain = measure.removesuffix(measures.GREEDY)
    what = {measures.EXACT_MATCH: "exact match", measures.EXPECTED: "exact match, expected"}.get(plain, plain)
    return f"{measures.set_label(where)} {what}, {'T=1.0' if plain == measure else 'greedy'}"


def _changes(summary: Mapping[str, float], merged: Mapping[int, Mapping[str, float]], name: str) -> list[str]:
    """Before, after, change, best, and the step of the best."""
    first, final, best = (summary.get(f"{which}/{name}", math.nan) for which in ("first", "final", "best"))
    measure = name.partition("/")[2]
    share = measures.is_share(measure)
    change = points(final - first) if share else signed(final - first, 3)
    step = metrics.first_best(metrics.series(merged, f"val/{name}"))
    texts = [measures.shown(measure, value) for value in (first, final, best)]
    return [*texts[:2], change, texts[2], "" if step is None else str(step[0])]


def show_end(folder: RunFolder, console: Console, tracking_uri: str | None = None, title: str = "") -> None:
    """Print the table and where everything lies: the run folder, its log, and how to open MLflow."""
    merged = folder.merged_metrics()
    summary = folder.summary() or metrics.summary(merged, folder.config().get("metric"))
    if summary:
        console.print(table(summary, merged, title))
    for text in where_lines(folder, uri.resolve(tracking_uri)):
        say(console, text, markup=False)


def where_lines(folder: RunFolder, tracking_uri: str) -> list[str]:
    """Where the run folder, its log and its charts are."""
    attempts, charts = folder.attempts(), uri.how_to_open(tracking_uri)
    if folder.config().get("tracking") == "later":
        charts = f"after {uri.command('sync', folder.key, root=folder.path.parent)}: {charts}"
    return (
        [f"run folder  {_near(folder.path)}"]
        + ([f"log         {_near(attempts[-1].log_path)}"] if attempts else [])
        + [f"{'' if place else 'charts':<12}{text}" for place, text in enumerate(charts.split("\n"))]
    )


def _near(path: Path) -> str:
    """``path`` from the working folder, where it lies below it."""
    path, here = Path(path).absolute(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
