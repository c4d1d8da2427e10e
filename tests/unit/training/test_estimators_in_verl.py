"""Our methods as verl sees them: names, shapes, what they are told of a batch, and verl's names for its own."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from bench.host_waits import AWAY, HostWaits
from gapo_lab import method_registry as registry
from gapo_lab.training import batch_context

pytestmark = pytest.mark.verl


@pytest.fixture(scope="module")
def algos():
    from verl.trainer.ppo import core_algos

    return core_algos


def call(algos, name, config=None, mask=None, rewards=None, facts=None):
    rewards = torch.tensor([[0.0, 0.1], [0.0, 0.5], [0.0, 0.6], [0.0, 0.9]]) if rewards is None else rewards
    mask = torch.tensor([[1, 1], [1, 1], [0, 0], [1, 1]]) if mask is None else mask
    with batch_context.about(facts or batch_context.BatchFacts()):
        return algos.get_adv_estimator_fn(name)(
            token_level_rewards=rewards,
            response_mask=mask,
            index=np.array(["a", "a", "b", "b"], dtype=object),
            config=config,
        )[0]


def test_names_that_plans_check_are_the_ones_verl_has(algos):
    ours, verls = set(registry.estimators()), {known.value for known in algos.AdvantageEstimator}
    assert set(algos.ADV_ESTIMATOR_REGISTRY) == ours | set(registry.VERL_ESTIMATORS) | set(registry.NOT_HERE)
    assert set(algos.POLICY_LOSS_REGISTRY) == set(registry.losses()) | set(registry.VERL_LOSSES)
    for name, method in registry.estimators().items():
        assert name == (f"exact_{method.name}" if method.name in verls else method.name)


def test_a_users_methods_are_registered_from_their_file_and_checked(algos, tmp_path, monkeypatch):
    from gapo_lab.training.registered_methods import register_user_methods

    path = tmp_path / "mine.py"
    path.write_text(
        "def twice(rewards, groups, k=2.0, *, order):\n    return k * rewards + 0 * order\n"
        "def summed(rewards, groups):\n    return rewards.sum()\n"
        "def loud(log_prob, old_log_prob, advantages, mask, low, high):\n    return -(advantages * mask).sum(1)\n"
    )
    for registry_of in ("ADV_ESTIMATOR_REGISTRY", "POLICY_LOSS_REGISTRY"):
        monkeypatch.setattr(algos, registry_of, dict(getattr(algos, registry_of)))
    kinds = {"twice": "estimator", "summed": "estimator", "loud": "loss"}
    register_user_methods(json.dumps({"path": str(path), "methods": kinds}))
    facts = batch_context.BatchFacts(order=[0, 1, 0, 1])
    found = call(algos, "twice", {"twice": {"k": 3.0}}, mask=torch.ones(4, 2), facts=facts)
    assert torch.allclose(found[:, 0], torch.tensor([0.3, 1.5, 1.8, 2.7]))
    with pytest.raises(
        ValueError, match=r"summed\(\) returned shape \(\): it must return one number a rollout, \(4,\)"
    ):
        call(algos, "summed")
    assert "loud" in algos.POLICY_LOSS_REGISTRY


@pytest.mark.parametrize("name", ["exact_grpo", "gapo", "krpo", "qae", "redit", "exact_gdpo", "group_aware"])
def test_rewards_on_a_gpu_do_not_make_the_host_wait(algos, name):
    extras = {part: [0.0, 1.0, 0.0, 0.0] for part in ("em", "similarity", "item", "choices")}
    facts = batch_context.BatchFacts(order=[1, 0, 0, 1], extras=extras)
    with HostWaits() as seen:
        found = call(
            algos, name, mask=torch.empty(4, 2, device=AWAY), rewards=torch.empty(4, 2, device=AWAY), facts=facts
        )
    assert seen.waits == [] and found.device == AWAY


@pytest.mark.parametrize("name", ["exact_grpo", "gapo", "krpo", "qae", "redit", "huber", "shrinkage"])
@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32, torch.int32])
def test_advantages_are_zero_where_the_mask_is_whatever_its_type(algos, name, kind):
    mask = torch.tensor([[1, 1], [1, 0], [0, 0], [1, 1]]).to(kind)
    kept = mask.clone()
    found = call(algos, name, mask=mask)
    assert found.shape == (4, 2) and found.dtype == torch.float32
    assert (found[mask == 0] == 0).all() and (found[1, 0] != 0)
    assert torch.equal(mask, kept)


def test_exact_grpo_gives_equal_rewards_nothing_where_verls_gives_noise(algos):
    rewards = torch.rand(64, 1, generator=torch.Generator().manual_seed(0)).repeat_interleave(8, dim=0)
    index = np.repeat(np.arange(64), 8)
    arguments = {"token_level_rewards": rewards, "response_mask": torch.ones(512, 1), "index": index}
    assert algos.get_adv_estimator_fn("exact_grpo")(**arguments)[0].abs().max() == 0
    assert algos.get_adv_estimator_fn("grpo_vectorized")(**arguments)[0].abs().max() > 0.01


def test_settings_come_from_their_node(algos):
    from omegaconf import OmegaConf

    plain, centred = (
        call(algos, "exact_grpo", OmegaConf.create({"exact_grpo": {"norm_by_std": n}})) for n in (True, False)
    )
    torch.testing.assert_close(centred[:2, 0], torch.tensor([-0.2, 0.2]))
    assert plain[1, 0] > 0.7


def test_krpo_is_told_the_rollouts_numbers_and_redit_the_step(algos):
    one, other = (call(algos, "krpo", facts=batch_context.BatchFacts(order=o)) for o in ([0, 1, 0, 1], [1, 0, 1, 0]))
    assert not torch.equal(one, other)
    steps = [call(algos, "redit", facts=batch_context.BatchFacts(step=s, seed=0)) for s in (1, 1, 2)]
    assert torch.equal(steps[0], steps[1]) and not torch.equal(steps[0], steps[2])


def test_gdpo_reads_the_parts_of_the_reward(algos):
    parts = batch_context.numbers_by_name(
        [
            {"em": 1.0, "similarity": 1, "note": "x"},
            {"em": 0.0, "similarity": 0.5},
            {"em": 0.0, "similarity": 0.1},
            {"em": 0.0, "similarity": 0.9},
        ]
    )
    assert set(parts) == {"em", "similarity"}
    found = call(algos, "exact_gdpo", facts=batch_context.BatchFacts(extras=parts), mask=torch.ones(4, 2))
    assert found[0, 0] > found[3, 0] > 0 > found[1, 0]
    with pytest.raises(ValueError, match="the reward has no 'em'"):
        call(algos, "exact_gdpo")


def test_verls_own_gdpo_cannot_run_on_its_v1_trainer(algos):
    """compute_advantage hands on what v1 fetched, and v1 does not fetch the parts of the reward."""
    import inspect

    from omegaconf import OmegaConf
    from verl import DataProto
    from verl.trainer.ppo.ray_trainer import compute_advantage
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    fetched = inspect.getsource(PPOTrainer._compute_advantage).split("fields = [")[1].split("]")[0]
    assert "extra_fields" not in fetched and "prompts" not in fetched and "attention_mask" not in fetched
    data = DataProto.from_dict(
        tensors={"token_level_rewards": torch.rand(4, 2), "response_mask": torch.ones(4, 2)},
        non_tensors={"uid": np.array(list("aabb"), dtype=object)},
    )
    with pytest.raises(KeyError, match="prompts"):
        compute_advantage(data, "gdpo", config=OmegaConf.create({"gdpo_reward_keys": ["em", "similarity"]}))


def test_a_rollouts_number_is_in_verls_key():
    assert [batch_context.rollout_number(f"{uid}_{n}_0") for uid, n in (("a_b", 3), ("u-1", 12))] == [3, 12]


def test_the_private_methods_that_the_trainer_wraps_exist():
    import inspect

    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    assert list(inspect.signature(PPOTrainer._compute_advantage).parameters) == ["self", "batch", "metrics"]
    assert "self._compute_advantage(batch, metrics=metrics)" in inspect.getsource(PPOTrainer)
    update = inspect.signature(PPOTrainer._val_metrics_update).parameters
    assert list(update)[:4] == ["self", "data_sources", "sample_uids", "reward_extra_infos_dict"]
