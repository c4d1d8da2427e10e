"""The fast ways of composing give exactly what Hydra gives."""

from __future__ import annotations

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.resolvers import register
from gapo_lab.errors import UserError
from gapo_lab.paths import CONF
from gapo_lab.utils.dotted import flatten, unflatten

GROUPS = {
    group: sorted(p.stem for p in (CONF / group).glob("*.yaml"))
    for group in ("model", "recipe", "algo", "data", "reward", "scale", "backend", "cluster")
}
# What a config file cannot know, and a person must give.
GIVEN = {"data=parquet": ("data.train=train.parquet", "data.id=id.parquet")}
MIXED = ("model", "algo", "data", "scale", "cluster")
# Values of every kind, keys that others refer to, keys that are new.
VALUES = (
    *("tau=0.3", "seed=7", "study=other", "global_profiler.steps=[1,2]", "model.max_response_length=33"),
    *("trainer.n_gpus_per_node=4", "actor_rollout_ref.actor.strategy=fsdp", "data.template=null"),
    *("+new.key=1", "++new.other='a b'", "actor_rollout_ref.actor.optim.lr=1e-4", "trainer.total_epochs=${seed}"),
    *("actor_rollout_ref.rollout.n=5", "trainer.logger=[console]", "cluster.nodes=2", "run_root=/tmp/x"),
)


@pytest.fixture(scope="module")
def composer():
    return Composer()


def hydras(words: list[str], **how: bool) -> DictConfig:
    """What Hydra makes of these words by itself."""
    register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        return hydra.compose("config", overrides=words, **how)


def same_as_hydra(composer, words: list[str]) -> dict:
    """The configuration of these words, which is Hydra's whichever way it is composed."""
    composed, config = composer.compose(words), hydras(words)
    single = compose_run(words)
    assert repr(single) == repr(config) and OmegaConf.is_struct(single)
    assert composed.written == flatten(OmegaConf.to_container(config, resolve=False))
    resolved = OmegaConf.to_container(config, resolve=True)
    assert composed.resolved == flatten(resolved)
    assert unflatten(composed.resolved) == resolved
    return resolved


@pytest.mark.slow
@pytest.mark.parametrize("row", range(max(map(len, GROUPS.values()))))
def test_every_config_file(composer, row):
    """One of each group at a time, until each file had its turn."""
    chosen = {group: names[row % len(names)] for group, names in GROUPS.items()}
    words = [f"{group}={name}" for group, name in chosen.items()]
    resolved = same_as_hydra(composer, [*words, *(given for word in words for given in GIVEN.get(word, ()))])
    assert "???" not in flatten(resolved).values()
    # data=mined is data=git in a folder that has a name
    assert {group: resolved[group]["name"] for group in chosen} == chosen | (
        {"data": "git"} if chosen["data"] == "mined" else {}
    )


@pytest.mark.slow
@given(
    st.fixed_dictionaries({}, optional={group: st.sampled_from(GROUPS[group]) for group in MIXED}),
    st.lists(st.sampled_from(VALUES), max_size=4, unique=True),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mixture(composer, groups, values):
    chosen = [f"{group}={name}" for group, name in groups.items()]
    given = [word for choice in chosen for word in GIVEN.get(choice, ())]
    # rows of one's own have no template
    values = [word for word in values if not (groups.get("data") == "parquet" and word.startswith("data.template"))]
    same_as_hydra(composer, [*chosen, *given, *values])


def test_a_key_of_another_choice_is_not_its_own_near_name(composer):
    """It said: no such key (did you mean data.template?)."""
    for compose in (composer.compose, compose_run):
        with pytest.raises(UserError, match=r"^data\.template: no such key with these choices of config files\. Leave"):
            compose([*GIVEN["data=parquet"], "data=parquet", "data.template=null"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["~reward.num_workers"], ["seed=1", "seed=2"], ["+x={a: 1}"], ["data.repos=[]", "data=git"]]
)
def test_out_of_the_ordinary(composer, words):
    same_as_hydra(composer, words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["algo=dapo", "tau=0.3", "+new.key=${tau}"],
        ["+sweep=paper"],
        ["hydra.sweeper.invalid=skip"],
        ["data={train_size: 8}"],
    ],
)
def test_one_configuration_after_another(words):
    """What is composed does not change what is composed after it."""
    changed = compose_run(words, hydra=True)
    changed.trainer.logger.append("changed")
    changed.study = "changed"
    assert repr(compose_run(words)) == repr(hydras(words))
    assert compose_run(words, hydra=True).hydra.sweeper == hydras(words, return_hydra_config=True).hydra.sweeper


@pytest.mark.parametrize(
    "word", ["algo=gapo_grp", "trainer.total_training_step=3", "modl=nano", "tau=[", "+seed=1", "nonsense"]
)
def test_a_wrong_word_gets_hydras_line(composer, word):
    with pytest.raises(UserError) as ours:
        composer.compose(["seed=0", word])
    with pytest.raises(UserError) as theirs:
        compose_run(["seed=0", word])
    assert str(ours.value) == str(theirs.value)
