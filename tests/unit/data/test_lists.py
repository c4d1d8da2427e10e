"""Lists to choose from: what is generated, how one answer and many are measured, and what nano starts with."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.data.lists import generator
from gapo_lab.errors import UserError
from gapo_lab.paths import NANO
from gapo_lab.rewards.list_diversity import diversity, jsd_to_uniform, pop_diversity

SHIPPED = NANO / "lists_checkpoint"


def test_splits_share_no_list_and_ood_no_word():
    train, test, ood = (generator.generate(split, 300) for split in ("train", "id", "ood"))
    assert not {t.id for t in train} & {t.id for t in test}
    assert {len(t.truth.split("\n")) for t in train} == set(range(4, 13))
    assert {len(t.truth.split("\n")) for t in test + ood} == {8}
    words = [{word for t in tasks for word in t.truth.split("\n")} for tasks in (train, test, ood)]
    assert not words[2] & (words[0] | words[1])
    assert all(t.instruction == ", ".join(t.truth.split("\n")) for t in train)
    assert generator.generate("train", 20, seed=1) == generator.generate("train", 20, seed=1) != train[:20]


def test_a_test_list_is_asked_for_many_times():
    tasks = generator.generate("id", 3, samples=5)
    assert len(tasks) == 15 and len({t.id for t in tasks}) == 3


@pytest.mark.parametrize("asked", [{"split": "val", "size": 1}, {"split": "id", "size": 0}])
def test_wrong_requests(asked):
    with pytest.raises(UserError):
        generator.generate(**asked)


def test_score_of_a_choice():
    assert generator.score_choice(" b\n", "a\nb\nc") == {"score": 1, "em": 1, "item": 1, "choices": 3}
    for wrong in ("", "a b", "ab", "B", "d"):
        assert generator.score_choice(wrong, "a\nb\nc") == {"score": -1, "em": 0, "item": -1, "choices": 3}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12))
def test_jsd_is_scipys(counts):
    from scipy.spatial.distance import jensenshannon

    if not sum(counts):
        assert jsd_to_uniform(counts) == 1
        return
    wanted = jensenshannon(counts, [1] * len(counts), base=2) ** 2
    assert jsd_to_uniform(counts) == pytest.approx(wanted if math.isfinite(wanted) else 0, abs=1e-7)


def test_diversity_of_answers():
    assert diversity([0, 1, 2, 3], 4) == {"jsd": 0, "unique": 4, "invalid": 0}
    collapsed = diversity([0, 0, 0, -1], 4)
    assert collapsed["jsd"] > 0.5 and collapsed["unique"] == 1 and collapsed["invalid"] == 0.25


def test_lists_are_measured_each_and_averaged():
    columns = {
        "item": [0.0, 1.0, 0.0, 0.0],
        "choices": [2.0] * 4,
        "list": ["a", "a", "b", "b"],
        "em": [1.0] * 4,
    }
    found = pop_diversity(["id"] * 4, columns)
    assert found["val/id/unique"] == 1.5 and found["val/id/jsd"] == pytest.approx(jsd_to_uniform([2, 0]) / 2)
    assert set(columns) == {"em"}
    assert pop_diversity(["id"], {"em": [1.0]}) == {}


@pytest.mark.slow
def test_nanos_list_checkpoint_is_valid_and_uneven():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from gapo_lab.models.nano import list_warm_start
    from gapo_lab.models.nano import tokenizer as vocabulary

    tokenizer = AutoTokenizer.from_pretrained(SHIPPED)
    assert tokenizer.get_vocab() == vocabulary.load().get_vocab()
    assert sum(f.stat().st_size for f in SHIPPED.iterdir()) < 3e6
    found = list_warm_start.measure(AutoModelForCausalLM.from_pretrained(SHIPPED).eval(), tokenizer, "id", 8, 32)
    assert found["invalid"] < 0.1 and found["jsd"] > 0.2


@pytest.mark.slow
def test_the_command_that_made_it_teaches():
    from gapo_lab.models.nano import list_warm_start
    from gapo_lab.models.nano import tokenizer as vocabulary

    losses = []
    list_warm_start.train(
        list_warm_start.ListStart(steps=12, batch=16), vocabulary.load(), lambda _, loss: losses.append(loss)
    )
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
