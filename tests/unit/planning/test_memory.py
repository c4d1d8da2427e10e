"""Memory and disk of a run, against what was measured and what was worked out by hand."""

from __future__ import annotations

from itertools import product

import pytest

from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.view import ConfigView
from gapo_lab.planning.memory import (
    GB,
    ModelShape,
    checkpoint_bytes,
    host_memory,
    rollout_memory,
    training_memory,
)
from gapo_lab.planning.memory_check import shape_of
from gapo_lab.planning.plan import draft

QWEN_7B = ModelShape(7.6e9, 28, 3584, 18944, 152064, 4, 128)
QWEN3_8B = ModelShape(8.2e9, 36, 4096, 12288, 151936, 8, 128)
MISTRAL = ModelShape(7.2e9, 32, 4096, 14336, 32768, 8, 128)
DEEPSEEK = ModelShape(6.7e9, 32, 4096, 11008, 32256, 32, 128)
QWEN_14B = ModelShape(14.8e9, 48, 5120, 13824, 152064, 8, 128)
# Attention heads of the paper's models (their config.json).
NINE = {
    "mistral_7b": 32,
    "qwen2_5_3b": 16,
    "qwen2_5_7b": 28,
    "qwen3_4b": 32,
    "qwen3_8b": 32,
    "qwen_coder_3b": 16,
    "qwen_coder_7b": 28,
    "qwen_coder_14b": 40,
    "deepseek_coder_6_7b": 32,
}
# Measured on an H100: docs/bench.md
QWEN_1_5B = ModelShape(1.54e9, 28, 1536, 8960, 151936, 2, 128)


def test_the_estimate_is_above_what_was_measured_and_not_by_far():
    peak = training_memory(QWEN_1_5B, workers=1, tokens=5120, checkpointing=False)
    allocated = peak.total - peak.other
    assert 43.0 * 2**30 < allocated < 1.2 * 43.0 * 2**30


@pytest.mark.parametrize(
    ("shape", "tokens", "by_hand"),
    [
        (QWEN_7B, 5120, 65),
        (QWEN3_8B, 5120, 74),
        (MISTRAL, 5120, 57),
        (DEEPSEEK, 5120, 54),
        (QWEN_14B, 2560, 72),
    ],
)
def test_the_update_needs_what_was_worked_out_by_hand(shape, tokens, by_hand):
    total = training_memory(shape, workers=8, tokens=tokens, checkpointing=False).total
    assert total == pytest.approx(by_hand * GB, rel=0.12)


def test_the_14b_model_fits_80_gib_at_5120_tokens_only_with_checkpointing():
    room = 79 * 2**30
    assert training_memory(QWEN_14B, 8, 5120, checkpointing=False).total > room
    assert training_memory(QWEN_14B, 8, 5120, checkpointing=True).total < room


def test_lora_holds_the_weights_once_and_moments_of_its_adapters_only(plan_of):
    # Qwen2.5-7B, rank 32, all linear layers: 80.7 million (peft's own count)
    assert QWEN_7B.adapters(32) == pytest.approx(80.7e6, rel=0.01)
    whole, lora = (training_memory(QWEN_7B, 8, 5120, False, rank) for rank in (0, 32))
    assert lora.weights == pytest.approx((7.6e9 * 4 + 80.7e6 * 16) / 8, rel=0.01)
    assert lora.weights < whole.weights / 3
    small = ("model=qwen_coder_14b", "backend.attention=sdpa", "cluster.gpu_memory=40")
    assert "cannot fit" in plan_of(*small, "model.gradient_checkpointing=true").why
    assert not plan_of(*small, "model.gradient_checkpointing=true", "lora=32").why


def test_more_of_anything_never_needs_less():
    base = training_memory(QWEN_7B, 8, 5120, False).total
    assert training_memory(QWEN_7B, 4, 5120, False).total > base
    assert training_memory(QWEN_7B, 8, 6000, False).total > base
    assert training_memory(QWEN_7B, 8, 5120, True).total < base
    assert rollout_memory(QWEN_7B, 1, 5120) > rollout_memory(QWEN_7B, 4, 5120)
    assert rollout_memory(QWEN_7B, 4, 32768) > rollout_memory(QWEN_7B, 4, 5120)
    assert host_memory(7.6e9, True, True) > host_memory(7.6e9, True, False) > host_memory(7.6e9, False, False)
    assert host_memory(7.6e9, True, True, gpus=8) > host_memory(7.6e9, True, True, gpus=4)


