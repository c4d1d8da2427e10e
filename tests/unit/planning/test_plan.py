"""What a sweep will do, and what is shown of it."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path

import pytest
from lab import REPO
from rich.console import Console

from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.sweep_grid import make_cells, make_grid
from gapo_lab.errors import UserError
from gapo_lab.launch import executor, run_states
from gapo_lab.planning import plan
from gapo_lab.planning.plan import Action, decide
from gapo_lab.planning.plan_table import show_plan, totals
from gapo_lab.planning.spec import make_spec
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import RunStatus, State

# (searches are planned otherwise: tests/unit/search/test_search.py)
SWEEPS = sorted(path.stem for path in (REPO / "sweeps").glob("*.yaml") if "search" not in path.stem)


composer = cache(Composer)


def planned(*words: str, **more):
    return plan.make(plan.draft(make_grid(list(words)).cells(), composer()), **more)


def shown(made) -> str:
    out = io.StringIO()
    show_plan(made, Console(file=out, width=120))
    return out.getvalue()


def test_a_run_is_the_same_run_as_alone():
    """A cell of a plan has the key of the same words without a sweep."""
    for run in planned("algo=grpo,gapo_dapo", "tau=0.1,0.5", "seed=3").runs:
        assert run.spec.key == make_spec(compose_run(run.words)).key


def test_a_method_without_tau_is_one_cell():
    made = planned("algo=grpo,gapo_grpo", "tau=0.1,0.5,0.9")
    assert len(made.runs) == (1 + 3) * 5
    assert len({run.cell for run in made.runs}) == 4


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ({}, Action.RUN),
        ({"state": "finished"}, Action.SKIP),
        ({"state": "queued"}, Action.ATTACH),
        ({"state": "running"}, Action.ATTACH),
        ({"state": "failed", "message": "no"}, Action.RETRY),
        ({"state": "interrupted"}, Action.RUN),
        ({"state": "broken", "message": "cut short"}, Action.INVALID),
    ],
)
def test_what_happens_to_a_run(status, action):
    assert decide(RunStatus.from_json(status))[0] == action


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("tau=abc", "tau=abc: must be a number"),
        ("study=a/b", "study=a/b: a name of letters"),
        ("data.train_batch_size=33", "does not divide"),
        ("trainer.total_training_step=3", "did you mean trainer.total_training_steps?"),
        ("data.template=nowhere.txt", "no such file"),
        ("model=qwen_coder_7b", "this machine has none"),
        ("model.path=./nowhere", "no model there"),
        ("model=qwen_coder_14b cluster=slurm cluster.gpu_memory=8", "cannot fit"),
    ],
)
def test_an_invalid_cell_says_why(word, says):
    made = planned("algo=grpo,gapo_grpo", *word.split(), "seed=0,1")
    assert made.counts == {Action.INVALID: len(made.runs)}
    assert says in shown(made)


def test_unknown_words_and_wrong_values_are_told_at_once():
    (run,) = planned("nosuch=1", "tua=0.5", "tau=3", "reward=/nofile.py:f", "seed=0").runs
    told = [line.partition(": ")[0] for line in run.why.splitlines()]
    assert told == ["nosuch", "tua", "tau=3", "reward=/nofile.py:f"]
    (run,) = planned("data=nosuch", "tau=3", "seed=0").runs
    assert [line.partition(": ")[0] for line in run.why.splitlines()] == ["data=nosuch", "tau=3"]


def test_a_cell_that_is_several_runs_is_told_with_what_else_is_wrong():
    words = ["algo=grpo,dapo", "tau=0.1,0.5", "data=nosuch"]
    (run,) = plan.draft([(*words, "seed=0")])
    assert [line.partition(": ")[0] for line in run.why.splitlines()] == words


def test_all_that_must_be_given_is_named():
    (run,) = planned("data=parquet", "seed=0").runs
    assert [line.partition(" ")[0] for line in run.why.splitlines()] == ["data.train", "data.id", "data=parquet:"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (  # of one rule
            "keep=foo; trainer.max_actor_ckpt_to_keep=0; reward.timeout=0; metric=foo",
            ["metric=foo", "reward.timeout=0", "keep=foo", "trainer.max_actor_ckpt_to_keep=0"],
        ),
        ("cluster=slurm; cluster.setup=module; cluster.container=x", ["setup=module", "container=x"]),
        ("reward=unit_tests; reward.sandbox.seconds=0; reward.sandbox.processes=1.5", ["seconds=0", "processes=1.5"]),
        # beside what must be given
        ("data=parquet; keep=foo; tau=3", ["data.train must", "data.id must", "tau=3", "data=parquet", "keep=foo"]),
        (  # of several sets
            "data=parquet; reward=gsm8k; data.train=no.jsonl; data.id=no.parquet; data.ood={x: no.csv}",
            ["data.train=no.jsonl", "data.id=no.parquet", "data.ood.x=no.csv"],
        ),
        # beside what is the user's own and not there
        ("model=/nofolder; tau=3; algo=nosuch", ["algo=nosuch", "model=/nofolder", "tau=3"]),
        # several things of one key
        ("claims=[grpo over dapo on acc,dapo over grpo on em]", ["claims: grpo over dapo", "claims: dapo over grpo"]),
    ],
)
def test_all_faults_of_a_command_are_told_at_once(words, told):
    for run in plan.draft([(*words.split("; "), "seed=0"), (*words.split("; "), "seed=1")], composer()):
        lines = run.why.splitlines()
        assert len(lines) == len(told) and all(one in line for one, line in zip(told, lines, strict=True)), run.why


def test_cells_that_differ_in_a_setting_of_verls_are_told_apart():
    made = planned("algo=grpo", "actor_rollout_ref.actor.optim.lr=1e-5,1e-4", "seed=0")
    assert totals(made).startswith("2 runs in 2 cells: 2 run")
    assert len({run.name for run in made.runs}) == 2 and all(" lr=" in run.name for run in made.runs)


def test_what_one_of_a_cells_runs_goes_on_from_is_not_said_of_all():
    runs = planned("algo=grpo", "seed=0,1,2").runs
    key = runs[0].spec.key
    made = plan.Plan(runs).decided({key: RunStatus(State.INTERRUPTED, attempt=1, step=23, resumes_from=20)})
    assert "run (1 of them: resumes from step 20)" in shown(made)
    assert "starts anew" in decide(RunStatus(State.INTERRUPTED, attempt=1, step=9))[1]
    assert decide(RunStatus(State.INTERRUPTED))[1] == ""


def test_the_totals_are_one_line():
    made = planned("model=qwen_coder_7b", "cluster=slurm", "algo=grpo,gapo_grpo", "tau=0.1,0.5")
    assert totals(made).startswith("15 runs in 3 cells: 15 run | ")
    assert "GPU-hours (estimated)" in totals(made)
    assert made.gpu_hours() == pytest.approx(sum(8 * run.seconds for run in made.runs) / 3600)


def test_a_finished_run_of_the_same_shape_sets_the_price(tmp_path):
    (run,) = planned("seed=0", "algo=grpo").runs
    folder = RunFolder.open(tmp_path, run.spec.key, run.spec.as_dict())
    folder.write_summary({"wall_seconds": 1234.0})
    priced = planned("seed=0,1", "algo=grpo,gapo_grpo", measured=executor.measured(tmp_path))
    # grpo has a reference model, gapo_grpo the same: all four take as long
    assert [(r.seconds, r.measured) for r in priced.runs] == [(1234.0, True)] * 4


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("more", [["cluster=slurm", "data=micro"], ["scale=nano"], ["scale=rehearsal", "cluster=dev"]])
def test_every_sweep_plans(name, more):
    conf = compose_run([f"+sweep={name}"], hydra=True).hydra.sweeper
    cells = make_cells([f"+sweep={name}", *more], conf.params, conf.instead, conf.also)
    made = plan.make(plan.draft(cells, composer()))
    assert made.counts.keys() == {Action.RUN}, shown(made)
    assert {run.spec.study for run in made.runs} == {name.removesuffix("_quick")}
    if more == ["scale=nano"]:
        assert {run.spec.model for run in made.runs} <= {"nano", "nano_large"}


def of_sweep(name: str, *words: str) -> plan.Plan:
    conf = compose_run([f"+sweep={name}"], hydra=True).hydra.sweeper
    return plan.make(
        plan.draft(make_cells([f"+sweep={name}", *words], conf.params, conf.instead, conf.also), composer())
    )


@pytest.mark.slow
def test_the_paper_in_miniature_has_every_axis_and_each_run_once():
    made = of_sweep("paper")
    specs = [run.spec for run in made.runs]
    assert len({spec.key for spec in specs}) == len(specs) == (2 * 11 + 4 + 8) * 5
    assert {spec.tau for spec in specs if spec.algo == "gapo_dapo"} == {0.1, 0.5, 0.9}
    assert {spec.noise for spec in specs if spec.algo == "grpo"} == {0, 0.1, 0.2}
    assert [spec.seed for spec in specs] == sorted(spec.seed for spec in specs)
    some = [run.spec.seed for run in of_sweep("paper", "seed=3,1").runs]
    assert some == [3] * (len(some) // 2) + [1] * (len(some) // 2)
    assert "3 runs at a time (estimated), no GPU" in totals(made)
    assert {run.spec.key for run in of_sweep("paper_quick").runs} < {spec.key for spec in specs}
    # a word holds for all of its grids
    assert {run.spec.seed for run in of_sweep("paper", "seed=7").runs} == {7}
    assert {run.spec.algo for run in of_sweep("paper", "algo=grpo").runs} == {"grpo"}


def test_two_sweeps_share_runs():
    words = ("model=qwen3_4b", "algo=grpo", "cluster=slurm", "data=micro")
    table2, table4 = ({run.spec.key for run in planned(f"+sweep={name}", *words).runs} for name in ("table2", "table4"))
    assert table2 == table4


@pytest.fixture
def mined(tmp_path, monkeypatch) -> Path:
    """A working folder with mined edits in data/mined."""
    (tmp_path / "data" / "mined").mkdir(parents=True)
    about = {"digest": "0123456789abcdef", "rows": {"train": 51_844, "id": 3_897}}
    (tmp_path / "data" / "mined" / "about.json").write_text(json.dumps(about))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "mined"


BIG = ("model=qwen_coder_7b", "algo=gapo_dapo", "tau=0.1", "seed=0", "cluster=slurm")


def test_a_large_model_trains_on_mined_edits_where_they_are(mined):
    own, asked = planned(*BIG).runs[0], planned(*BIG, "data=git", "data.path=data/mined").runs[0]
    assert own.spec.data == "git" and own.spec.key == asked.spec.key and "data=mined" in own.words
    assert planned(*BIG, "data=micro").runs[0].spec.data == "micro"
    # a word that only generated edits have
    assert planned(*BIG, "data.train_size=1024").runs[0].spec.data == "micro"
    assert planned("model=nano", "seed=0").runs[0].spec.data == "micro"
    assert shown(planned(*BIG)).startswith("note trains on the mined edits in data/mined")


def test_a_site_says_where_its_mined_edits_are(mined, tmp_path):
    mined.rename(tmp_path / "elsewhere")
    (run,) = planned(*BIG, "mined=elsewhere").runs
    assert run.settings["data.path"] == "elsewhere"
    assert run.spec.key == planned(*BIG, "data=git", "data.path=elsewhere").runs[0].spec.key


def test_without_mined_edits_a_large_model_trains_on_generated_ones_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = planned(*BIG)
    assert made.runs[0].words[-1] == "data=micro"  # a retry trains on the same, also when some are mined later
    assert "python -m gapo_lab.data mine REPO... --out data/mined" in shown(made).splitlines()[0]
    conf = compose_run(["+sweep=table2"], hydra=True).hydra.sweeper
    cells = make_cells(["+sweep=table2", "cluster=slurm", "seed=0"], conf.params, conf.instead, conf.also)
    refused = plan.make(plan.draft(cells[:2], composer()))
    assert refused.counts == {Action.INVALID: 2}
    assert "data/mined: no mined data here" in refused.runs[0].why and "data=micro" in refused.runs[0].why


def test_a_folder_written_by_hand_is_invalid_and_left_alone(tmp_path):
    (run,) = planned("seed=0").runs
    (tmp_path / run.spec.key).mkdir()
    (tmp_path / run.spec.key / "notes.txt").write_text("mine")
    found = run_states.read(tmp_path, [run.spec.key])
    assert decide(found[run.spec.key])[0] == Action.INVALID
    (tmp_path / run.spec.key / "spec.yaml").write_text("cut: [sho")
    with pytest.raises(UserError, match="move the folder away"):
        RunFolder.open(tmp_path, run.spec.key, run.spec.as_dict())


@pytest.mark.parametrize(
    ("name", "text"), [("summary.json", "{"), ("summary.json", '{"best/id/em": "high"}'), ("spec.yaml", "")]
)
def test_a_result_that_cannot_be_read_is_no_result(tmp_path, name, text):
    folder = RunFolder.open(tmp_path, "k", {"model": "nano"})
    folder.write_summary({"best/id/em": 0.5})
    assert decide(run_states.read(tmp_path, ["k"])["k"])[0] == Action.SKIP
    (folder.path / name).write_text(text)
    action, why = decide(run_states.read(tmp_path, ["k"])["k"])
    assert action == Action.INVALID and name in why and "move the f" in why.lower()


def test_a_submitter_killed_while_it_made_a_folder_has_left_nothing_to_mend(tmp_path):
    (run,) = planned("seed=0").runs
    (tmp_path / run.spec.key).mkdir()
    (tmp_path / run.spec.key / ".spec.yaml.chd3m2en").write_text("cut sho")
    assert decide(run_states.read(tmp_path, [run.spec.key])[run.spec.key])[0] == Action.RUN


def test_a_value_that_is_refused_is_not_asked_for():
    (run,) = plan.draft([("data=parquet", "data.train=a,b", "data.id=none.jsonl", "reward=none.py")])
    lines = run.why.splitlines()
    assert lines[0].startswith("data.train=a,b: several values are a sweep") and "no such file" in run.why
    assert not any("must be given" in line for line in lines)
