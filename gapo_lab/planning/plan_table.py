"""A plan as a person reads it: a line a cell, what is wrong, one line of totals."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gapo_lab.planning import model_note
from gapo_lab.planning.plan import Action, Plan, Planned
from gapo_lab.planning.plan_notes import notes
from gapo_lab.planning.power_note import power_note
from gapo_lab.planning.resources import asked_for
from gapo_lab.runs import naming
from gapo_lab.utils.machine import cores
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import duration, number, roughly, several, span, two_digits

COLOURS = {
    Action.RUN: "green",
    Action.SKIP: "dim",
    Action.ATTACH: "cyan",
    Action.RETRY: "yellow",
    Action.INVALID: "red",
}
LONGEST = 40  # cells shown unless all are asked for


def show_plan(plan: Plan, console: Console, everything: bool = False) -> None:
    """Print the plan. ``everything`` also shows what is beyond the first cells."""
    first, *rest = notes(plan) or [""]
    if first:
        say(console, f"[yellow]note[/] {escape(first)}")
    cells: dict[str, list[Planned]] = {}
    for run in plan.runs:
        cells.setdefault(run.cell, []).append(run)
    shown = list(cells.items()) if everything else list(cells.items())[:LONGEST]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("cell", overflow="fold")
    table.add_column("seeds", no_wrap=True)
    table.add_column("what happens", overflow="fold")
    # of runs on the cores of one machine there is nothing to say of nodes and GPUs
    on_gpus = any(_machines(runs[0]) not in ("", "CPU") for _, runs in shown)
    for name in ("nodes x GPUs", "a run", "GPU-h") if on_gpus else ("a run",):
        table.add_column(name, justify="right", no_wrap=True)
    common = in_common(plan)
    for _, runs in shown:
        name = naming.cell_name(runs[0].valid_spec.as_dict(), common) if common else runs[0].name
        sizes = (_machines(runs[0]), _time(runs), _hours(runs)) if on_gpus else (_time(runs),)
        table.add_row(escape(name), _seeds(runs), _actions(runs), *sizes)
    console.print(table)
    if common:
        say(console, f"all cells: {escape(' '.join(common))}")
    if len(cells) > len(shown):
        console.print(f"... and {len(cells) - len(shown):,} more cells (all: python -m gapo_lab plan --all ...)")
    for run, count in _wrong(plan):
        console.print(f"[red]invalid[/] {escape(run.name)}" + (f" and {count - 1} more" if count > 1 else ""))
        say(console, textwrap.indent(escape(run.why), " " * 8))
    say(console, totals(plan))
    for line in (*model_note.lines(plan.runs), *asked_of_slurm(plan)):
        say(console, escape(line))
    for note in (*rest, power_note(plan)):
        if note:
            say(console, f"[yellow]note[/] {escape(note)}")


def in_common(plan: Plan) -> list[str]:
    """Return what all cells set, which the table says once: `greedy=false`; nothing where a cell cannot be composed."""
    specs = {run.spec.cell: run.spec for run in plan.runs if run.spec}
    return naming.in_common(spec.as_dict() for spec in specs.values()) if all(run.spec for run in plan.runs) else []


def asked_of_slurm(plan: Plan) -> list[str]:
    """Return a line for each set of resources: `10 runs ask SLURM for 1 node x 8 GPUs, 64 cores, ...`."""
    alike: dict[tuple, list[Planned]] = {}
    for run in plan.todo:
        if not run.cluster.is_local:
            alike.setdefault(run.resources, []).append(run)
    return [
        f"{several(len(runs), 'run')} ask{'s' * (len(runs) == 1)} SLURM for "
        + asked_for(runs[0].cluster, max(run.grace for run in runs))
        for runs in alike.values()
    ]


def totals(plan: Plan) -> str:
    """`60 runs in 12 cells: 50 run, 10 skip | about 2,200 GPU-hours`."""
    counts = plan.counts
    parts = ", ".join(f"{counts[action]:,} {action}" for action in Action if counts[action])
    cells = len({run.cell for run in plan.runs})
    out = f"{several(len(plan.runs), 'run')} in {several(cells, 'cell')}: {parts}"
    if not plan.todo:
        return out
    measured = source(plan.todo)
    if any(run.gpus for run in plan.todo):
        hours = plan.gpu_hours()
        amount = number(hours) if all(run.is_exact for run in plan.todo) else f"about {two_digits(hours)}"
        out += f" | {amount} GPU-hours ({measured})"
    else:
        at_once = _at_once(plan.todo)
        seconds = sum(run.seconds_left * (1 if run.measured else _crowding(run, at_once)) for run in plan.todo)
        how = f", {at_once} runs at a time" if at_once > 1 else " one after another"
        out += f" | {span(seconds / at_once)}{how} ({measured}), no GPU"
    return out + (f" + {plan.unknown} runs of unknown length" if plan.unknown else "")


def source(runs: Sequence[Planned]) -> str:
    """`estimated`, `measured in RUN`, `measured in 5 runs, partly estimated`."""
    keys = sorted({key for run in runs for key in run.expected.runs})
    if not keys:
        return "estimated"
    where = f"measured in {keys[0] if len(keys) == 1 else several(len(keys), 'run')}"
    return where if all(run.measured for run in runs) else f"{where}, partly estimated"


def _at_once(runs: Sequence[Planned]) -> int:
    cluster = runs[0].cluster
    return min(cluster.max_parallel, len(runs)) if cluster.is_local else 1


def _crowding(run: Planned, at_once: int) -> float:
    """How much longer a run takes than its estimate, where runs side by side ask for more cores than there are."""
    workers = run.settings["trainer.n_gpus_per_node"] * run.settings["trainer.nnodes"]
    return max(1.0, at_once * workers / cores()) if at_once > 1 else 1.0


def _seeds(runs: Sequence[Planned]) -> str:
    seeds = sorted({seed for run in runs if (seed := _seed(run)) is not None})
    if not seeds:
        return f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ",".join(map(str, seeds))


def _seed(run: Planned) -> int | None:
    if run.spec:
        return run.spec.seed
    text = naming.given_overrides({"overrides": run.words}).get("seed", "")
    return int(text) if text.isdigit() else None


def _actions(runs: Sequence[Planned]) -> str:
    counts = Counter(run.action for run in runs)
    text = ", ".join(
        f"[{COLOURS[a]}]{a}[/]" + (f" {counts[a]}" if len(counts) > 1 else "") for a in Action if counts[a]
    )
    todo = [run for run in runs if run.action in (Action.RETRY, Action.RUN)]
    reasons = Counter(run.why for run in todo if run.why)
    if not reasons:
        return text
    (why, of_them), *_others = reasons.most_common(1)
    return text + (f" ({escape(why)})" if of_them == len(todo) else f" ({of_them} of them: {escape(why)})")


def _machines(run: Planned) -> str:
    if not run.settings:
        return ""
    nodes, gpus = run.cluster.nodes, run.cluster.gpus
    return f"{nodes} x {gpus}" if gpus else ("CPU" if nodes == 1 else f"{nodes} x CPU")


def _time(runs: Sequence[Planned]) -> str:
    known = [run for run in runs if run.seconds is not None]
    if not known:
        return "?"
    mean = sum(run.seconds or 0 for run in known) / len(known)
    return duration(mean) if all(run.is_exact for run in known) else roughly(mean)


def _hours(runs: Sequence[Planned]) -> str:
    todo = [run for run in runs if run.action in (Action.RUN, Action.RETRY)]
    if any(run.seconds is None for run in todo):
        return "?"
    if not any(run.gpus for run in todo):
        return "-"
    hours = sum(run.seconds_left * run.gpus for run in todo) / 3600
    return number(hours) if all(run.is_exact for run in todo) else f"~{two_digits(hours)}"


def _wrong(plan: Plan) -> list[tuple[Planned, int]]:
    """One run for each different reason, and how many share it."""
    reasons: dict[str, list[Planned]] = {}
    for run in plan.doing(Action.INVALID):
        reasons.setdefault(run.why, []).append(run)
    return [(runs[0], len(runs)) for runs in reasons.values()]
