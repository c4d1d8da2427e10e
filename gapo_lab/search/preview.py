"""What a search would do, and at most cost; for `python -m gapo_lab plan`. Starts nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from gapo_lab.launch import executor
from gapo_lab.planning import plan
from gapo_lab.planning.plan_table import source
from gapo_lab.search import loop
from gapo_lab.search.conditional_axes import Conditions
from gapo_lab.search.runner import introduction
from gapo_lab.search.settings import Search, make_search
from gapo_lab.utils.text import duration, roughly, two_digits


def show(words: Sequence[str], console: Console) -> None:
    """Check the search and print it. UserError where it could not be started."""
    search = make_search(words)
    conditions = Conditions(search.space, search.first_seed)
    conditions.check()
    for line in (*introduction(search)[:2], cost(search, conditions)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def cost(search: Search, conditions: Conditions) -> str:
    """`at most 42 runs of ~2.3 h, 8 GPUs each: about 770 GPU-hours`; of a run at the first end of each axis."""
    chosen: tuple[str, ...] = ()
    for axis in search.space.axes:
        if conditions.active(axis, chosen):
            chosen = (*chosen, axis.word(axis.ends[0]))
    run = plan.make([conditions.draft((*search.space.fixed, *chosen))], measured=executor.measured(search.root)).runs[0]
    more = max(0, search.final_seeds - search.seeds) * search.finalists
    count = loop.most(search) * search.seeds + more
    if run.seconds is None:
        return f"at most {count} runs, of a length not known yet"
    seconds = duration(run.seconds) if run.is_exact else roughly(run.seconds)
    all_hours = count * run.seconds * run.gpus / 3600
    hours = f", {run.gpus} GPUs each: about {two_digits(all_hours)} GPU-hours" if run.gpus else ""
    return f"at most {count} runs of {seconds}{hours} ({source([run])}); what is pruned ends sooner"
