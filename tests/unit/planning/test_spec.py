"""The run key: what is in it and what is not."""

from __future__ import annotations

from functools import cache

import pytest

from gapo_lab.config.fast_compose import Composer
from gapo_lab.models import model_digest
from gapo_lab.planning.spec import Spec, spec_of

composer = cache(Composer)


def spec_for(*words: str) -> Spec:
    found = composer().compose(words)
    return spec_of(found.written, found.resolved, words)


def key(*words: str) -> str:
    return spec_for(*words).key


@pytest.fixture(scope="module")
def default() -> str:
    return key()


@pytest.mark.parametrize(
    "word",
    [
        "study=other",
        "run_root=elsewhere",
        "trainer.n_gpus_per_node=1",
        "trainer.save_freq=7",
        "trainer.logger=[console]",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=2",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=999",
        "data.dataloader_num_workers=1",
        "tau=0.5",
        "noise=0",
    ],
)
def test_where_and_how_it_runs_is_not_in_the_key(word, default):
    assert key(word) == default


@pytest.mark.parametrize(
    "word",
    [
        "seed=1",
        "tau=0.1",
        "noise=0.1",
        "algo=grpo",
        "algorithm.gapo.ddof=1",
        "actor_rollout_ref.actor.optim.lr=1e-5",
        "data.train_size=100",
        "data.ood_size=100",
        "trainer.total_training_steps=7",
        "actor_rollout_ref.rollout.temperature=0.9",
        "actor_rollout_ref.actor.ppo_epochs=2",
    ],
)
def test_what_changes_the_result_changes_the_key(word, default):
    assert key(word) != default


def test_tau_is_nothing_to_a_method_that_has_none():
    assert key("algo=grpo", "tau=0.1") == key("algo=grpo", "tau=0.9")
    assert spec_for("algo=grpo").tau is None


def test_two_ways_of_writing_a_run_are_one_run():
    assert key("algo=gapo_grpo", "seed=0", "actor_rollout_ref.rollout.n=8") == key()
    assert key("data.seed=5") == key()  # a trial's seed sets it


def test_key_is_short_and_stable_in_one_checkout(default):
    assert len(default) == 10 and int(default, 16) >= 0
    assert key() == default


def test_name_is_readable():
    assert spec_for("seed=3").name == "nano gapo_grpo tau=0.5 seed=3"
    assert spec_for("algo=dapo").name == "nano dapo seed=0"


def test_a_large_checkpoint_is_told_by_its_size_and_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("gapo_lab.models.model_digest.WHOLE", 1 << 10)
    weights = tmp_path / "model.safetensors"
    seen = set()
    content = bytearray(model_digest.BLOCK * 3)
    for change in (None, 0, model_digest.BLOCK, len(content) - 1, "longer"):
        if change == "longer":
            content.append(0)
        elif change is not None:
            content[change] ^= 1
        weights.write_bytes(content)
        seen.add(model_digest.checkpoint_digest(tmp_path))
    assert len(seen) == 5
