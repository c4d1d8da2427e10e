"""Runs that differ only in their seed are drafted together: with the same result as one by one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from samples import examples

from gapo_lab.config.fast_compose import Composer
from gapo_lab.planning import plan, same_but_seed
from gapo_lab.planning.planned import Planned
from gapo_lab.planning.same_but_seed import Seeded, Texts
from gapo_lab.runs import spec_file
from gapo_lab.utils.dotted import unflatten

COMPOSER = Composer()
WORDS = (
    ("algo=grpo",),
    ("algo=gapo_grpo", "tau=0.5", "noise=0.1"),
    ("algo=dapo", "cluster=slurm", "model=qwen2_5_3b"),
    ("trainer.total_training_steps=${seed}",),  # more than the seed is made of it
    ("study=s${seed}",),
    ("data.generator_seed=${seed}",),
    ("data.train_batch_size=7",),  # invalid
)
SEEDS = ("seed=0", "seed=1", "seed=2", "seed=7", "seed=007", "seed=-1", "seed=1.5", "seed=x", "seed=[1]")


@given(st.sampled_from(WORDS), st.lists(st.sampled_from(SEEDS), min_size=3, max_size=7), st.booleans())
@examples(25)
def test_the_same_as_one_by_one(words: tuple[str, ...], seeds: list[str], seed_first: bool) -> None:
    cells = [(seed, *words) if seed_first else (*words, seed) for seed in seeds]
    together = plan.draft(cells, COMPOSER)
    for run, words_of_it in zip(together, cells, strict=True):
        (alone,) = plan.draft([words_of_it], COMPOSER)
        assert run == alone
        assert list(run.settings.items()) == list(alone.settings.items())
        assert (run.cell, run.name, run.gpus) == (alone.cell, alone.name, alone.gpus)
        if run.spec and alone.spec:
            assert (run.key, run.spec.cell, run.resources) == (alone.key, alone.spec.cell, alone.resources)
            assert run.spec.as_dict() == alone.spec.as_dict()


def test_two_of_many_are_composed() -> None:
    asked = []

    def draft(words: tuple[str, ...]) -> Planned:
        asked.append(words)
        (run,) = plan.draft([words], COMPOSER)
        return run

    cells = [(f"algo={algo}", f"seed={seed}") for seed in range(20) for algo in ("grpo", "dapo")]
    runs = same_but_seed.drafted(cells, draft)
    assert [run.words for run in runs] == cells
    assert len(asked) == 4
    assert len({run.key for run in runs}) == 40


def test_no_value_of_a_spec_stands_in_it_twice() -> None:
    """YAML would write the second as a reference to the first."""
    (run,) = plan.draft([("algo=grpo",)], COMPOSER)
    shared = [1, 2]
    spec = replace(run.valid_spec, science={**run.valid_spec.science, "x": shared}, differs={"x": shared})
    assert "&id" not in spec_file.as_yaml(spec.as_dict())


def test_a_text_is_made_once_for_all_seeds():
    written = []

    def write(settings):
        written.append(settings)
        return spec_file.as_yaml(unflatten(settings))

    texts, like = Texts(write), {"a.seed": 0, "b": "x", "data.seed": 0}
    runs = [Seeded(like, frozenset(("a.seed", "data.seed")), seed) for seed in (0, 7, 12)]
    found = [texts.of(run) for run in runs]
    assert len(written) == 1 and found == [spec_file.as_yaml(unflatten(run)) for run in runs]
    assert texts.of(like) == found[0] and len(written) == 2  # of a run by itself


def test_a_text_that_does_not_say_the_seed_is_made_for_each():
    texts = Texts(lambda settings: f"about {settings['seed'] % 10}")
    assert [texts.of(Seeded({"seed": 0}, frozenset(["seed"]), seed)) for seed in (1, 12)] == ["about 1", "about 2"]
