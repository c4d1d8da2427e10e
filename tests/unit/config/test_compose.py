"""Words to configuration, and the lines a wrong word gets."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from gapo_lab.config.compose import compose_run
from gapo_lab.config.search_path import verl_config_folder
from gapo_lab.errors import UserError
from gapo_lab.paths import CONF


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_key_has_a_comment(path):
    """A line of comment stands above every key that holds a value."""
    lines = path.read_text().splitlines()
    bare = []
    for above, line in zip(["", *lines], lines, strict=False):
        stripped = line.strip()
        holds_value = ":" in stripped and not stripped.startswith(("#", "-")) and not stripped.endswith(":")
        if holds_value and not above.strip().startswith("#"):
            bare.append(stripped)
    assert bare == []


def test_a_model_of_the_paper_brings_its_backend_and_scale():
    config = compose_run(["model=qwen_coder_7b"])
    assert (config.backend.name, config.scale.name) == ("vllm", "paper")
    assert config.actor_rollout_ref.rollout.name == "vllm"
    assert config.actor_rollout_ref.actor.ppo_mini_batch_size == 32
    assert compose_run(["model=qwen_coder_7b", "scale=nano"]).scale.name == "nano"


def test_any_verl_key_can_be_set():
    config = compose_run(["actor_rollout_ref.actor.optim.betas=[0.8,0.9]", "trainer.balance_batch=false"])
    assert list(config.actor_rollout_ref.actor.optim.betas) == [0.8, 0.9]
    assert config.trainer.balance_batch is False


@pytest.mark.slow
def test_verls_tree_is_as_verl_composes_it():
    """The flat file we build on and verl's own composition give the same defaults."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(verl_config_folder()), version_base="1.3"):
        theirs = compose("ppo_trainer")
    flat = OmegaConf.load(verl_config_folder() / "_generated_ppo_trainer.yaml")
    # the flat file leaves out the word that chose the engine's files
    assert OmegaConf.to_container(flat) | {"model_engine": "dp"} == OmegaConf.to_container(theirs)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("trainer.total_training_step=3", "did you mean trainer.total_training_steps?"),
        ("algo=gapo_grp", "did you mean gapo_grpo?"),
        ("modl=nano", "modl: no such key (did you mean model"),
        ("tau=[", "tau=["),
        ("sweep=table2", "it is added: +sweep="),
        ("+sweep=table2,table5", "+sweep=table2,table5: one at a time"),
        ("algo=gapo", "did you mean gapo_dapo or gapo_grpo?"),
        ("alog=grpo", "did you mean algo?"),
        ("tau=0.1,0.5", "tau=0.1,0.5: several values are a sweep: add -m"),
        ("actor_rollout_ref.actor.optm.lr=1", "did you mean actor_rollout_ref.actor.optim.lr?"),
    ],
)
def test_a_wrong_word_gets_one_line_with_the_nearest(word, says):
    with pytest.raises(UserError) as caught:
        compose_run([word])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
