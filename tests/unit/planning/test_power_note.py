"""What a plan says that its seeds can tell from zero."""

from __future__ import annotations

import re

import pytest

from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.sweep_grid import make_grid
from gapo_lab.launch import run_states
from gapo_lab.planning import plan
from gapo_lab.planning.power_note import power_note
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils.power import seeds_needed, visible


@pytest.fixture(scope="module")
def composer():
    return Composer()


def note(composer, *words):
    drafted = plan.draft(make_grid(list(words)).cells(), composer)
    root = drafted[0].settings["run_root"]
    return power_note(plan.make(drafted, lambda keys: run_states.read(root, keys)))


def test_without_finished_runs_the_spread_is_the_unit(composer, tmp_path):
    text = note(composer, "algo=grpo,gapo_grpo", f"run_root={tmp_path}")
    assert text.startswith("5 seeds a method find a difference of 2.0 standard deviations over seeds in 80% of studies")
    needed = seeds_needed(visible(5) / 2, 1.0)
    half = f"To detect half of this difference you need {needed} seeds: {2 * (needed - 5)} more runs, about "
    assert half in text and " of runs" in text


def test_finished_runs_give_the_spread_in_points(composer, tmp_path):
    words = ("algo=grpo,gapo_grpo", f"run_root={tmp_path}")
    for run in plan.draft(make_grid([*words, "seed=0,1"]).cells(), composer):
        folder = RunFolder.open(tmp_path, run.key, run.spec.as_dict())
        folder.start_attempt()
        folder.write_summary({"final/id/em": 0.5 + 0.02 * run.spec.seed, "final/step": 60.0})
        folder.write_status(state="finished")
    found = re.search(r"\((\S+) points of val/id/em, sd (\S+) points over 2 finished cells\)", note(composer, *words))
    sd = 2 / 2**0.5
    assert [float(text) for text in found.groups()] == pytest.approx([visible(5) * sd, sd], rel=0.05)


def test_gpu_hours_are_those_of_the_runs(composer, tmp_path):
    words = ("model=qwen_coder_7b", "cluster=slurm", "algo=grpo,dapo", "seed=0,1,2", f"run_root={tmp_path}")
    text = note(composer, *words)
    assert "3 seeds a method" in text and re.search(r"about [\d,]+ GPU-hours$", text)


@pytest.mark.parametrize(
    ("algo", "both"),
    [("grpo", "grpo,gapo_grpo"), ("gapo_dapo", "dapo,gapo_dapo"), ("krpo", "grpo,krpo")],
)
def test_seeds_of_one_method_have_no_baseline(composer, tmp_path, algo, both):
    said = note(composer, f"algo={algo}", "seed=0,1", f"run_root={tmp_path}")
    wanted = f"2 seeds of one method, {algo}, compare nothing. Name a second one: algo={both}. Or plan one run, "
    assert said == f"{wanted}as it is without -m: seed=0"


def test_more_seeds_of_what_is_there_are_no_news(composer, tmp_path):
    words = ("algo=grpo", f"run_root={tmp_path}")
    (run,) = plan.draft(make_grid([*words, "seed=0"]).cells(), composer)
    folder = RunFolder.open(tmp_path, run.key, run.spec.as_dict())
    folder.start_attempt()
    folder.write_status(state="interrupted")
    assert note(composer, *words, "seed=0,1") == ""


@pytest.mark.parametrize(
    "words",
    [
        ("algo=grpo", "seed=1"),
        ("algo=gapo_grpo", "tau=0.3,0.5"),
        ("algo=grpo", "model=nano,nano_large"),
        ("algo=grpo,dapo", "seed=1"),
        ("algo=grpo,dapo", "scale=rehearsal"),
        ("algo=grpo", "scale=rehearsal"),
    ],
)
def test_what_compares_nothing_over_seeds_says_nothing(composer, tmp_path, words):
    assert note(composer, *words, f"run_root={tmp_path}") == ""
