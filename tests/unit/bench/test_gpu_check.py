"""The GPU check without runs: its conductor, its table, the words of its runs, what it reads from metrics."""

from __future__ import annotations

import json
import math
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from lab import REPO

from bench.gpu import __main__ as check
from bench.gpu import curves, environment, training
from bench.gpu.conductor import Stage, conduct
from bench.gpu.findings import DONE, FAILED, LATE, NOT_RUN, Ending, Finding, Notebook, conclusion, is_well, table
from bench.gpu.form import Form
from bench.gpu.large import SHAPES, make_model
from gapo_lab.planning.plan import Action
from gapo_lab.planning.validation import VLLM_CPU_HEADS
from gapo_lab.runs.folder import RunFolder


def script(name, text, limit=60.0):
    return Stage(name, limit, (sys.executable, "-c", text))


def endings(out):
    return {line.stage: line for line in Notebook(out).read() if isinstance(line, Ending)}


def test_a_stage_that_fails_or_is_late_stops_no_other(tmp_path):
    note = f"from bench.gpu.findings import Notebook; Notebook({str(tmp_path)!r}, 'late').found('before', 1); "
    stages = [
        script("failing", "raise SystemExit('it broke')"),
        script("late", note + "import time; time.sleep(600)", limit=8),
        script("well", "print('fine')"),
    ]
    seen = []
    conduct([stages[:2], stages[2:]], tmp_path, 120, seen.append)
    ended = endings(tmp_path)
    assert {name: each.ended for name, each in ended.items()} == {"failing": FAILED, "late": LATE, "well": DONE}
    assert ended["failing"].why == "exit code 1: it broke" and "its limit is 8 s" in ended["late"].why
    assert [each.stage for each in seen] == list(ended)
    assert (tmp_path / "well.log").read_text() == "fine\n"
    found = [line for line in Notebook(tmp_path).read() if isinstance(line, Finding)]
    assert [(line.stage, line.what, line.value) for line in found] == [("late", "before", "1")]
    assert not is_well(Notebook(tmp_path).read(), ["well", "late"])


def test_a_stage_whose_turn_comes_too_late_is_not_run(tmp_path):
    conduct([[script("long", "import time; time.sleep(600)")], [script("next", "")]], tmp_path, 1.0)
    ended = endings(tmp_path)
    assert ended["long"].ended == LATE and ended["next"].ended == NOT_RUN
    assert "| next | how the stage ended | not run: no time was left | done | NOT OK |" in table(
        Notebook(tmp_path).read(), ["next"]
    )


def test_nothing_that_a_late_stage_has_started_is_left(tmp_path):
    """Also a grandchild in a session of its own, whose parent has ended and which is deaf to SIGTERM."""
    deaf = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    text = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {deaf!r}], start_new_session=True)\n"
        "time.sleep(600)"
    )
    conduct([[script("late", text, limit=4.0)]], tmp_path, 120)
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_table_holds_what_was_found_in_order_and_is_well_only_then(tmp_path):
    notebook = Notebook(tmp_path, "one")
    notebook.found("a|b", 0.123456, "at most 1", True)
    notebook.found("seen", "x")
    notebook.write(Ending("one", DONE, 12.4))
    lines = notebook.read()
    assert table(lines, ["one"]).splitlines()[2:] == [
        "| one | a\\|b | 0.123 | at most 1 | ok |",
        "| one | seen | x |  |  |",
        "| one | how the stage ended | done after 12 s | done | ok |",
    ]
    assert is_well(lines, ["one"]) and not is_well(lines, ["one", "two"])
    assert conclusion(lines, ["one"]) == "all 2 findings are as expected"
    notebook.found("worse", 2, "1", False)
    assert conclusion(notebook.read(), ["one", "two"]) == (
        "2 of 4 findings are not as expected:\n  one: worse: 2 (expected: 1)\n"
        "  two: how the stage ended: not run (expected: done)"
    )
    assert not is_well(notebook.read(), ["one"])
    assert all(json.loads(line) for line in notebook.path.read_text().splitlines())


@pytest.mark.slow  # makes a model
@pytest.mark.parametrize("backend", ["vllm", "vllm_cpu", "cpu"])
def test_every_run_of_both_forms_is_valid_and_the_twins_are_one_run(tmp_path, backend, monkeypatch):
    from gapo_lab.launch import executor
    from gapo_lab.planning import validation

    monkeypatch.setattr(validation, "has_gpu", lambda: backend == "vllm")
    monkeypatch.setattr(validation.metadata, "is_installed", lambda: True)
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "random_model"
    assert make_model(model, "cpu") > 100_000
    form = Form(out=tmp_path, work=tmp_path, backend=backend)
    planned = {name: executor.plan_of_one(words) for name, words in form.runs().items()}
    planned["large"] = executor.plan_of_one(form.large(model))
    assert {name: run.why for name, run in planned.items() if run.action is Action.INVALID} == {}
    assert planned["same"].key == planned["killed"].key
    keys = {run.key for name, run in planned.items() if name != "killed"}
    assert len(keys) == len(planned) - 1
    form.write()
    assert Form.read(tmp_path) == form


