"""What MLflow is told, without MLflow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.metrics import Row
from gapo_lab.runs.naming import cell_id, run_name
from gapo_lab.runs.provenance import Provenance
from gapo_lab.runs.status import NEW, Cause, RunStatus, State
from gapo_lab.tracking import artifacts, mapping, mlflow_client, uri

SPEC = {
    "study": "table2",
    "model": "nano",
    "algo": "gapo_grpo",
    "tau": 0.5,
    "seed": 0,
    "data": "micro",
    "scale": "nano",
    "science": {"actor_rollout_ref.actor.optim.lr": 1e-05},
    "key": "run0",
}
ROWS = st.lists(
    st.builds(
        Row,
        st.integers(0, 5),
        st.integers(0, 5).map(float),
        st.dictionaries(st.sampled_from("ab"), st.sampled_from([0.0, 1.0, math.nan])),
    ),
    max_size=5,
)


@given(st.lists(ROWS, min_size=1, max_size=3), st.data())
def test_what_was_sent_is_known_from_the_mark_alone(rows, data):
    attempts = dict(enumerate(rows, 1))
    before = {n: r[: data.draw(st.integers(0, len(r)))] for n, r in attempts.items()}
    mark, points = mapping.to_send(before, None)
    assert mapping.sent(mapping.Copied.from_text(mark.to_text()), attempts, None) == points
    assert mapping.sent(mapping.Copied.from_text(None), attempts, {"a": 1.0}) == set()


@given(ROWS, st.lists(st.dictionaries(st.sampled_from("ab"), st.sampled_from([0.0, math.nan])), max_size=4))
def test_a_mark_that_has_grown_is_the_mark_of_all(before, more):
    attempts = {1: [], 2: before}
    new = [Row(10 + number, 9.0, values) for number, values in enumerate(more)]
    mark, points = mapping.to_send(attempts, None)
    grown, added = mark.grown(2, new)
    assert (grown, points | added) == mapping.to_send({1: [], 2: before + new}, None) and not points & added


def test_a_mark_of_an_earlier_version_is_understood():
    attempts = {1: [Row(1, 1.0, {"a": 1.0, "b": 2.0})]}
    _, points = mapping.to_send(attempts, None)
    old = mapping.Copied({1: 1}, False, mapping.digest(sorted(points)))
    assert mapping.sent(old, attempts, None) == points
    assert mapping.sent(old, {1: [Row(1, 1.0, {"a": 1.5, "b": 2.0})]}, None) is None


def test_a_changed_row_is_noticed():
    mark, _ = mapping.to_send({1: [Row(1, 1.0, {"a": 1.0})]}, {"best": 1.0})
    assert mapping.sent(mark, {1: [Row(1, 1.0, {"a": 2.0})]}, {"best": 1.0}) is None
    assert mapping.sent(mark, {1: [Row(1, 1.0, {"a": 1.0})]}, {"best": 2.0}) is None
    assert mapping.sent(mark, {}, None) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("val/id/em", "val/id/em"),
        ("val-aux/id/em/best@4/mean", "val-aux/id/em/best_at_4/mean"),
        ("a(b)%", "a_b__"),
    ],
)
def test_metric_names_as_mlflow_takes_them(name, shown):
    assert mapping.metric_name(name) == shown


def test_a_cell_is_the_same_for_every_seed():
    tags = mapping.tags(SPEC | {"seed": 4, "key": "x", "study": "other"}, Provenance(), NEW)
    assert tags["gapo.cell"] == mapping.tags(SPEC, Provenance(), NEW)["gapo.cell"] == cell_id(SPEC)
    other_tasks = SPEC | {"science": SPEC["science"] | {"data.generator_seed": 4}}
    assert cell_id(other_tasks) != cell_id(SPEC)
    # a name is no identity: the science has what a method or a tau decides
    assert cell_id(SPEC | {"tau": 0.9, "algo": "mine", "scale": "other"}) == cell_id(SPEC)
    assert run_name(SPEC | {"tau": None, "algo": "grpo"}) == "nano grpo seed=0"


def test_a_tag_has_the_cause_of_an_end_and_none_after_it():
    failed = RunStatus(State.FAILED, Cause.OUT_OF_MEMORY, "killed by signal 9")
    assert mapping.tags(SPEC, Provenance(), failed)["gapo.cause"] == "out of memory"
    assert mapping.tags(SPEC, Provenance(), RunStatus(State.RUNNING))["gapo.cause"] == ""
    assert "gapo.cause" not in mapping.tags(SPEC, Provenance(), NEW)


def test_parameters_have_what_differs_and_the_models_own_name():
    spec = SPEC | {"differs": {"lr": 1e-5, "test_freq": 7, "greedy": False}, "weights": "mymodel"}
    found = mapping.params(spec)
    assert (found["model"], found["lr"], found["test_freq"], found["greedy"]) == (
        "mymodel",
        "1e-05",
        "7",
        "False",
    )
    assert mapping.cell_params(spec) == {k: v for k, v in found.items() if k not in ("seed", "key")}
    assert (
        mapping.tags(spec, Provenance(), NEW)["gapo.cell_name"]
        == "mymodel gapo_grpo tau=0.5 lr=1e-5 test_freq=7 greedy=false"
    )
    assert "model=nano" in mapping.note(spec, Provenance(), NEW)


def test_sample_generations_are_the_first_and_the_last_of_each_folder(tmp_path):
    folder = RunFolder.open(tmp_path, "run0", SPEC)
    (folder.start_attempt().generations / "0.jsonl").write_text("x\n")
    folder.start_attempt()
    for attempt, steps in zip(folder.attempts(), ((0, 2, 10), (10, 12)), strict=True):
        for step in steps:
            path = attempt.generations / "val" / f"{step}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{step} of {attempt.number}\n" * 100)
    found = artifacts.collect(folder)
    assert {n for n in found if n.startswith("generations/")} == {
        "generations/0.jsonl",
        "generations/val/0.jsonl",
        "generations/val/12.jsonl",
    }
    assert found["generations/val/12.jsonl"] == "12 of 2\n" * artifacts.SAMPLES


def test_addresses(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert uri.resolve() == "sqlite:///mlflow.db" and uri.sqlite_path(uri.resolve()) == tmp_path / "mlflow.db"
    assert uri.sqlite_path("sqlite:////data/x.db?a=b").as_posix() == "/data/x.db"
    assert uri.how_to_open("sqlite:///mlflow.db").endswith("-m gapo_lab ui\nhttp://127.0.0.1:5000")
    assert "ui --uri sqlite:///a.db\n" in uri.how_to_open("sqlite:///a.db")
    assert uri.sqlite_path("http://host") is None and uri.how_to_open("http://host") == "http://host"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert uri.resolve() == "http://host:5000" and uri.resolve("sqlite:///a.db") == "sqlite:///a.db"


@pytest.mark.parametrize("address", ["./mlruns", "file:///tmp/mlruns", "mlruns"])
def test_a_folder_is_no_address(address):
    with pytest.raises(UserError, match="is a folder, which MLflow no longer writes to"):
        mlflow_client.connect(address)
