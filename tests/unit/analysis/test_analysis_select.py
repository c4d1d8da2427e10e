"""Which runs count, and that the tables do not depend on what should not matter."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from analysis_database import Database
from hypothesis import example, given
from hypothesis import strategies as st
from samples import examples

from analysis.report import build
from analysis.report.options import Asked
from analysis.results import curves, runs
from analysis.results.runs import Run
from analysis.sources import connect
from analysis.tables.document import Document
from gapo_lab.errors import UserError


def run(
    number: int,
    seed: int = 0,
    status: str = "FINISHED",
    study: str = "s",
    key: str | None = None,
    **params: str,
) -> Run:
    words = {"model": "nano", "algo": "grpo", "seed": str(seed), **params}
    tags = {"gapo.key": key} if key else {}
    return Run(f"id{number}", study, "1", f"run {number}", status, number, words, tags)


def curve(points: dict[int, float]) -> curves.Curve:
    return curves.Curve(np.array(sorted(points)), np.array([points[s] for s in sorted(points)]))


STATUSES = st.sampled_from(["FINISHED", "FAILED", "KILLED", "RUNNING"])
RUNS = st.lists(
    st.tuples(st.integers(0, 3), STATUSES, st.sampled_from(["grpo", "dapo"]), st.sampled_from("ab")),
    max_size=12,
)


@given(RUNS, st.randoms())
def test_the_order_of_runs_does_not_matter(words, pick):
    all_runs = [run(i, seed, status, study, algo=algo) for i, (seed, status, algo, study) in enumerate(words)]
    shuffled = all_runs.copy()
    pick.shuffle(shuffled)
    assert runs.select(shuffled) == runs.select(all_runs)


@given(RUNS)
def test_each_finished_seed_counts_once_and_nothing_vanishes_unsaid(words):
    all_runs = [run(i, seed, status, algo=algo) for i, (seed, status, algo, _) in enumerate(words)]
    found = runs.select(all_runs)
    finished = {(algo, seed) for seed, status, algo, _ in words if status == "FINISHED"}
    assert sorted((r.params["algo"], r.seed) for r in found.runs) == sorted(finished)
    assert bool(found.left_out) == (len(all_runs) > len(finished))


def test_a_run_that_two_studies_share_counts_once():
    shared = [run(1, key="k", study="a"), run(2, key="k", study="b"), run(3, seed=1, study="b", key="j")]
    found = runs.select(shared)
    assert [r.id for r in found.runs] == ["id1", "id3"]
    assert found.left_out == ("run 2: also in study a, where it is counted",)


def test_the_newer_of_two_finished_runs_counts():
    found = runs.select([run(1), run(2)])
    assert [r.id for r in found.runs] == ["id2"]
    assert "repeated" in found.left_out[0] and "run 1" in found.left_out[0]


@pytest.mark.parametrize(
    ("status", "cause", "message", "reason"),
    [
        ("FAILED", "out of memory", "ended by signal 9", "out of memory"),
        ("FAILED", "killed", "perhaps it was low on memory", "failed"),
        ("KILLED", "pruned", "told to end", "pruned by its search"),
        # of copies that have no cause, the message counts
        ("FAILED", "", "CUDA out of memory", "out of memory"),
        ("KILLED", "", "pruned at step 20", "pruned by its search"),
        ("KILLED", "", "stopped by the user", "interrupted"),
        ("FAILED", "", "the reward raised", "failed"),
        ("RUNNING", "", "", "still running"),
    ],
)
def test_an_empty_cell_says_why(status, cause, message, reason):
    words = {"model": "m", "algo": "dapo", "seed": "0"}
    tags = {"gapo.cause": cause, "gapo.message": message}
    found = runs.select([Run("x", "s", "1", "x", status, 1, words, tags)])
    assert found.cells[0].reason == reason and found.left_out == (f"x: {reason}",)


@given(st.dictionaries(st.integers(0, 30), st.floats(0, 1), min_size=1), st.integers(0, 30), st.randoms())
def test_a_resumed_attempt_wins_the_steps_it_repeats(points, resumed_at, pick):
    again = {step: value / 2 for step, value in points.items() if step >= resumed_at}
    rows = [(0, s, 1000 + s, v) for s, v in points.items()] + [(0, s, 5000 + s, v) for s, v in again.items()]
    pick.shuffle(rows)
    built = curves.build(*(np.array(column) for column in zip(*rows, strict=True)))[0]
    assert dict(zip(built.steps.tolist(), built.values.tolist(), strict=True)) == points | again


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 3), st.floats(allow_nan=True))))
@example([(0, 0, 0, float("nan"))])
def test_curves_rise_in_steps_and_hold_no_nan(rows):
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.array([])] * 4
    for one in curves.build(*columns).values():
        assert (np.diff(one.steps) > 0).all() and not np.isnan(one.values).any() and len(one)


@given(st.lists(st.dictionaries(st.integers(0, 20), st.floats(0, 1), min_size=1), min_size=1, max_size=5))
def test_trials_with_other_grids_keep_their_last_value(trials):
    all_curves = [curve(points) for points in trials]
    steps, values = curves.together(all_curves)
    for row, points in zip(values, trials, strict=True):
        for step, value in zip(steps.tolist(), row.tolist(), strict=True):
            assert value == points[max(s for s in points if s <= step)]
    # From where all have begun to where the first one ends.
    inside = {s for points in trials for s in points if max(map(min, trials)) <= s <= min(map(max, trials))}
    assert set(steps.tolist()) == inside


def made(empty_mlflow, tmp_path, all_runs, **asked) -> Document:
    database = Database(empty_mlflow, tmp_path / f"{random.random()}.db")
    database.add(all_runs)
    words = {"studies": ("s",), "figures": False} | asked
    return build.build(connect.connect(database.uri), Asked(**words)).document


def trials(algo: str, seeds=range(3), study="s", gain: float = 0.0, **words) -> list[dict]:
    return [
        {
            "study": study,
            "model": "nano",
            "algo": algo,
            "seed": s,
            "points": {"val/id/em": {0: 0.2, 10: 0.4 + gain + s / 100, 20: 0.45 + gain + s / 100}},
        }
        | words
        for s in seeds
    ]


def row(report, label: str, table: str = "table2") -> list[str]:
    found = next(t for t in report.tables if t.name == table)
    return next([e.text for e in line.entries] for line in found.lines if line.label == label)


@pytest.mark.slow
def test_nan_failed_extra_and_duplicated_change_nothing(empty_mlflow, tmp_path):
    clean = trials("grpo") + trials("gapo_grpo", gain=0.1)
    noisy = [dict(one) for one in clean]
    noisy[0] = noisy[0] | {
        "points": {
            "val/id/em": [
                (0, 0.2, 1),
                (10, 0.9, 2),
                (20, math.nan, 3),
                (10, 0.4, 50),
                (20, 0.45, 60),
                (30, math.nan, 70),
            ]
        }
    }
    noisy += trials("grpo", seeds=[0], status="FAILED", gain=0.3) + trials("dapo", seeds=[0], stage="deleted")
    noisy += [
        {"study": "s", "name": "an extra", "points": {"val/id/em": {0: 0.99}}},
        {"study": "other", "model": "nano", "algo": "grpo", "seed": 9},
    ]
    random.Random(0).shuffle(noisy)
    want, got = made(empty_mlflow, tmp_path, clean), made(empty_mlflow, tmp_path, noisy)
    for label in ("GRPO", "GAPO (G)", "Improve.", "Step Δ"):
        assert row(got, label) == row(want, label)
    assert any("an extra" in line for line in got.missing) and any("failed" in line for line in got.missing)
    assert row(want, "Step Δ") == ["-10"] and row(want, "Improve.") == ["+10.00"]


def test_missing_seeds_are_refused_by_name_or_marked(empty_mlflow, tmp_path):
    some = trials("grpo") + trials("gapo_grpo", seeds=[0, 2])
    with pytest.raises(UserError, match=r"nano gapo_grpo: 2 of 3 seeds \(seed 1 not run\)"):
        made(empty_mlflow, tmp_path, some)
    report = made(empty_mlflow, tmp_path, some, allow_incomplete=True)
    table = next(t for t in report.tables if t.name == "table2")
    assert ("a", "2 of 3 seeds") in table.notes
    assert not any(e.rank == 1 and e.marks for line in table.lines for e in line.entries)


def test_two_studies_that_share_a_cell_are_one_table(empty_mlflow, tmp_path):
    def keyed(algo, study):
        return [one | {"tags": {"gapo.key": f"{algo}{one['seed']}"}} for one in trials(algo, study=study)]

    both = keyed("grpo", "s") + keyed("grpo", "t") + keyed("gapo_grpo", "t")
    report = made(empty_mlflow, tmp_path, both, studies=("s", "t"))
    assert row(report, "GRPO") == ["46.00"] and row(report, "GAPO (G)") == ["46.00"]
    assert any("also in study" in line for line in report.missing)


def test_a_study_has_the_runs_that_another_asked_for_first(empty_mlflow, tmp_path):
    """Their folders and their place in MLflow are the first study's; the launcher writes down who shares them."""
    theirs = [one | {"tags": {"gapo.key": f"grpo{one['seed']}"}} for one in trials("grpo", study="default")]
    (tmp_path / "runs" / ".studies").mkdir(parents=True)
    for study in ("s", "all_shared"):
        keys = [f"grpo{seed}" for seed in range(3)]
        (tmp_path / "runs" / ".studies" / f"{study}.json").write_text(json.dumps(keys))
    words = {"runs_root": tmp_path / "runs"}
    both = made(empty_mlflow, tmp_path, theirs + trials("gapo_grpo"), **words)
    assert row(both, "GRPO") == ["46.00"] and row(both, "GAPO (G)") == ["46.00"]
    shared = made(empty_mlflow, tmp_path, theirs, studies=("all_shared",), **words)
    assert row(shared, "GRPO") == ["46.00"]
    with pytest.raises(UserError, match="no study nothing in .*: there are"):
        made(empty_mlflow, tmp_path, theirs, studies=("nothing",), **words)


