"""How far a study in two stages is (`+sweep=fair`): which of its runs are there, and which of them count already.

What belongs to the study is what its sweep file plans, by key: runs of an earlier form of the sweep under the same
name do not count.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gapo_lab.cli import grid
from gapo_lab.errors import UserError
from gapo_lab.planning.planned import Planned
from gapo_lab.search.fair import FairSweep
from gapo_lab.search.tuning import STUDY, Choice


@dataclass(frozen=True)
class Part:
    """Runs that belong together: those that tune a method, or the seeds of a cell at what was chosen for it."""

    method: str
    model: str
    noise: float
    finished: int
    planned: int
    keys: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return self.finished == self.planned


@dataclass(frozen=True)
class Progress:
    """A study and its parts. A part that is not complete says nothing yet: looking at some of its seeds, and again at
    more, finds differences that are not there."""

    study: str
    tuning: tuple[Part, ...]
    comparison: tuple[Part, ...]
    chosen: tuple[Choice, ...]

    @property
    def finished(self) -> int:
        return sum(part.finished for part in (*self.tuning, *self.comparison))

    @property
    def planned(self) -> int:
        return sum(part.planned for part in (*self.tuning, *self.comparison))

    @property
    def is_finished(self) -> bool:
        return self.finished == self.planned

    @property
    def counting(self) -> dict[str, list[str]]:
        """{study: keys} of the runs of complete parts."""
        stages = {STUDY.format(self.study): self.tuning, self.study: self.comparison}
        return {
            name: [key for part in parts if part.is_complete for key in part.keys] for name, parts in stages.items()
        }


def look(words: Sequence[str], root: Path) -> Progress:
    """Return how far the sweep of these words is in a run root. UserError where it is no sweep in two stages."""
    parser = argparse.ArgumentParser()
    grid.add_words(parser)
    asked = grid.read(parser.parse_args([*words, f"run_root={root}"]))
    if asked.fair is None:
        raise UserError(f"{' '.join(words)}: no sweep in two stages. Name one with fair: in its file, as +sweep=fair")
    sweep = FairSweep(asked.cells(), asked.fair)
    if sweep.invalid:
        raise UserError(f"{sweep.invalid[0].name}: {sweep.invalid[0].why}")
    tuning = sweep.tuning()
    tried = [_part(sweep, (*at, 0.0), sweep.tries(at, tuning)) for at in sweep.tuned]
    chosen = sweep.choices_so_far(tuning)
    by_cell: dict[tuple[str, str, float], list[Planned]] = {}
    for run in sweep.comparison(chosen).values():
        spec = run.valid_spec
        by_cell.setdefault((spec.algo, spec.model, spec.noise), []).append(run)
    compared = []
    for cell in sweep.cells.values():
        at = cell.valid_spec.algo, cell.valid_spec.model, cell.valid_spec.noise
        compared.append(_part(sweep, at, by_cell.get(at, []), sweep.fair.seeds))
    study = str(next(iter(sweep.cells.values())).valid_spec.study)
    return Progress(study, tuple(tried), tuple(compared), tuple(chosen))


def _part(sweep: FairSweep, at: tuple[str, str, float], runs: Sequence[Planned], planned: int | None = None) -> Part:
    finished = sum(sweep.is_finished(run) for run in runs)
    return Part(*at, finished, planned or len(runs), tuple(run.key for run in runs))
