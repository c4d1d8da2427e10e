"""The end of a sweep in a few lines: what each cell measured at its last step, and how to see more."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gapo_lab.planning.planned import Planned
from gapo_lab.runs import measures, naming
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.text import several

# What such runs measure is made up, or too little.
NO_RESULT = ("rehearsal", "smoke")
MOST = 20  # cells that are shown


def lines(
    runs: Sequence[Planned], summaries: Mapping[str, Mapping[str, Any]], root: Path, common: Collection[str] = ()
) -> Iterator[str]:
    """Yield a line for each cell with finished runs, and the next commands; nothing for less than two runs.

    summaries: of the finished runs, by key. common: what all cells set, which their names leave out.
    """
    if len(runs) < 2 or not summaries:
        return
    cells: dict[str, list[Planned]] = {}
    for run in runs:
        if run.key in summaries:
            cells.setdefault(run.cell, []).append(run)
    for of_cell in list(cells.values())[:MOST]:
        name = naming.cell_name(of_cell[0].valid_spec.as_dict(), common)
        if said := last(*(summaries[run.key] for run in of_cell)):
            yield f"{name}: {said}, mean of {several(len(of_cell), 'run')} at the last step"
    if len(cells) > MOST:
        yield f"... and {len(cells) - MOST} more cells"
    study = runs[0].valid_spec.study
    yield f"all runs: {lab_command('status', study, root=root)}"
    if not all(run.valid_spec.scale in NO_RESULT for run in runs):
        yield f"tables and statistics: python -m analysis.report {study}"


def last(*summaries: Mapping[str, Any]) -> str:
    """Return the means of what runs are about at their last steps: `em_expected ID 21.8%, OOD 9.1%`; '' for none.

    Expected exact match stands in for exact match where all have it, as in reports.
    """
    about = {measures.of_summary(one) for one in summaries}
    if len(about) != 1 or not (measure := about.pop()):
        return ""
    expected = measures.expected(measure)
    measure = expected if all(f"final/id/{expected}" in one for one in summaries) else measure
    found = []
    for where in measures.sets_of(summaries[0]):
        values = [one.get(f"final/{where}/{measure}") for one in summaries]
        if where != measures.DEV and None not in values:
            mean = math.fsum(value for value in values if value is not None) / len(values)
            found.append(f"{measures.set_label(where)} {measures.shown(measure, mean)}")
    return f"{measure} {', '.join(found)}" if found else ""
