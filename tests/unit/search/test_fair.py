"""`+sweep=fair`: each method's settings by the dev set, as many tried for each; then all at theirs with fresh seeds."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gapo_lab.cli import grid
from gapo_lab.cli.runs import main
from gapo_lab.errors import UserError
from gapo_lab.runs.run_root import find
from gapo_lab.search import fair
from gapo_lab.search.tuning import candidates, choose, measured

LR = "actor_rollout_ref.actor.optim.lr"
CLIP = "actor_rollout_ref.actor.clip_ratio"
RATES = tuple((f"{LR}={rate}",) for rate in ("1e-4", "2e-4", "4e-4"))
NODE = {
    "by": "val/dev/em_expected",
    "tuning_seeds": 2,
    "seeds": 3,
    "candidates": {"others": [f"{LR}=1e-4", f"{LR}=2e-4"], "gapo_grpo": ["tau=0.3", "tau=0.8"]},
}


@pytest.mark.parametrize(
    ("means", "best", "edge"),
    [
        ((0.1, 0.3, 0.2), 1, None),
        ((0.4, 0.3, 0.2), 0, f"{LR}=1e-4"),
        ((0.1, 0.3, 0.4), 2, f"{LR}=4e-4"),
        ((0.3, 0.3, 0.3), 0, f"{LR}=1e-4"),  # the first of equal ones
    ],
)
def test_the_best_mean_is_chosen_and_an_edge_is_said(means, best, edge):
    found = choose("grpo", "nano", RATES, [(mean - 0.05, mean + 0.05) for mean in means])
    assert found.best == RATES[best] and found.edge == edge and found.means == pytest.approx(means)


def test_two_values_have_no_inside():
    assert choose("grpo", "nano", RATES[:2], [(1.0,), (0.0,)]).edge is None


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"others": ["tau=0.3", "tau=0.5"], "grpo": ["tau=0.3"]}, "each method must have as many to try, not grpo 1"),
        ({"others": ["tau=0.3", "tau=0.3"]}, "one of them stands there twice"),
        ({"grpo": ["tau=0.3"]}, "fair.candidates.dapo: must be a list"),
        ({"others": ["tau=0.3"], "gropo": ["tau=0.3"]}, "fair.candidates.gropo: no such method"),
        ({"others": ["tau="]}, "tau=: no value"),
    ],
)
def test_what_cannot_be_tried_is_said(said, line):
    with pytest.raises(UserError, match=line):
        candidates(said, ["grpo", "dapo"], lambda name: name == "krpo")


def test_methods_that_are_left_out_may_have_candidates():
    assert candidates({"others": ["tau=1"], "krpo": ["tau=2"]}, ["grpo"], lambda name: name == "krpo") == {
        "grpo": (("tau=1",),)
    }


def test_the_plan_shows_both_stages_and_the_methods_have_as_many_runs(capsys):
    assert main(["plan", "+sweep=fair", "fair.seeds=3", "fair.tuning_seeds=2", "algo=grpo,gapo_grpo"]) == 0
    said = capsys.readouterr().out
    assert "16 runs in 8 cells: 16 run" in said and "12 runs in 4 cells: 12 run" in said
    assert said.index("stage 1") < said.index("16 runs") < said.index("stage 2") < said.index("12 runs")


def test_qae_and_gmpo_tune_what_is_their_own_with_as_many_runs():
    words = grid.of_words(["+sweep=fair", "algo=dapo,qae,gmpo"])
    runs = fair.FairSweep(words.cells(), words.fair).tuning().values()
    tried = [(run.valid_spec.algo, run.valid_spec.science) for run in runs]
    assert sorted(algo for algo, _ in tried) == ["dapo"] * 4 + ["gmpo"] * 4 + ["qae"] * 4
    assert len({run.key for run in runs}) == 12
    # 0.2 is verl's default, which no spec holds
    clips = {(one.get(f"{CLIP}_low", 0.2), one.get(f"{CLIP}_high", 0.2)) for algo, one in tried if algo == "gmpo"}
    assert clips == {(0.4, 0.4), (0.2, 0.2)}
    assert {one["algorithm.qae.quantile"] for algo, one in tried if algo == "qae"} == {0.4, 0.6}
    penalty = "reward.reward_kwargs.overlong_buffer_cfg.len"
    assert {one[penalty] for algo, one in tried if algo in ("dapo", "qae")} == {8}


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("fair.seeds=0", "fair.seeds=0: must be a whole number from 1"),
        ("fair.by=val/id/em", "fair.by=val/id/em: must be a metric of the dev set"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(capsys, word, line):
    assert main(["plan", "+sweep=fair", "algo=grpo", word]) == 2
    error = capsys.readouterr().err
    assert line in error and len(error.splitlines()) == 1


def test_a_candidate_is_judged_by_what_training_made_of_the_model():
    """Else all that make it worse have its value before training, and the first of these equal ones is chosen."""
    by = "val/dev/em_expected"
    worse, bad = (
        {step: {by: value} for step, value in zip((0, 10, 20), values, strict=True)}
        for values in ([0.2, 0.1, 0.17], [0.2, 0.02, 0.05])
    )
    assert measured(worse, by) == 0.17 and measured(bad, by) == 0.05
    assert measured({0: {by: 0.2}}, by) is None


@pytest.mark.slow
def test_each_method_is_compared_at_what_its_own_tuning_chose(tmp_path, monkeypatch):
    """The rehearsal's exact match is highest at tau=0.75, and knows nothing of a rate."""
    monkeypatch.chdir(tmp_path)
    words = ("scale=rehearsal", "rehearsal.seconds=0", "rehearsal.best_tau=0.75", "cluster.max_parallel=4")
    words += ("rehearsal.steps=2", "study=mine")
    cells = [(f"algo={algo}", *words) for algo in ("grpo", "gapo_grpo")]
    out = io.StringIO()
    fair.carry_out(cells, NODE, console=Console(file=out, width=160))
    runs = [(f.spec["study"], f.spec["algo"], f.spec["seed"], f.spec["tau"]) for f in find(tmp_path / "runs")]
    assert sorted(run[2] for run in runs if run[0] == "mine_tuning") == [1000] * 4 + [1001] * 4
    assert sorted(run[1:] for run in runs if run[0] == "mine") == [
        *(("gapo_grpo", seed, 0.8) for seed in range(3)),
        *(("grpo", seed, None) for seed in range(3)),
    ]
    again = io.StringIO()
    fair.carry_out(cells, NODE, console=Console(file=again, width=160))
    assert "8 skip" in again.getvalue() and "6 skip" in again.getvalue()
