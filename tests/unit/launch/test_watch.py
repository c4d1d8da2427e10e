"""The time that a whole sweep has left."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gapo_lab.launch.watch import Pace, follow
from gapo_lab.runs.folder import RunFolder

SECONDS = st.floats(1, 1e4)


@given(st.lists(SECONDS, min_size=1, max_size=5), st.floats(0.1, 10))
def test_at_the_expected_pace_times_a_factor_the_rest_takes_the_rest(lengths, factor):
    """Half of every run done: what is left takes as long as what has passed."""
    expected = {str(n): seconds for n, seconds in enumerate(lengths)}
    pace = Pace(expected, 1000.0)
    assert pace.left(dict.fromkeys(expected, 0.0), 1000.0) is None
    passed = factor * sum(lengths) / 2
    assert pace.left(dict.fromkeys(expected, 0.5), 1000.0 + passed) == pytest.approx(passed)
    assert pace.left(dict.fromkeys(expected, 1.0), 1000.0 + 2 * passed) == 0


def test_what_was_done_before_is_no_pace():
    pace = Pace({"a": 100.0, "b": 100.0}, 0.0)
    assert pace.left({"a": 1.0, "b": 0.0}, 1.0) is None
    assert pace.left({"a": 1.0, "b": 0.5}, 200.0) == pytest.approx(200.0)
    assert Pace({}, 0.0).left({"a": 0.5}, 10.0) is None


def test_live_lines_call_a_run_as_the_plan_does(tmp_path):
    """Two cells that differ in their learning rate only; what all cells share is left to the line that says it once."""
    for seed, lr in enumerate((1e-4, 2e-4)):
        spec = {
            "model": "nano",
            "algo": "grpo",
            "seed": seed,
            "science": {"lr": lr},
            "differs": {"lr": lr, "n": 4},
        }
        RunFolder.open(tmp_path, f"run{seed}", spec).write_status(state="failed", message="no")
    out = io.StringIO()
    follow(tmp_path, ["run0", "run1"], Console(file=out, width=200), common=["n=4"])
    assert "failed  nano grpo lr=1e-4 seed=0 (run0)" in out.getvalue()
    assert "failed  nano grpo lr=2e-4 seed=1 (run1)" in out.getvalue()


def test_a_run_that_finishes_shows_how_many_had_by_then(tmp_path):
    folders = [
        RunFolder.open(tmp_path, f"run{seed}", {"model": "nano", "algo": "grpo", "seed": seed, "science": {}})
        for seed in range(3)
    ]
    folders[2].write_summary({"best/id/em": 0.5, "final/step": 60})  # finished before anybody looked
    for folder in folders[:2]:
        folder.start_attempt()
    looks = []

    def tick():
        looks.append(1)
        if len(looks) == 2:  # both finish between two looks
            for place, folder in enumerate(folders[:2], 1):
                folder.write_summary({"best/id/em": 0.1 * place, "best/ood/em": 0.05, "final/step": 60})
                folder.write_status(state="finished")
        return len(looks) > 1

    out = io.StringIO()
    follow(tmp_path, [folder.key for folder in folders], Console(file=out, width=200), tick, every=0.01)
    lines = [line for line in out.getvalue().splitlines() if " finished " in line]
    assert [line.partition("  [")[2] for line in lines] == ["2/3 finished]", "3/3 finished]"]
