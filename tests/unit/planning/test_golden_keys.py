"""Run keys never change: a key names results that exist, in run folders, in MLflow and in docs/.

Where one of these fails, the change gives every run ever made another name: move the file without its address
(`run_key.CANONICAL`), or leave the new setting out of the key at its neutral value (`run_key.NEUTRAL`).
"""

from __future__ import annotations

import re

import pytest
from lab import REPO

from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.planning.spec import make_spec, spec_of

# Overrides -> the key, as of the first release.
GOLDEN = {
    "": "93d03f0fba",
    "algo=grpo": "3b8b8bcfe7",
    "algo=dapo": "d4d938d1a9",
    "algo=gapo_dapo tau=0.1": "c62dcf5fe3",
    "algo=krpo noise=0.1": "a7e4478936",
    "algo=qae noise=0.2 seed=4": "ab769800e0",
    "algo=gapo_grpo_mean_div tau=1.0": "96662b236a",
    "algo=cispo actor_rollout_ref.actor.optim.lr=1e-4 actor_rollout_ref.rollout.n=16": "26d2d0bb4a",
    "algo=gapo_centred tau=0.1": "b18ee90573",
    "algo=grpo_shifted": "85961cfae6",
    "algo=median": "508debd136",
    "algo=trimmed_mean": "b8ee042c77",
    "algo=huber seed=2": "b8779e4f88",
    "algo=rank": "e6fb330af0",
    "algo=shrinkage": "5fd4386041",
    "algo=grpo +algorithm.mine=3": "edb1984d8c",
    "data=lists": "f8b054b258",
    "data=lists algo=group_aware": "1b7e15ce76",
    "model=nano_large algo=gmpo": "522b7f929f",
    "model=qwen_coder_7b": "764ecd9703",
    "model=qwen_coder_7b algo=gapo_dapo seed=3": "8fd261485c",
    "model=qwen3_8b algo=reinforce_pp": "e6bf6cca7b",
    "model=mistral_7b algo=grpo recipe=verl": "ad1f19ba7a",
    "model=smollm2_135m": "c3dbcf7978",
    "backend=vllm": "2611489cac",
    "backend=vllm actor_rollout_ref.rollout.calculate_log_probs=false": "2611489cac",
    "backend=vllm_cpu": "acd4d30b53",
    "scale=paper": "688309df3e",
    "scale=rehearsal": "baefb75a56",
    "scale=rehearsal rehearsal.steps=9 algo=dapo noise=0.1": "2e6b8114ac",
}
# Keys printed in docs/ -> the overrides of that run. The key in docs/search.md is of a checkpoint that is gone.
PAPER = "+sweep=paper trainer.total_training_steps=40 trainer.test_freq=10 data.greedy=false seed=0"
DOCUMENTED = {
    "184b0f3400": f"{PAPER} algo=grpo tau=0.5",
    "73a32dac1d": f"{PAPER} algo=grpo noise=0.2",
}
NOT_DERIVED = {"09ffc1b9a7"}


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


def key(composer: Composer, overrides: str) -> str:
    found = composer.compose(overrides.split())
    return spec_of(found.written, found.resolved, tuple(overrides.split())).key


@pytest.mark.parametrize("overrides", GOLDEN)
def test_a_key_stays(composer, overrides):
    assert key(composer, overrides) == GOLDEN[overrides]


@pytest.mark.parametrize("printed", DOCUMENTED)
def test_a_key_printed_in_the_docs_stays(composer, printed):
    assert key(composer, DOCUMENTED[printed]) == printed


@pytest.mark.parametrize("overrides", ["", "algo=dapo", "scale=rehearsal"])
def test_hydras_own_composition_gives_the_same_key(overrides):
    assert make_spec(compose_run(overrides.split())).key == GOLDEN[overrides]


def test_no_run_key_of_the_docs_is_forgotten():
    folder = REPO / "docs"
    printed = set()
    for path in folder.glob("*.md"):
        text = re.sub(r"^- Commits:.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        printed |= set(re.findall(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{10}\b", text))
    assert printed - NOT_DERIVED <= {*GOLDEN.values(), *DOCUMENTED}


def test_science_holds_no_address_of_a_module_but_the_canonical_ones(composer):
    """A module that moves keeps the name that keys were made with."""
    found = composer.compose(["algo=dapo", "noise=0.1"])
    science = spec_of(found.written, found.resolved).science
    addresses = {value for value in science.values() if isinstance(value, str) and "gapo_lab" in value}
    assert addresses == {"pkg://gapo_lab.training.reward_function", "pkg://gapo_lab.training.replay"}