def test_on_a_gpu_the_slow_starts_go_side_by_side_and_fit_into_six_minutes(tmp_path):
    def names(backend, wanted=tuple(check.LIMITS)):
        form = Form(out=tmp_path, work=tmp_path, backend=backend)
        return [[stage.name for stage in group] for group in check.groups_of(form, wanted)]

    assert names("vllm") == [["environment"], ["estimators"], ["training", "large"]]
    assert names("cpu") == [["environment"], ["estimators"], ["training"], ["large"]]
    assert names("vllm", ("large",)) == [["large"]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "No GPU is here"),
        (["--cpu", "--stages", "environment,nothing"], "--stages nothing: there is no such stage"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(words, says, monkeypatch, capsys):
    monkeypatch.setattr(check, "has_gpu", lambda: False)
    assert check.main(words) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_vllm_gets_so_many_gib_of_whatever_card(monkeypatch):
    monkeypatch.setattr(check, "gpus", lambda: ["NVIDIA H200, 143771 MiB, 570.1"])
    assert check._gpu_gib() == pytest.approx(140.4, abs=0.1)
    words = Form(out=".", work=".", gpu_gib=160.0).runs()["gapo"]
    assert "actor_rollout_ref.rollout.gpu_memory_utilization=0.031" in words
    monkeypatch.setattr(check, "gpus", list)
    assert check._gpu_gib() == Form.gpu_gib


def test_results_are_never_written_over(tmp_path, capsys):
    Notebook(tmp_path, "x").found("y", 1)
    assert check.main(["--cpu", "--out", str(tmp_path)]) == 2
    assert "Name another folder" in capsys.readouterr().err


def test_the_cheap_stages_from_the_command_line(tmp_path, capsys):
    assert check.main(["--cpu", "--stages", "environment", "--out", str(tmp_path / "out")]) == 0
    assert "| environment | Python | 3." in (tmp_path / "out" / "table.md").read_text()
    said = capsys.readouterr().out
    assert "environment: done after" in said and said.endswith("\nthe one finding is as expected\n")


def test_bytecode_is_looked_for_beside_the_package():
    assert environment.is_compiled("psutil") in (True, False)
    assert not environment.is_compiled("there_is_no_such_package")


CURVE = {
    0: {"val/id/em": 0.5},
    1: {"timing_s/step": 9.0, "timing_s/adv": 3.0, "train/reward": 0.4, "actor/grad_norm": 1.0},
    2: {"timing_s/step": 2.0, "timing_s/adv": 0.1, "train/reward": 0.5, "actor/grad_norm": math.nan},
    3: {"timing_s/step": 4.0, "timing_s/adv": 0.4, "train/reward": 0.6, "actor/grad_norm": 1.0},
}


def test_pace_and_share_leave_the_first_step_out():
    assert curves.step_seconds(CURVE) == 3.0
    parts = curves.parts(CURVE)
    assert parts["advantages"] == pytest.approx((0.25, 0.075))
    assert sum(share for _, share in parts.values()) == pytest.approx(1)
    assert curves.parts({0: {"val/id/em": 1.0}}) == {}
    assert curves.step_seconds({1: CURVE[1]}) == 9.0 and curves.step_seconds({}) is None
    assert curves.values(CURVE, "train/reward") == [0.4, 0.5, 0.6]


def test_a_validation_tells_both_of_its_times():
    validated = {
        step: {"timing_s/expected": step + 1.0, "timing_s/testing": step + 10.0, "timing_s/step": 1.0}
        for step in (10, 20, 30)
    }
    untimed = {0: {"val/id/em": 0.2}, 40: {"timing_s/expected": 99.0}}
    assert curves.validation_seconds(validated | untimed) == (21.0, 30.0)
    assert curves.validation_seconds(untimed) is None


def test_the_first_difference_is_named_and_clocks_are_none():
    slower = {step: {**at, "timing_s/step": time.time()} for step, at in CURVE.items()}
    same = curves.science(CURVE), curves.science(slower)
    assert curves.difference(*same, CURVE) == ""
    other = {**slower, 3: {**slower[3], "actor/grad_norm": 1.5}}
    assert curves.difference(curves.science(CURVE), curves.science(other), CURVE) == (
        "step 3: actor/grad_norm is 1 and 1.5"
    )
    answers = [curves.science(each, curves.ANSWERS) for each in (CURVE, other)]
    assert curves.difference(*answers, CURVE) == ""
    assert curves.difference(CURVE, {}, [1]) == "step 1 is missing"


def test_vllm_has_attention_for_the_large_models_heads_on_a_cpu():
    shape = SHAPES["cpu"]
    assert shape["hidden_size"] // shape["num_attention_heads"] in VLLM_CPU_HEADS


def told(tmp_path, name):
    """What the check writes down of a finished run."""
    folder = RunFolder.open(tmp_path, "0123456789", {"model": "nano"})
    attempt = folder.start_attempt()
    for step in (1, 2, 3):
        row = {"timing_s/step": 2.0, "timing_s/adv": 0.1, "train/reward": step / 10, "actor/grad_norm": 1.0}
        attempt.append_metrics(step, {**row, "training/rollout_probs_diff_max": 1e-6})
    run = SimpleNamespace(code=0, folder=folder, words=("trainer.total_training_steps=3",), began=0.0)
    form = Form(out=tmp_path, work=tmp_path, backend="vllm_cpu")
    training._tell(name, run, form, Notebook(tmp_path, "training"))
    return Notebook(tmp_path).read()


@pytest.mark.parametrize(
    ("name", "label"), [("same", "undisturbed run"), ("killed", "killed run"), ("gapo_dapo", "run of gapo_dapo")]
)
def test_a_row_says_of_which_run_it_is(tmp_path, name, label):
    found = told(tmp_path, name)
    assert found and all(one.what.startswith(f"{label}: ") for one in found)
    assert conclusion([*found, Ending("training", DONE)], ["training"]) == "all 4 findings are as expected"
    page = (REPO / "docs" / "bench.md").read_text()
    assert all(word in page for word in ("undisturbed run, killed run", "weights reach vLLM", "smallest gradient norm"))
    assert any(
        one.what == f"{label}: weights reach vLLM: its probabilities differ from the actor's by (max)" for one in found
    )
