"""One identity and one name of a cell."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.sweep_grid import make_grid
from gapo_lab.paths import NANO
from gapo_lab.planning import plan
from gapo_lab.planning.plan_table import show_plan
from gapo_lab.runs import naming

LR = "actor_rollout_ref.actor.optim.lr"
VALUES = st.one_of(st.integers(-3, 3), st.floats(0, 1e-3), st.booleans(), st.none(), st.sampled_from(["a", "b"]))
SCIENCE = st.dictionaries(st.sampled_from([LR, "data.train_size", "noise", "checkpoint", "x.lr"]), VALUES)
SPECS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["nano", "nano_large"]),
        "algo": st.sampled_from(["grpo", "dapo"]),
        "tau": st.sampled_from([None, 0.5]),
        "seed": st.integers(0, 2),
        "science": SCIENCE,
    },
    optional={
        "differs": st.dictionaries(st.sampled_from(["lr", "n"]), VALUES),
        "overrides": st.lists(st.sampled_from([f"{LR}=1", "data.train_size=3", "seed=1"])),
    },
)


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


def spec(composer: Composer, *words: str):
    (run,) = plan.draft([words], composer)
    assert run.spec, run.why
    return run.spec


def cell_name(composer: Composer, words: str) -> str:
    return naming.cell_name(spec(composer, *words.split()).as_dict())


# Identity


@given(SPECS, SPECS)
def test_different_science_never_shares_a_cell(one, other):
    """A cell is the run key's content without the seed: the cells of two runs are the same where their keys would
    be."""
    content, theirs = ({"model": run["model"], "science": run["science"]} for run in (one, other))
    same = json.dumps(content, sort_keys=True) == json.dumps(theirs, sort_keys=True)
    assert (naming.cell_id(one) == naming.cell_id(other)) == same


@given(SPECS)
def test_a_cell_survives_the_run_folder(one):
    assert naming.cell_id(yaml.safe_load(yaml.safe_dump(one))) == naming.cell_id(one)


@given(st.lists(SPECS))
def test_cells_that_are_shown_together_have_names_of_their_own(specs):
    names = naming.cell_names(specs)
    assert names.keys() == {naming.cell_id(one) for one in specs}
    assert len(set(names.values())) == len(names)


def test_a_cell_of_a_plan_is_a_cell_of_its_run_folders(composer):
    runs = plan.draft(make_grid(["algo=grpo,gapo_grpo", f"{LR}=1e-4,2e-4", "seed=0,1"]).cells(), composer)
    cells = {run.cell for run in runs}
    assert len(cells) == 4
    assert {naming.cell_id(yaml.safe_load(yaml.safe_dump(run.spec.as_dict()))) for run in runs} == cells
    assert len({run.name for run in runs}) == 4


# Names


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("", "nano gapo_grpo tau=0.5"),
        ("algo=grpo tau=0.1 seed=3 study=other", "nano grpo"),
        ("noise=0.1", "nano gapo_grpo tau=0.5 noise=0.1"),
        (f"algo=grpo {LR}=1e-4 actor_rollout_ref.rollout.n=4", "nano grpo lr=1e-4 n=4"),
        # the default, said
        (f"{LR}=2e-4 scale=nano data=micro", "nano gapo_grpo tau=0.5"),
        # verl's own value is no default of ours
        (f"{LR}=1e-6", "nano gapo_grpo tau=0.5 lr=1e-6"),
        ("data.greedy=false", "nano gapo_grpo tau=0.5 greedy=false"),
        ("data=lists algo=group_aware", "nano group_aware data=lists"),
        ("algo=grpo recipe=verl", "nano grpo recipe=verl"),
        ("scale=rehearsal algo=grpo", "nano grpo scale=rehearsal"),
        # what follows from a setting is not said again, however that was set
        ("algo=dapo data.max_response_length=64", "nano dapo max_response_length=64"),
        ("algo=dapo model.max_response_length=64", "nano dapo max_response_length=64"),
        # where and how it runs
        ("trainer.n_gpus_per_node=1 trainer.save_freq=7 cluster.max_parallel=3", "nano gapo_grpo tau=0.5"),
        ("model=qwen_coder_7b algo=gapo_dapo cluster=slurm", "qwen_coder_7b gapo_dapo tau=0.5"),
        ("model=qwen_coder_7b algo=grpo cluster=slurm recipe=verl", "qwen_coder_7b grpo recipe=verl"),
        ("model.name=mine", "mine gapo_grpo tau=0.5"),
    ],
)
def test_a_name_says_what_differs_from_the_defaults(composer, words, name):
    assert cell_name(composer, words) == name


def test_a_name_is_in_the_run_folder_for_everyone_to_read(composer):
    found = spec(composer, "algo=grpo", f"{LR}=1e-4", "seed=3").as_dict()
    assert found["differs"] == {"lr": 1e-4}
    assert naming.run_name(found) == "nano grpo lr=1e-4 seed=3"


def test_a_run_from_before_is_named_by_its_overrides(composer):
    words = ("algo=grpo", f"{LR}=1e-4", "data=lists", "trainer.save_freq=3", "seed=3")
    old = {k: v for k, v in spec(composer, *words).as_dict().items() if k not in ("differs", "weights")}
    assert naming.run_name(old) == "nano grpo data=lists lr=1e-4 seed=3"


def test_what_all_cells_share_is_said_once(composer):
    words = ("trainer.total_training_steps=40", "data.greedy=false")
    specs = [spec(composer, *words, f"{LR}={lr}", "algo=grpo").as_dict() for lr in ("1e-4", "3e-4")]
    common = naming.in_common(specs)
    assert common == ["greedy=false", "total_training_steps=40"] and naming.in_common(specs[:1]) == []
    assert list(naming.cell_names(specs, common).values()) == ["nano grpo lr=1e-4", "nano grpo lr=3e-4"]
    out = io.StringIO()
    show_plan(
        plan.make(
            plan.draft([(*words, f"seed={seed}", *more) for seed in (0, 1) for more in ((), ("algo=dapo",))], composer)
        ),
        Console(file=out, width=120),
    )
    assert "nano dapo  " in out.getvalue() and "all cells: greedy=false total_training_steps=40" in out.getvalue()


# Weights of one's own


def weights(folder: Path, content: bytes = b"other") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(content)
    return folder


def test_a_model_of_ones_own_is_not_called_nano(composer, tmp_path):
    own = spec(composer, f"model.path={weights(tmp_path / 'mymodel')}")
    assert own.name == "mymodel gapo_grpo tau=0.5 seed=0"
    # the key is what it has always been: a hash with model.name
    assert own.model == "nano" and own.cell == naming.cell_id({"model": "nano", "science": own.science})
    old = {key: value for key, value in own.as_dict().items() if key not in ("differs", "weights")}
    assert naming.model_name(old) == "mymodel"
    assert spec(composer, f"model.path={tmp_path / 'mymodel'}", "model.name=tinyq").name.startswith("tinyq ")


def test_two_texts_of_one_file_are_told_apart_by_the_file(composer, tmp_path):
    file = tmp_path / "reward.py"
    runs = []
    for text in ("1.0", "0.5"):
        file.write_text(f"def compute_score(**_):\n    return {text}\n")
        runs.append(spec(composer, f"reward.custom_reward_function.path={file}").as_dict())
    names = list(naming.cell_names(runs).values())
    texts = [run["science"]["reward.custom_reward_function.path"].removeprefix("content ")[:4] for run in runs]
    assert [name.rpartition(" ")[2] for name in names] == [f"text(reward.py)={text}" for text in texts]
    # with another difference the name says enough of it
    other = spec(composer, f"reward.custom_reward_function.path={file}", "algo=grpo").as_dict()
    assert "text(" not in naming.cell_names([runs[0], other])[naming.cell_id(other)]


def test_a_folder_called_nano_is_not_nano(composer, tmp_path):
    other = spec(composer, f"model.path={weights(tmp_path / 'nano')}")
    assert naming.model_name(other.as_dict()) == f"nano-{other.science['checkpoint'][:6]}"
    assert naming.model_name(spec(composer, f"model.path={NANO / 'checkpoint'}").as_dict()) == "nano"


def test_a_copy_of_a_models_own_weights_keeps_its_name(composer, tmp_path):
    def called(path):
        words = ("model=qwen_coder_7b", "cluster=slurm", f"model.path={path}")
        return naming.model_name(spec(composer, *words).as_dict())

    assert called(weights(tmp_path / "Qwen2.5-Coder-7B-Instruct")) == "qwen_coder_7b"
    cache = weights(tmp_path / "models--Qwen--Qwen2.5-Coder-7B-Instruct" / "snapshots" / "0a1b")
    assert called(cache) == "qwen_coder_7b"
    assert called(weights(tmp_path / "tuned")) == "tuned"


def test_two_folders_of_one_name_are_told_apart_in_a_plan(composer, tmp_path):
    paths = [weights(tmp_path / place / "mymodel", place.encode()) for place in "ab"]
    runs = plan.draft([(f"model.path={path}", f"seed={seed}") for path in paths for seed in (0, 1)], composer)
    names = {run.cell: run.name for run in runs}
    assert len(names) == len(set(names.values())) == 2
    digests = {run.cell: run.spec.science["checkpoint"] for run in runs}
    assert all(name == f"mymodel gapo_grpo tau=0.5 checkpoint={digests[cell][:4]}" for cell, name in names.items())
    # and in their run folders
    assert {naming.cell_name(run.spec.as_dict()) for run in runs} == set(names.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "1e-4"),
        (2.5e-5, "2.5e-5"),
        (0.001, "0.001"),
        (0.5, "0.5"),
        (1.0, "1"),
        (3, "3"),
        (2e6, "2e6"),
        (0.0, "0"),
        (True, "true"),
        (None, "null"),
        ([0.9, 0.95], "[0.9,0.95]"),
        ("/a/b.py", "b.py"),
        ("x" * 60, "x" * 37 + "..."),
        (float("nan"), "nan"),
    ],
)
def test_values_are_short(value, text):
    assert naming.shown(value) == text
