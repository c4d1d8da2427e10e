"""How far a study is: which of its runs are there, and which of them count already.

What belongs to the study is what its sweep file plans, by key: runs of an earlier form of the sweep under the same
name do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gapo_lab.cli import grid
from gapo_lab.errors import UserError
from gapo_lab.launch import executor
from gapo_lab.planning import plan
from gapo_lab.planning.planned import Planned
from gapo_lab.runs.folder import RunFolder
from gapo_lab.search.fair import FairSweep
from gapo_lab.search.tuning import STUDY, Choice

# What tells the cells of a study apart on its page: method, model, noise.
At = tuple[str, str, float]


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
    """A study and its parts; tuning: empty for a study of one stage. A part that is not complete says nothing yet:
    looking at some of its seeds, and again at more, finds differences that are not there."""

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

    @property
    def is_at_one_setting(self) -> bool:
        """Whether no method was tuned, so that all have the settings of the sweep."""
        return not self.tuning


def look(words: Sequence[str], root: Path) -> Progress:
    """Return how far the sweep of these words is in a run root. UserError for a search or a sweep that cannot be."""
    asked = grid.of_words([*words, f"run_root={root}"])
    if asked.is_search:
        raise UserError(f"{' '.join(words)}: a search has no runs before it proposes them. Name a sweep")
    return _of_one_stage(asked.cells()) if asked.fair is None else _of_two_stages(asked.cells(), asked.fair)


def _of_one_stage(words: Sequence[Sequence[str]]) -> Progress:
    drafted = plan.draft(words)
    _refuse([run for run in drafted if run.spec is None])
    root = executor.root_of(drafted)
    compared = [_part(root, at, runs) for at, runs in _by_cell(drafted).items()]
    return Progress(str(drafted[0].valid_spec.study), (), tuple(compared), ())


def _of_two_stages(words: Sequence[Sequence[str]], node: Mapping[str, object]) -> Progress:
    sweep = FairSweep(words, node)
    _refuse(sweep.invalid)
    tuning = sweep.tuning()
    tried = [_part(sweep.root, (*at, 0.0), sweep.tries(at, tuning)) for at in sweep.tuned]
    chosen = sweep.choices_so_far(tuning)
    by_cell = _by_cell(sweep.comparison(chosen).values())
    cells = [_at(cell) for cell in sweep.cells.values()]
    compared = [_part(sweep.root, at, by_cell.get(at, []), sweep.fair.seeds) for at in cells]
    study = str(next(iter(sweep.cells.values())).valid_spec.study)
    return Progress(study, tuple(tried), tuple(compared), tuple(chosen))


def _refuse(invalid: Sequence[Planned]) -> None:
    if invalid:
        raise UserError(f"{invalid[0].name}: {invalid[0].why}")


def _at(run: Planned) -> At:
    spec = run.valid_spec
    return spec.algo, spec.model, spec.noise


def _by_cell(runs: Iterable[Planned]) -> dict[At, list[Planned]]:
    out: dict[At, list[Planned]] = {}
    for run in runs:
        out.setdefault(_at(run), []).append(run)
    return out


def _part(root: Path, at: At, runs: Sequence[Planned], planned: int | None = None) -> Part:
    finished = sum(RunFolder(root / run.key).is_finished for run in runs)
    return Part(*at, finished, planned or len(runs), tuple(run.key for run in runs))
