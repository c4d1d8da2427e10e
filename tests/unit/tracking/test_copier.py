import math
import multiprocessing

import pytest
from copied_runs import PROVENANCE, SPEC, everything, finish, make, table, train

from gapo_lab.errors import UserError
from gapo_lab.runs import naming
from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking import copier, mapping, mlflow_client
from gapo_lab.tracking.copy_runs import copy_all

pytestmark = pytest.mark.slow  # a real MLflow


def history(database, run_id, name="train/reward"):
    return table(database, f"SELECT step, value FROM metrics WHERE run_uuid='{run_id}' AND key='{name}' ORDER BY step")


def test_a_new_database_is_in_wal_mode(database):
    assert table(database, "PRAGMA journal_mode") == [("wal",)]


def test_what_mlflow_shows_of_a_run(tmp_path, database):
    folder = make(tmp_path)
    train(folder, range(4))
    finish(folder)
    run_id = copier.copy(folder, database)
    client = mlflow_client.connect(database)
    run = client.get_run(run_id)
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert client.get_experiment(run.info.experiment_id).name == "table2"
    assert (run.info.run_name, parent.info.run_name) == (
        "nano gapo_grpo tau=0.5 seed=0",
        "nano gapo_grpo tau=0.5",
    )
    assert run.info.status == "FINISHED" and run.info.start_time == 1_000_000
    assert run.data.params == {
        "key": "run0",
        "model": "nano",
        "algo": "gapo_grpo",
        "tau": "0.5",
        "seed": "0",
        "data": "micro",
        "scale": "nano",
        "backend": "cpu",
        "noise": "0",
        "lr": "1e-05",
        "prompts": "32",
    }
    assert run.data.metrics["best/id/em"] == 0.03 and run.data.metrics["best/id/step"] == 3
    assert math.isnan(run.data.metrics["odd_at_name/x"])
    assert run.data.tags["mlflow.source.git.commit"] == PROVENANCE.origin.git.commit
    assert run.data.tags["mlflow.note.content"].startswith(
        "`python -m gapo_lab.run model=nano algo=gapo_grpo tau=0.5 seed=0 data=micro scale=nano "
        "trainer.total_training_steps=60`"
    )
    shown = {f.path for f in client.list_artifacts(run_id)}
    assert shown == {
        "spec.yaml",
        "config.yaml",
        "provenance.json",
        "summary.json",
        "diff.patch",
        "train.log",
        "generations",
    }
    assert history(database, run_id) == [(step, 0.5) for step in range(4)]


def test_a_cell_of_before_goes_on_under_its_name_of_today(tmp_path, database):
    """A parent run with the id and name of before gets the new seed, and its older runs the new id."""
    old = make(tmp_path)
    run_id = copier.copy(old, database)
    client = mlflow_client.connect(database)
    parent = client.get_run(client.get_run(run_id).data.tags["mlflow.parentRunId"]).info.run_id
    spec = old.spec
    for run in (run_id, parent):
        client.set_tag(run, "gapo.cell", mapping.old_cell_id(spec))
    new = make(tmp_path, 1, differs={"lr": 1e-5})
    found = client.get_run(copier.copy(new, database))
    assert found.data.tags["mlflow.parentRunId"] == parent
    assert {client.get_run(run).data.tags["gapo.cell"] for run in (run_id, parent)} == {naming.cell_id(spec)}
    assert client.get_run(parent).info.run_name == naming.cell_name(new.spec) == "nano gapo_grpo tau=0.5 lr=1e-5"
    assert found.info.run_name == "nano gapo_grpo tau=0.5 lr=1e-5 seed=1"
    client.update_run(parent, name="mine")
    copier.copy(new, database)
    assert client.get_run(parent).info.run_name == "mine"


def test_copying_again_changes_nothing(tmp_path, database):
    folder = make(tmp_path)
    train(folder, range(3))
    first = copier.copy(folder, database)
    train(folder, range(3, 5))
    finish(folder)
    assert copier.copy(folder, database) == first
    once = everything(database)
    assert copier.copy(folder, database) == first
    assert everything(database) == once and len(history(database, first)) == 5


