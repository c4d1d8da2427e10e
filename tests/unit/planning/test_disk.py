"""The disk that a plan takes, and a plan that it is too small for."""

from __future__ import annotations

import pytest

from gapo_lab.config.fast_compose import Composer
from gapo_lab.planning import disk
from gapo_lab.planning.memory import GB
from gapo_lab.planning.plan import draft, make
from gapo_lab.planning.plan_notes import notes

BIG = ("model=qwen_coder_7b", "cluster=slurm")
CHECKPOINT, WEIGHTS = 7.6e9 * 12, 7.6e9 * 4


@pytest.fixture(scope="module")
def runs_of():
    """The valid runs of some words, for each of these seeds."""
    composer = Composer()

    def of(*words: str, seeds: int = 1):
        runs = make(draft([(*words, f"seed={seed}") for seed in range(seeds)], composer)).runs
        assert not any(run.why for run in runs)
        return runs

    return of


@pytest.mark.parametrize(
    ("words", "most", "left"),
    [
        ([], 2 * CHECKPOINT, WEIGHTS),
        (["keep=last"], 2 * CHECKPOINT, CHECKPOINT),
        (["keep=all"], 2 * CHECKPOINT, 2 * CHECKPOINT),
        (["keep=none"], 2 * CHECKPOINT, 0),
        (["trainer.max_actor_ckpt_to_keep=3", "keep=none"], 3 * CHECKPOINT, 0),
        (["trainer.save_freq=-1"], 0, 0),
        (["lora=32"], 2 * (WEIGHTS + 80.7e6 * 12), WEIGHTS + 80.7e6 * 4),
    ],
)
def test_a_run_takes_what_it_keeps(runs_of, words, most, left):
    runs = runs_of(*BIG, *words)
    assert (disk.at_most(runs), disk.in_the_end(runs)) == pytest.approx((most, left), rel=1e-4)


def test_only_those_that_train_at_a_time_have_their_optimizer(runs_of):
    runs = runs_of(*BIG, "cluster.max_parallel=2", seeds=5)
    assert disk.at_most(runs) == pytest.approx(5 * WEIGHTS + 2 * (2 * CHECKPOINT - WEIGHTS))
    assert disk.in_the_end(runs) == pytest.approx(5 * WEIGHTS)


def test_a_disk_that_is_too_small_is_refused_with_a_word_that_helps(runs_of):
    runs = runs_of(*BIG, seeds=2)
    need = disk.at_most(runs)
    assert disk.refusal(runs, need) == ""
    said = disk.refusal(runs, need - GB)
    assert "run_root=runs" in said and "keep=none" in said and "check_disk=false" in said
    assert "max_parallel" in said
    # what is so already helps nobody
    alone = disk.refusal(runs_of(*BIG, "keep=none"), 0)
    assert "Take another run_root; check_disk" in alone
    # what earlier attempts have left is there already
    assert disk.refusal(runs, need - CHECKPOINT, there=CHECKPOINT) == ""
    assert disk.refusal(runs_of(*BIG, "check_disk=false"), 0) == ""
    assert disk.refusal([], 0) == ""


def test_the_plan_says_both_numbers(runs_of):
    from gapo_lab.planning.plan import Plan

    (line,) = [note for note in notes(Plan(tuple(runs_of(*BIG, seeds=3)))) if "checkpoints" in note]
    assert "checkpoints of 3 runs take up to 550 GB below runs while they train, and 91 GB once all" in line


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("keep=some", "keep=some: must be one of all, last, weights, none"),
        ("check_disk=1", "must be true or false"),
        ("trainer.max_actor_ckpt_to_keep=1", "Take 2"),
    ],
)
def test_words_that_keep_nothing_are_refused(word, says):
    (run,) = draft([(*BIG, word)])
    assert says in run.why


def test_keeping_is_no_science(runs_of):
    keys = {runs_of("model=nano", word)[0].key for word in ("seed=0", "keep=all", "keep=none", "check_disk=false")}
    assert len(keys) == 1
    assert runs_of("model=nano")[0].settings["keep"] == "last" and runs_of(*BIG)[0].settings["keep"] == "weights"


def test_a_rehearsal_takes_nothing(runs_of):
    assert disk.at_most(runs_of("scale=rehearsal")) == 0 < disk.at_most(runs_of("model=nano"))
