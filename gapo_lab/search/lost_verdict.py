"""Recover a pruning decision that an earlier process received but did not act on."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, Trial

# Where Optuna's successive halving notes that a trial was judged at a rung.
# A second look finds the note, not the verdict.
RUNG = "completed_rung_"


def said(study: optuna.Study, trial: Trial) -> float | None:
    """Return the last value that was reported of ``trial``, if the pruner stops it there; None where it may go on.

    The process that reported it may have been killed before it could act upon the verdict. The pruner is asked again on
    a copy of the study in which it has not yet judged that value.
    """
    copy = optuna.create_study(
        study_name=study.study_name, directions=study.directions, pruner=study.pruner, storage=None
    )
    for frozen in study.get_trials():
        copy.add_trial(_before(frozen) if frozen.number == trial.number else frozen)
    mine = copy.get_trials()[trial.number]
    value = mine.intermediate_values[mine.last_step]
    stops = study.pruner.prune(copy, mine)
    return value if trial.should_prune() or stops else None


def _before(frozen: FrozenTrial) -> FrozenTrial:
    """Return the trial without the verdicts on its last value."""
    last = frozen.intermediate_values[frozen.last_step]
    frozen.system_attrs = {
        name: value for name, value in frozen.system_attrs.items() if not (name.startswith(RUNG) and value == last)
    }
    return frozen
