"""`gapo_lab status`: the runs of a study by cell and seed, a mean for each cell, what is wrong, and a line of
totals."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.segment import Segment, Segments
from rich.style import Style

from gapo_lab.cli.status_rows import Row, Table
from gapo_lab.runs import measures
from gapo_lab.runs.status import COLOURS, State
from gapo_lab.utils import prose
from gapo_lab.utils.text import ago, several

ORDER = (State.FINISHED, State.RUNNING, State.QUEUED, State.INTERRUPTED, State.FAILED, State.BROKEN, State.NEW)
_STYLES = {state: Style.parse(colour) for state, colour in COLOURS.items()}
# Around columns for the trial and the objectives, of a search, and for the best value on each test set.
KEY, HEADS, LAST_HEADS = "key", ("seed", "state", "step"), ("seen", "")
# Lines after which the names of the columns are repeated.
SCREEN = 40
LEFT = (KEY, "state", "")
# What tells the messages of two runs apart that say the same: SLURM's job, a step.
_JOB = re.compile(r"job \d+(?:_\d+)?, ")
_STEP = re.compile(r"\bstep (\d+)")


def show(table: Table, console: Console, cells_only: bool = False) -> None:
    """Print the runs, cell by cell; or a line for each cell."""

    say = partial(prose.say, console)

    notes = Notes()
    cells = _cells(table.rows)
    sets = _sets(table.rows)
    about = {row.about for row in table.rows if row.best}
    what = f" {about.pop()}" if len(about) == 1 else ""
    trial, objectives = _columns_of_search(table.rows)
    best = (f"best {measures.set_label(name)}{what}" for name in sets)
    heads = (KEY, *trial, *HEADS, *objectives, *best, *LAST_HEADS)
    lines = [[_line(row, bool(trial), objectives, sets, notes) for row in runs] for _, _, runs in cells]
    columns = zip(heads, *(line for cell in lines for line in cell), strict=True)
    aligned = _aligned(heads, [max(map(len, column)) for column in columns])
    head = f"[bold]{aligned(heads)}[/]"
    if not cells_only:
        console.print(head, highlight=False, soft_wrap=True)
    below = 0
    for study in dict.fromkeys(row.study for row in table.rows):
        common = table.common.get(study)
        if len(table.common) > 1 or common:
            text = f"study {study}" + (f", all cells {' '.join(common)}" if common else "")
            say(f"[bold]{escape(text)}[/]")
        for (of, name, runs), texts in zip(cells, lines, strict=True):
            if of != study:
                continue
            say(f"[bold]{escape(name)}[/]  {_summary(runs)}")
            if not cells_only:
                if below > SCREEN:
                    console.print(head, highlight=False, soft_wrap=True)
                below = len(texts) + (0 if below > SCREEN else below)
                # of ten thousand runs, reading a line's colours from text takes seconds
                segments = _segments(runs, map(aligned, texts), console.color_system is not None)
                console.print(Segments(segments), soft_wrap=True, end="")
    for text in notes.lines():
        say(text)
    say(totals(table.rows))


def _segments(runs: Iterable[Row], lines: Iterable[str], in_colour: bool) -> Iterator[Segment]:
    """Yield the lines of a cell, with the word for a run's state in its colour. Text without a colour is one piece."""
    plain: list[str] = []
    for row, line in zip(runs, lines, strict=True):
        style = _STYLES.get(row.state) if in_colour else None
        if style is None:
            plain += (line, "\n")
            continue
        before, state, after = line.partition(row.state)
        yield from (Segment("".join((*plain, before))), Segment(state, style))
        plain = [after, "\n"]
    yield Segment("".join(plain))


def _cells(found: Sequence[Row]) -> list[tuple[str, str, list[Row]]]:
    out: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        out.setdefault((row.study, row.cell), []).append(row)
    return [(study, cell or "cannot be read", runs) for (study, cell), runs in out.items()]


def _summary(runs: Sequence[Row]) -> str:
    """`4 of 5 finished, mean best ID 35.2%, OOD 12.0%`: the means are over what has finished. Of a search, the trial
    and its objectives stand before."""
    over = [row for row in runs if row.state is State.FINISHED]
    trials = sorted({number for row in runs for number in row.trials})
    text = f"trial {_listed(trials)}: " if trials else ""
    text += f"{len(over)} of {len(runs)} finished"
    for name in _columns_of_search(over)[1]:
        values = [row.objectives[name] for row in over if name in row.objectives]
        what = f"mean {name}" if len(values) > 1 else name
        text += f", {what} {_objective(_mean(values))}" if len(values) == len(over) else ""
    means = []
    for name in _sets(over):
        values = [row.best[name] for row in over if name in row.best]
        if len(values) == len(over) and len({row.about for row in over}) == 1:
            means.append(f"{measures.set_label(name)} {measures.shown(over[0].about, _mean(values))}")
    what = "" if not means or over[0].about == measures.EXACT_MATCH else f"{over[0].about} "
    return text + (f", mean best {what}{', '.join(means)}" if means else "")