def test_a_checkpoint_is_twelve_bytes_a_parameter_and_four_without_the_optimizer():
    assert checkpoint_bytes(7.6e9) == pytest.approx(91 * GB, rel=0.01)
    assert checkpoint_bytes(7.6e9, optimizer=False) == pytest.approx(30.4 * GB, rel=0.01)


@pytest.fixture(scope="module")
def plan_of():
    """The planned run of some words on a cluster with GPUs of 80 GiB."""
    composer = Composer()
    return lambda *words: draft([("cluster=slurm", *words)], composer)[0]


@pytest.mark.slow  # 36 plans
def test_the_nine_models_fit_80_gib_with_and_without_flash_attention(plan_of):
    for model, algo, attention in product(NINE, ("gapo_grpo", "gapo_dapo"), ("sdpa", "flash_attention_2")):
        run = plan_of(f"model={model}", f"algo={algo}", f"backend.attention={attention}")
        assert not run.why, run.why


def test_without_flash_attention_no_sequence_is_cut_and_the_longest_fits_a_pass(plan_of):
    for model in NINE:
        settings = plan_of(f"model={model}", "backend.attention=sdpa").settings
        assert settings["actor_rollout_ref.model.override_config.attn_implementation"] == "sdpa"
        assert settings["actor_rollout_ref.actor.ulysses_sequence_parallel_size"] == 1
        assert settings["actor_rollout_ref.actor.ppo_max_token_len_per_gpu"] >= 4096 + 1024


def test_auto_takes_flash_attention_only_where_it_is_installed(monkeypatch):
    from gapo_lab.config import attention

    monkeypatch.setattr(attention.importlib.util, "find_spec", lambda name: None)
    assert attention.attention("auto") == "sdpa"
    monkeypatch.setattr(attention.importlib.util, "find_spec", lambda name: object())
    assert attention.attention("auto") == "flash_attention_2"


def test_the_papers_own_settings_run_out_of_memory_on_14b_as_in_the_paper(plan_of):
    released = ("model.max_tokens_per_gpu=5120", "model.gradient_checkpointing=false")
    run = plan_of("model=qwen_coder_14b", "algo=dapo", "backend.attention=flash_attention_2", *released)
    assert "cannot fit" in run.why and "enable_gradient_checkpointing=true" in run.why


def test_the_remedy_that_is_named_makes_it_fit(plan_of):
    small = ("model=qwen_coder_14b", "backend.attention=sdpa", "cluster.gpu_memory=40")
    run = plan_of(*small)
    words = [
        word for word in run.why.rstrip(".").split() if "=" in word and word.startswith(("actor", "cluster.nodes"))
    ]
    assert words, run.why
    assert not plan_of(*small, *words).why


def test_vllm_without_room_for_one_answer_is_refused(plan_of):
    why = plan_of(
        "model=qwen_coder_14b",
        "model.tensor_parallel=1",
        "actor_rollout_ref.rollout.gpu_memory_utilization=0.3",
    ).why
    assert "vLLM needs about" in why and "Raise that share" in why


@pytest.mark.parametrize("model", sorted(NINE))
def test_the_sizes_of_a_model_give_its_number_of_parameters(plan_of, model):
    shape = shape_of(ConfigView(plan_of(f"model={model}").settings))
    layer = shape.hidden * shape.head_size * 2 * (NINE[model] + shape.kv_heads) + 3 * shape.hidden * shape.feed_forward
    tied = model in ("qwen2_5_3b", "qwen_coder_3b", "qwen3_4b")
    total = shape.layers * layer + shape.vocabulary * shape.hidden * (1 if tied else 2)
    assert total == pytest.approx(shape.parameters, rel=0.02)
