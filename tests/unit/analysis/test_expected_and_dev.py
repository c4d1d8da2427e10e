"""Which curve stands for exact match, and which step of it is the number."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.results.curves import Curve
from analysis.results.measurements import measure
from analysis.results.runs import Run, select
from gapo_lab.errors import UserError

EM = {"a": [0.1, 0.4, 0.3], "b": [0.2, 0.3, 0.5]}
EXPECTED = {"a": [0.15, 0.35, 0.32], "b": [0.25, 0.33, 0.45]}
DEV = {"a": [0.1, 0.3, 0.4], "b": [0.1, 0.6, 0.5]}  # a is best at its last step, b at the one before


def measured(metric: str = "val/id/em", pick: str | None = None, exactly: bool = False, **curves):
    """The measurement of two runs that have these curves over steps 0, 10, 20, and its values by seed."""
    runs = [
        Run(name, "s", "", name, "FINISHED", 0, {"model": "m", "algo": "grpo", "seed": str(seed)})
        for seed, name in enumerate("ab")
    ]
    there = {
        name: {run: Curve(np.array([0, 10, 20]), np.array(values)) for run, values in found.items()}
        for name, found in curves.items()
    }
    source = SimpleNamespace(curves=lambda ids, name: there.get(name.replace("/", "_").removeprefix("val_"), {}))
    found = measure(source, select(runs), metric, pick, exactly=exactly)
    (trials,) = found.by_cell.values()
    return found, trials.values


def test_what_is_expected_stands_for_exact_match_where_every_run_has_it():
    found, values = measured(id_em=EM, id_em_expected=EXPECTED)
    assert (found.metric, found.name, found.pick) == ("val/id/em", "val/id/em_expected", "final")
    assert values == {0: 0.32, 1: 0.45} and found.is_share
    assert measured(id_em=EM, id_em_expected={"a": EXPECTED["a"]})[0].name == "val/id/em"
    found, values = measured(exactly=True, id_em=EM, id_em_expected=EXPECTED)
    assert found.name == "val/id/em" and values == {0: 0.3, 1: 0.5}


def test_dev_chooses_the_step_where_every_run_has_it():
    found, values = measured(id_em=EM, dev_em_expected=DEV)
    assert found.pick == "dev" and values == {0: 0.3, 1: 0.3}
    assert measured(id_em=EM, dev_em=DEV)[1] == values
    assert measured(id_em=EM, dev_em_expected={"a": DEV["a"]})[0].pick == "final"
    assert measured(pick="best", id_em=EM, dev_em_expected=DEV)[1] == {0: 0.4, 1: 0.5}
    assert measured("train/reward", dev_em_expected=DEV, id_em=EM)[0].pick == "mean"
    with pytest.raises(UserError, match="--pick dev: not every run has measured val/dev/em_expected or val/dev/em"):
        measured(pick="dev", id_em=EM)