def _listed(trials: Iterable[int]) -> str:
    return ", ".join(map(str, trials))


def _objective(value: float) -> str:
    """Return the value of an objective as the search's own lines have it."""
    return f"{value:.4g}"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)  # as `statistics` has it, which takes a while to import


def _sets(rows: Iterable[Row]) -> list[str]:
    """Return the test sets of these runs, in the order of tables; ID and OOD where nothing was measured yet."""
    return measures.in_order(name for row in rows for name in row.best) or ["id", "ood"]


def _columns_of_search(rows: Iterable[Row]) -> tuple[list[str], list[str]]:
    """Return the column for the trial, and those for objectives; none where no search has started a run."""
    rows = [row for row in rows if row.trials]
    return ["trial"] if rows else [], list(dict.fromkeys(name for row in rows for name in row.objectives))


def _line(row: Row, with_trial: bool, objectives: Sequence[str], sets: Sequence[str], notes: Notes) -> list[str]:
    return [
        row.key,
        *([_listed(row.trials)] if with_trial else []),
        "" if row.seed is None else str(row.seed),
        row.state,
        row.step,
        *(_objective(row.objectives[name]) if name in row.objectives else "" for name in objectives),
        *(measures.shown(row.about, row.best[name]) if name in row.best else "" for name in sets),
        "" if row.seen is None else ago(row.seen),
        notes.mark(row),
    ]


def _aligned(heads: Sequence[str], widths: Sequence[int]) -> Callable[[Sequence[str]], str]:
    """Return what makes a line of the texts in its columns."""
    columns = zip(heads, widths, strict=True)
    line = "  ".join(f"{{:{'<' if head in LEFT else '>'}{max(1, width)}}}" for head, width in columns)
    return lambda texts: line.format(*texts).rstrip()


class Notes:
    """Messages, each shown once below the table however many runs share it."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[Row]] = {}
        self._marks: dict[tuple[str, str], str] = {}

    def mark(self, row: Row) -> str:
        """Return the number of the run's message, which is shown beside the run; '' if it has none."""
        if not row.message:
            return ""
        key = (row.state, _shared(row))
        self._runs.setdefault(key, []).append(row)
        return self._marks.setdefault(key, f"({len(self._runs)})")

    def lines(self) -> list[str]:
        """Return each message with its number, how many runs share it, and their state."""
        out = []
        for number, ((state, shared), runs) in enumerate(self._runs.items(), 1):
            message = _with_steps(shared, runs) if len(runs) > 1 else runs[0].message
            first, *rest = message.splitlines() or [""]
            who = f"{several(len(runs), 'run')} {state}" if len(runs) > 1 else f"{runs[0].key} {state}"
            out.append(f"({number}) {escape(f'{who}: {first}')}")
            out += [f"    {escape(text)}" for text in rest]
        return out


def _shared(row: Row) -> str:
    """Return a message without the parts that differ between runs: job, key and step."""
    return _STEP.sub("step #", _JOB.sub("", row.message).replace(row.key, "RUN"))


def _with_steps(shared: str, runs: Sequence[Row]) -> str:
    """Return the message of several runs with their steps put back: `resumes from steps 3 to 12`."""
    steps = sorted(int(step) for row in runs for step in _STEP.findall(row.message))
    if not steps:
        return shared
    span = f"step {steps[0]}" if steps[0] == steps[-1] else f"steps {steps[0]} to {steps[-1]}"
    return shared.replace("step #", span)


def totals(found: Sequence[Row]) -> str:
    """`35 runs in 7 cells: 30 finished, 3 running, 2 queued`."""
    counts = Counter(row.state for row in found)
    states = sorted(counts, key=ORDER.index)
    cells = len({row.cell for row in found if row.cell})
    parts = ", ".join(f"{counts[state]:,} {state}" for state in states)
    return f"{several(len(found), 'run')} in {several(cells, 'cell')}: {parts}"