def test_one_method_asked_for_by_two_names_is_one_cell():
    tags = {"gapo.cell": "c"}
    both = [
        Run(f"i{n}", "s", "1", "", "FINISHED", n, {"model": "m", "algo": algo, "seed": str(n)}, tags)
        for n, algo in enumerate(["grpo", "mine"])
    ]
    (cell,) = runs.select(both).cells
    assert cell.algo == "grpo" and cell.seeds == (0, 1)


def test_an_out_of_memory_cell_is_a_dash_with_its_reason(empty_mlflow, tmp_path):
    gone = trials("dapo", status="FAILED", tags={"gapo.message": "torch.OutOfMemoryError: CUDA out of memory."})
    report = made(empty_mlflow, tmp_path, trials("grpo") + gone)
    assert row(report, "DAPO") == ["–"]
    assert ("a", "out of memory") in next(t for t in report.tables if t.name == "table2").notes


def test_cells_that_differ_in_another_setting_are_told_apart(empty_mlflow, tmp_path):
    two = trials("grpo", lr="0.1") + trials("grpo", lr="0.2")
    with pytest.raises(UserError, match="differ in lr .*--where lr=0.1"):
        made(empty_mlflow, tmp_path, two)
    report = made(empty_mlflow, tmp_path, two, rows=("algo", "lr"))
    assert row(report, "GRPO lr=0.1", "slice_algo_lr_by_model_val_id_em") == ["46.00"]
    assert row(made(empty_mlflow, tmp_path, two, where={"lr": "0.2"}), "GRPO") == ["46.00"]


@examples(20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.sampled_from(["best", "final", "peak", "mean"]))
def test_picks_of_one_trial(values, pick):
    one = {0: curve(dict(enumerate(values)))}
    want = {"best": max(values), "peak": max(values), "final": values[-1], "mean": sum(values) / len(values)}[pick]
    assert curves.reduce(one, pick)[0] == pytest.approx(want)