def test_a_resumed_attempt_replaces_the_steps_it_gave_up(tmp_path, database):
    folder = make(tmp_path)
    train(folder, range(6), reward=0.1)
    before = copier.copy(folder, database)
    client = mlflow_client.connect(database)
    client.set_tag(before, "mine", "kept")
    folder.start_attempt()
    train(folder, range(3, 5), reward=0.9, start=2000.0)
    after = copier.copy(folder, database)
    assert history(database, after) == [(0, 0.1), (1, 0.1), (2, 0.1), (3, 0.9), (4, 0.9)]
    assert client.get_run(before).info.lifecycle_stage == "deleted"
    assert client.get_run(after).data.tags["mine"] == "kept"
    train(folder, [5], reward=0.9, start=2000.0)
    assert copier.copy(folder, database) == after
    assert history(database, after)[-1] == (5, 0.9) and len(history(database, after)) == 6


def test_a_resumed_attempt_that_gave_up_nothing_goes_on_in_the_same_run(tmp_path, database):
    folder = make(tmp_path)
    train(folder, range(3))
    first = copier.copy(folder, database)
    folder.start_attempt()
    train(folder, range(3, 5), start=2000.0)
    assert copier.copy(folder, database) == first and len(history(database, first)) == 5


def test_a_copier_that_follows_compares_only_once_and_misses_nothing(tmp_path, database, monkeypatch):
    folder = make(tmp_path)
    train(folder, range(2))
    one, compared, real = copier.Copier(folder, database), [], mapping.samples
    run_id = one.everything()
    monkeypatch.setattr(mapping, "samples", lambda *args: compared.append(args) or real(*args))
    for step in range(2, 6):
        train(folder, [step])
        assert one.points() == run_id == one.points()
    assert not compared
    assert history(database, run_id) == [(step, 0.5) for step in range(6)]
    # what it has marked as sent is what a copier that compares everything finds
    before = everything(database)
    assert copier.Copier(folder, database).points() == run_id and everything(database) == before and compared


def test_a_copier_that_follows_sees_steps_that_were_given_up_and_other_copiers(tmp_path, database):
    folder = make(tmp_path)
    train(folder, range(4), reward=0.1)
    one = copier.Copier(folder, database)
    first = one.points()
    train(folder, [4], reward=0.1)
    assert copier.copy(folder, database) == first  # another one, meanwhile
    train(folder, [5], reward=0.1)
    assert one.points() == first and history(database, first) == [(step, 0.1) for step in range(6)]
    folder.start_attempt()
    assert one.points() == first
    train(folder, range(3, 5), reward=0.9, start=2000.0)
    after = one.points()
    assert after != first and history(database, after) == [(0, 0.1), (1, 0.1), (2, 0.1), (3, 0.9), (4, 0.9)]
    mlflow_client.connect(database).delete_run(after)
    train(folder, [5], reward=0.9, start=2000.0)
    again = one.points()
    assert again != after and len(history(database, again)) == 6


def test_a_copy_that_was_cut_off_is_made_good(tmp_path, database, monkeypatch):
    folder = make(tmp_path)
    train(folder, range(4))
    monkeypatch.setattr(copier, "BATCH", 5)
    one = copier.Copier(folder, database)
    batches = one.client.log_batch

    def fails_at_the_second(run_id, metrics=(), **rest):
        batches(run_id, metrics=metrics, **rest)
        if metrics:
            raise ConnectionError("away")

    monkeypatch.setattr(one.client, "log_batch", fails_at_the_second)
    with pytest.raises(ConnectionError):
        one.everything()
    run_id = copier.copy(folder, database)
    assert history(database, run_id) == [(step, 0.5) for step in range(4)]


def test_seeds_share_a_cell_and_other_data_do_not(tmp_path, database):
    mined = {"data": "git", "science": SPEC["science"] | {"data.content": "5f2c"}}
    folders = [make(tmp_path, 0), make(tmp_path, 1), make(tmp_path, 2, **mined)]
    ids = copy_all(folders, database).values()
    client = mlflow_client.connect(database)
    cells = [client.get_run(i).data.tags["mlflow.parentRunId"] for i in ids]
    assert cells[0] == cells[1] != cells[2]
    assert len(client.search_runs([client.get_run(cells[0]).info.experiment_id])) == 5


