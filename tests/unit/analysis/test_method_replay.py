"""Looking at methods without training: loading, what is measured, the simulator, the command."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis import replay
from analysis.replay.estimators import by_group, methods_of, outlier_shift, table
from analysis.replay.simulator import draw, scores, simulate
from analysis.results.group_rewards import from_table, kind, load

LEFT, RIGHT = [0.9, 0.9, 0.85, 0.9, 0.2, 0.9, 0.95, 0.1], [0.1, 0.1, 0.15, 0.1, 0.8, 0.1, 0.05, 0.9]
EVEN, FLAT = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [0.3] * 8


@pytest.fixture(scope="module")
def recorded():
    groups = {"left": LEFT, "right": RIGHT, "even": EVEN, "flat": FLAT}
    rows = pd.DataFrame([(uid, r) for uid, group in groups.items() for r in group], columns=["uid", "reward"])
    rows = rows.sample(frac=1, random_state=0)
    return from_table(rows["uid"], rows["reward"])


@pytest.fixture(scope="module")
def few():
    return methods_of(["grpo", "gapo_grpo", "krpo"])


def test_kinds_of_groups():
    names = [kind(np.array(group)) for group in (LEFT, RIGHT, EVEN, FLAT)]
    assert names == ["left-skewed", "right-skewed", "symmetric", "flat"]


def test_the_best_of_a_group_that_is_mostly_right_get_nothing_from_gapo(few):
    groups = {
        "easy": [1.0] * 5 + [0.4, 0.3, 0.4],
        "hard": [0.4, 0.3, 0.4, 0.35, 0.4, 0.4, 1.0, 0.2],
        "flat": FLAT,
    }
    rows = pd.DataFrame([(uid, r) for uid, group in groups.items() for r in group], columns=["uid", "reward"])
    found = table(from_table(rows["uid"], rows["reward"]), few).set_index(["algo", "kind"])["best_zero"]
    assert found["gapo_grpo", "left-skewed"] == 1 and found["gapo_grpo", "right-skewed"] == 0
    assert found["gapo_grpo", "all"] == pytest.approx(5 / 6) and found["grpo", "all"] == 0
    assert np.isnan(found["gapo_grpo", "flat"])


def test_gapo_turns_the_signs_of_skewed_groups(recorded, few):
    """Appendix A.2: more negative advantages where rewards are left-skewed, more positive where right-skewed."""
    found = table(recorded, few).set_index(["algo", "kind"])
    for algo, left, right in (("grpo", 0.25, 0.75), ("gapo_grpo", 0.375, 0.125)):
        assert found.loc[(algo, "left-skewed"), "negative"] == left
        assert found.loc[(algo, "right-skewed"), "negative"] == right
        assert found.loc[(algo, "flat"), ["positive", "negative", "magnitude"]].tolist() == [0, 0, 0]
    assert found.loc[("grpo", "left-skewed"), "gap"] < 0 < found.loc[("grpo", "right-skewed"), "gap"]
    assert found.loc[("grpo", "all"), "rollouts"] == 32
    groups = by_group(recorded, few)
    assert len(groups) == 12 and set(groups["size"]) == {8}


def test_an_outlier_moves_the_mean_more_than_the_densest_interval(recorded, few):
    import torch

    rewards, groups = torch.tensor(recorded.rewards), torch.tensor(recorded.groups)
    even = recorded.groups == recorded.uids.index("left")
    grpo, gapo = (outlier_shift(method, rewards, groups, 5.0)[even].mean() for method in few[:2])
    assert grpo > 0 and gapo > 0 and gapo < grpo


def test_settings_reach_the_methods(recorded):
    import torch

    rewards, groups = torch.tensor(recorded.rewards), torch.tensor(recorded.groups)
    half, all_, released = (
        methods_of(["gapo_grpo"], words)[0].estimate(rewards, groups)
        for words in ([], ["tau=1.0"], ["algorithm.gapo.ddof=1"])
    )
    assert not torch.equal(half, all_)
    torch.testing.assert_close(released, half * (7 / 8) ** 0.5, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_are_read(tmp_path, suffix):
    rows = pd.DataFrame({"uid": ["a", "b", "a"], "reward": [0.1, 0.2, 0.3], "length": [1, 2, 3]})
    path = tmp_path / f"r.{suffix}"
    rows.to_csv(path, index=False) if suffix == "csv" else rows.to_parquet(path)
    assert [list(group) for group in load(path).members()] == [[0.1, 0.3], [0.2]]
    assert list(load(path, "length").rewards) == [1, 2, 3]


def test_a_runs_generations_are_read_newest_attempt_first(tmp_path):
    for attempt, step, score in ((1, 1, 0.1), (1, 2, 0.2), (2, 2, 0.7)):
        folder = tmp_path / "attempts" / str(attempt) / "generations" / "train"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"uid": f"p{step}_{n}_0", "score": score + n / 10, "output": "x"}) for n in range(2)]
        (folder / f"{step}.jsonl").write_text("\n".join(lines) + '\n{"uid": "cut')
    found = load(tmp_path)
    assert found.uids == ["p1", "p2"] and found.rewards.tolist() == pytest.approx([0.1, 0.2, 0.7, 0.8])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("uid,score2\na,1\n", "no column score"),
        ("uid,reward\na,1\nb,nan\n", "of uid b is not a finite number"),
        ("uid,reward\na,inf\n", "of uid a is not a finite number"),
        ("uid,reward\n", "no rows"),
    ],
)
def test_what_cannot_be_replayed_is_told_in_one_line(tmp_path, capsys, content, says):
    path = tmp_path / "r.csv"
    path.write_text(content)
    assert replay.main([str(path)]) == 2
    told = capsys.readouterr().err.strip()
    assert says in told and "\n" not in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.csv"], "nowhere.csv: no such file"),
        ([], "give one REWARDS"),
        (["--simulate", "algo=nope"], "algo=nope"),
        (["--simulate", "algo=gdpo"], "need more than rewards"),
        (["--simulate", "--groups", "0"], "--groups 0"),
        (["--simulate", "tau=2", "algo=gapo_grpo"], "tau=2"),
    ],
)
def test_wrong_words(capsys, words, says):
    assert replay.main(words) == 2
    assert says in capsys.readouterr().err


def test_without_noise_the_order_within_a_group_is_kept(few):
    found = simulate(few, groups=50, levels=(0.0, 0.8), sizes=(8,)).set_index(["skew", "noise", "algo"])
    for algo in ("grpo", "gapo_grpo"):
        assert found.loc[("left", 0.0, algo), "order"] == 1
        assert 0 < found.loc[("left", 0.8, algo), "cosine"] < found.loc[("left", 0.0, algo), "cosine"] < 1
    assert found.loc[("left", 0.0, "krpo"), "order"] < 1
    # noise that only lowers rewards: GRPO calls fewer rollouts worse than the prompt's average
    assert found.loc[("left", 0.8, "grpo"), "negative"] < found.loc[("left", 0.0, "grpo"), "negative"]


def test_scores_of_the_truth_are_perfect_and_of_its_opposite_the_worst():
    true, seen = draw(40, 6, 0.0, "left", np.random.default_rng(0))
    assert np.array_equal(true, seen) and 0.1 < (true == 1).mean() < 0.7 and true[true < 1].max() <= 0.5
    best, worst = scores(true, true), scores(true, -true)
    assert (best["order"], best["pooled"]) == (1, pytest.approx(1))
    assert (worst["order"], worst["pooled"]) == (-1, pytest.approx(-1))


@pytest.mark.slow
def test_the_command_writes_pictures_and_tables(tmp_path, capsys, recorded):
    path = tmp_path / "r.csv"
    pd.DataFrame({"uid": [recorded.uids[g] for g in recorded.groups], "reward": recorded.rewards}).to_csv(path)
    out = tmp_path / "out"
    assert replay.main([str(path), "algo=grpo,gapo_grpo", "tau=0.3", "--out", str(out)]) == 0
    assert replay.main(["--simulate", "algo=grpo", "--groups", "20", "--out", str(out)]) == 0
    names = {p.name for p in out.iterdir()}
    assert {"replay.csv", "replay_groups.csv", "simulate.csv"} <= names
    for picture in ("groups", "signs", "gap", "outlier", "simulate"):
        assert (out / f"{picture}.png").read_bytes()[:4] == b"\x89PNG"
        assert (out / f"{picture}.pdf").read_bytes()[:4] == b"%PDF"
    said = capsys.readouterr().out
    assert "gapo_grpo" in said and "…" not in said, "at 80 columns nothing is cut"
