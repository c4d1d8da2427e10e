"""What a report on rehearsals says on every page: a rehearsal invents what it measures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from analysis.results.runs import Selection
from analysis.tables.table import Table

SHORT = "Made-up numbers (rehearsal)"
REAL = ("table1",)  # of the data, which no run makes up


def notice(selection: Selection) -> str:
    """The sentence for the head of a report; empty where every run trained."""
    rehearsals, all_runs = sum(run.is_rehearsal for run in selection.runs), len(selection.runs)
    if not rehearsals:
        return ""
    which = "these runs are rehearsals" if rehearsals == all_runs else f"{rehearsals} of {all_runs} runs are rehearsals"
    return (
        f"Made-up numbers: {which}, which train nothing and invent what they measure. Nothing follows from this report."
    )


def marked(tables: Iterable[Table]) -> list[Table]:
    return [one if one.name in REAL else replace(one, notice=SHORT) for one in tables]
