"""`python -m bench [NAME]`: measure and print the rows of the table. Without NAME, also write the part of docs/bench.md
that is not written by hand."""

from __future__ import annotations

import argparse
import inspect
import os
import platform
from collections.abc import Callable
from pathlib import Path

from bench.analysis import tables_against_mlflow_client, tables_through_server
from bench.copying import copying_many_runs
from bench.data import describing_and_validating, mining
from bench.estimators import gapo_against_plain_python, gapo_against_verl, gapo_is_linear
from bench.launch import plan_against_hydra, status_of_a_thousand
from bench.looking import looking_at_a_long_run
from bench.many_runs import (
    cleaning_ten_thousand,
    status_of_ten_thousand,
    status_on_a_slow_disk,
    watching_two_thousand,
)
from bench.measurement import Row, keep_freed_memory
from bench.overhead import demo_against_0_1_0, platform_share_of_a_run
from bench.reward import reward_against_dynamic_programme
from bench.rollouts import rollout_server_against_generate
from bench.search import search_without_training
from bench.statistics import (
    statistics_of_a_whole_report,
    statistics_of_exact_measures,
    statistics_of_intervals,
    statistics_of_new_cases,
    statistics_of_seeds_until_decided,
    statistics_of_speed,
    statistics_of_the_best_validation,
)
from bench.warm_starts import warm_against_cold_starts, warm_against_cold_sweep

ROWS: list[Callable[[], list[Row]]] = [
    gapo_against_verl,
    gapo_against_plain_python,
    gapo_is_linear,
    reward_against_dynamic_programme,
    rollout_server_against_generate,
    platform_share_of_a_run,
    demo_against_0_1_0,
    warm_against_cold_starts,
    warm_against_cold_sweep,
    tables_against_mlflow_client,
    tables_through_server,
    mining,
    describing_and_validating,
    plan_against_hydra,
    status_of_a_thousand,
    status_of_ten_thousand,
    status_on_a_slow_disk,
    watching_two_thousand,
    cleaning_ten_thousand,
    copying_many_runs,
    looking_at_a_long_run,
    search_without_training,
    statistics_of_a_whole_report,
    statistics_of_intervals,
    statistics_of_new_cases,
    statistics_of_speed,
    statistics_of_seeds_until_decided,
    statistics_of_exact_measures,
    statistics_of_the_best_validation,
]
# What stands above the notes on some rows: other pages lead to it.
HEADINGS = {statistics_of_a_whole_report: "### Simulations of the statistics\n\n"}
OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "bench.md"
# What the page says above its table.
HEAD = """\
`make bench` writes the part of this page above "What the marks in the table mean"; the rest is written by hand. A row
compares either two implementations (medians, measured in alternation) or one measurement with a limit. The name after
the slash says with what it is compared. `x pace` is a limit that was set on a faster machine: it is multiplied by how
many times as long version 0.1.0 takes on this one. `missed` means that the target is not reached. A missed target
changes no result of a run: it costs the time that the row says."""


def main() -> None:
    names = [measure.__name__ for measure in ROWS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="?", help=f"only the functions whose name contains it: {', '.join(names)}")
    parser.add_argument("--only", metavar="NAME", help="the same as NAME")
    asked = parser.parse_args()
    only = asked.name or asked.only
    chosen = [measure for measure in ROWS if only is None or only in measure.__name__]
    if not chosen:
        parser.error(f"{only}: no such row; there are {', '.join(names)}")

    # Everything runs on one thread, as the processes of a run do. Set before torch is imported.
    os.environ["OMP_NUM_THREADS"] = "1"
    keep_freed_memory()
    print(machine())
    rows = []
    for measure in chosen:
        for row in measure():
            print(line(row), flush=True)
            rows.append(row)
    if only is None:
        OUTPUT.write_text(document(rows) + by_hand(OUTPUT.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"written to {OUTPUT.relative_to(Path.cwd()) if OUTPUT.is_relative_to(Path.cwd()) else OUTPUT}")


def line(row: Row) -> str:
    target = "" if row.target is None else f"at most {row.target:.3g}"
    ours, theirs = (duration(x) if row.unit == "s" else _number(x, row.unit) for x in (row.ours, row.theirs))
    return f"| {row.name} | {ours} | {theirs} | {row.ratio:.3g} | {target} | {row.verdict} |"


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}".strip() if value >= 100 else f"{value:.3g} {unit}".strip()


def document(rows: list[Row]) -> str:
    """Return the page docs/bench.md."""
    head = "| what / compared with | ours | the other, or the limit | ratio | target | |\n|---|---|---|---|---|---|"
    table = "\n".join([head, *map(line, rows)])
    notes = "\n\n".join(f"{HEADINGS.get(each, '')}**{each.__name__}**: {inspect.getdoc(each)}" for each in ROWS)
    return f"# Measurements\n\n{HEAD}\n\nMachine: {machine()}.\n\n{table}\n\n{notes}\n"


def by_hand(page: str) -> str:
    """Return the sections of the page that are written by hand: all from its first second-level heading on."""
    _, heading, after = page.partition("\n## ")
    return heading + after


def machine() -> str:
    """Processor, cores and Python of this machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for entry in cpuinfo.read_text(encoding="utf-8").splitlines():
            if entry.startswith("model name"):
                model = entry.partition(":")[2].strip()
                break
    return f"{model}, {os.cpu_count()} cores, one thread used, Python {platform.python_version()}"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


if __name__ == "__main__":
    main()