def test_a_cell_carries_the_means_of_its_finished_trials(tmp_path, database):
    folders = [make(tmp_path, seed) for seed in range(3)]
    for seed, folder in enumerate(folders):
        train(folder, [0, 10 * (seed + 1)])
    finish(folders[0])
    finish(folders[1])
    for _ in range(2):  # the second copy adds nothing
        copy_all(folders, database)
    ((cell,),) = table(database, "SELECT run_uuid FROM tags WHERE key='gapo.is_cell'")
    assert history(database, cell, "seeds") == [(1, 1.0), (2, 2.0)]
    assert history(database, cell, "final/id/em") == [(1, 0.1), (2, pytest.approx(0.15))]
    finish(folders[2])
    copy_all(folders, database)
    assert history(database, cell, "best/id/em")[-1] == (3, pytest.approx(0.2))


def test_changed_parameters_are_said_and_lose_nothing(tmp_path, database, caplog, monkeypatch):
    # a library that another test of this process has used may have turned loggers off
    monkeypatch.setattr(copier.log, "disabled", False)
    caplog.set_level("WARNING", logger=copier.log.name)
    folder = make(tmp_path)
    run_id = copier.copy(folder, database)
    text = (folder.path / "spec.yaml").read_text()
    (folder.path / "spec.yaml").write_text(text.replace("backend: cpu", "backend: vllm"))
    train(folder, range(2))
    assert copier.copy(folder, database) == run_id
    run = mlflow_client.connect(database).get_run(run_id)
    assert run.data.params["backend"] == "cpu" and run.data.tags["gapo.now.backend"] == "vllm"
    assert "MLflow holds backend=cpu" in caplog.text and len(history(database, run_id)) == 2


def test_failed_and_interrupted_runs_say_so(tmp_path, database):
    folder = make(tmp_path)
    folder.write_status(state="failed", message="the disk is full", remedy="free some space")
    run = mlflow_client.connect(database).get_run(copier.copy(folder, database))
    assert run.info.status == "FAILED" and "the disk is full free some space" in run.data.tags["mlflow.note.content"]


def test_one_broken_folder_does_not_keep_the_others_out(tmp_path, database):
    good, bad = make(tmp_path, 0), make(tmp_path, 1)
    train(good, range(2))
    (bad.path / "attempts/1/metrics.jsonl").write_text("rubbish\n")
    out = copy_all([bad, good], database)
    assert isinstance(out[bad.path], UserError) and isinstance(out[good.path], str)


def copy_in_a_process(path, database):
    copier.copy(RunFolder(path), database)


def test_many_copiers_at_once(tmp_path, database):
    """Two runs of one cell, each copied by two processes at the same time."""
    folders = [make(tmp_path, 0), make(tmp_path, 1)]
    for folder in folders:
        train(folder, range(5))
    context = multiprocessing.get_context("fork")  # spares four imports of mlflow
    work = [context.Process(target=copy_in_a_process, args=(f.path, database)) for f in folders * 2]
    [process.start() for process in work]
    [process.join() for process in work]
    assert [process.exitcode for process in work] == [0] * 4
    names = [name for (name,) in table(database, "SELECT name FROM runs ORDER BY name")]
    assert names == [
        "nano gapo_grpo tau=0.5",
        "nano gapo_grpo tau=0.5 seed=0",
        "nano gapo_grpo tau=0.5 seed=1",
    ]
    assert table(database, "SELECT COUNT(*) FROM metrics") == [(2 * 5 * 3,)]


def test_a_deleted_study_is_said(tmp_path, database):
    folder = make(tmp_path)
    client = mlflow_client.connect(database)
    client.delete_experiment(mlflow_client.experiment(client, database, "table2"))
    with pytest.raises(UserError, match="study table2 is deleted in MLflow"):
        copier.copy(folder, database)
