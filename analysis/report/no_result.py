"""What a report says on every page of runs whose numbers are no result: a rehearsal invents them, a smoke run has
trained two steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from analysis.results.runs import Run, Selection
from analysis.tables.table import Table

REHEARSAL = "Made-up numbers (rehearsal)"
SMOKE = "No result (smoke run)"
REAL = ("table1",)  # of the data, which no run makes up


def notice(selection: Selection) -> str:
    """Return the sentences for the head of a report; empty where every run is a result."""
    said = []
    if rehearsals := [run for run in selection.runs if run.is_rehearsal]:
        which = _which(rehearsals, selection, "rehearsals")
        said.append(f"Made-up numbers: {which}, which train nothing and invent what they measure.")
    if smoke := [run for run in selection.runs if run.is_smoke]:
        said.append(f"No result: {_which(smoke, selection, 'smoke runs')}, two steps each, to see that all parts work.")
    return " ".join([*said, "Nothing follows from this report."]) if said else ""


def _which(some: list[Run], selection: Selection, noun: str) -> str:
    all_runs = len(selection.runs)
    return f"these runs are {noun}" if len(some) == all_runs else f"{len(some)} of {all_runs} runs are {noun}"


def short(selection: Selection) -> str:
    """Return the words for a caption and a figure; empty where every run is a result."""
    if any(run.is_rehearsal for run in selection.runs):
        return REHEARSAL
    return SMOKE if any(run.is_smoke for run in selection.runs) else ""


def marked(tables: Iterable[Table], words: str) -> list[Table]:
    return [one if one.name in REAL or not words else replace(one, notice=words) for one in tables]
