"""A study's page in MLflow: all of its runs, one experiment `default`, views and a description that read well."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from copied_runs import everything, finish, make, table, train

from gapo_lab.tracking import copier, mlflow_client, study_page
from gapo_lab.tracking import uri as addresses
from gapo_lab.tracking.copy_runs import copy_all
from gapo_lab.tracking.study_page import NOTE

pytestmark = pytest.mark.slow  # a real MLflow


def share(root: Path, **studies: list[str]) -> None:
    (root / ".studies").mkdir(parents=True, exist_ok=True)
    for name, keys in studies.items():
        (root / ".studies" / f"{name}.json").write_text(json.dumps(keys))


def by_study(database):
    """{study: [(key, how many points)]} of the runs that trained."""
    rows = table(
        database,
        "SELECT e.name, t.value, (SELECT count(*) FROM metrics m WHERE m.run_uuid = r.run_uuid) FROM runs r JOIN "
        "experiments e USING (experiment_id) JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'gapo.key' "
        "WHERE r.lifecycle_stage = 'active' ORDER BY 1, 2",
    )
    return {study: [(key, points) for name, key, points in rows if name == study] for study, _, _ in rows}


def test_a_run_that_another_study_asked_for_first_is_on_both_pages(tmp_path, database):
    shared, own = make(tmp_path, 0), make(tmp_path, 1, study="mine", algo="grpo", science={"of": "grpo"})
    share(tmp_path / "runs", table2=["run0"], mine=["run0", "run1"])
    for folder in (shared, own):
        train(folder, range(3))
        copier.Copier(folder, database).points()
        finish(folder)
        copier.copy(folder, database)
    found = by_study(database)
    assert [key for key, _ in found["mine"]] == ["run0", "run1"] and [key for key, _ in found["table2"]] == ["run0"]
    assert found["mine"][0] == found["table2"][0] and found["mine"][0][1] > 9
    tags = table(database, "SELECT DISTINCT value FROM tags WHERE key = 'gapo.study' ORDER BY 1")
    assert tags == [("mine",), ("table2",)]
    # each page has the cell of the shared run, with its means
    cells = table(
        database,
        "SELECT e.name, r.name FROM runs r JOIN experiments e USING (experiment_id) JOIN tags t USING (run_uuid) "
        "JOIN latest_metrics m USING (run_uuid) WHERE t.key = 'gapo.is_cell' AND m.key = 'seeds' ORDER BY 1, 2",
    )
    assert cells == [
        ("mine", "nano gapo_grpo tau=0.5"),
        ("mine", "nano grpo tau=0.5"),
        ("table2", "nano gapo_grpo tau=0.5"),
    ]
    before = everything(database)
    copy_all([shared, own], database)
    assert everything(database) == before


def test_a_study_that_joins_later_gets_its_copy_and_one_that_was_deleted_does_not_come_back(tmp_path, database):
    folder = make(tmp_path)
    train(folder, range(2))
    finish(folder)
    copier.copy(folder, database)
    share(tmp_path / "runs", table2=["run0"], later=["run0"], gone=["run0"])
    client = mlflow_client.connect(database)
    client.delete_experiment(mlflow_client.experiment(client, database, "gone"))
    copier.copy(folder, database)
    found = by_study(database)
    assert set(found) == {"table2", "later"} and found["later"] == found["table2"]


def test_a_run_of_a_study_brings_the_finished_ones_that_it_shares(tmp_path, database):
    """A sweep skips what is finished already: nobody else would copy it to the new study's page."""
    theirs, waits, mine = (
        (make(tmp_path, seed) for seed in range(2)),
        make(tmp_path, 2),
        make(tmp_path, 3, study="mine"),
    )
    for folder in (done := [*theirs, mine]):
        train(folder, range(2))
        finish(folder)
    copy_all([*done, waits], database)
    share(tmp_path / "runs", table2=["run0", "run1", "run2"], mine=["run0", "run2", "run3"])
    copier.Copier(mine, database).shared()
    found = by_study(database)
    assert [key for key, _ in found["mine"]] == ["run0", "run3"] and len(found["table2"]) == 3


def test_there_is_one_experiment_default(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow_client.connect(uri)
    assert [one.name for one in client.search_experiments()] == ["default"]
    folder = make(tmp_path, study="default")
    train(folder, [1])
    run = client.get_run(copier.copy(folder, uri))
    assert [one.name for one in client.search_experiments()] == ["default"]
    assert run.info.artifact_uri.startswith((tmp_path / "mlartifacts" / "default").as_uri())
    assert (tmp_path / "mlartifacts" / "default" / run.info.run_id).is_dir()


@pytest.mark.parametrize("used", [False, True])
def test_the_default_of_an_older_database_goes_where_it_is_empty(tmp_path, used):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow_client.connect(uri)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as old, old:
        old.execute("UPDATE experiments SET name = 'Default' WHERE experiment_id = 0")
    if used:
        client.create_run("0")
    mlflow_client.experiment(client, uri, "default")
    names = sorted(one.name for one in client.search_experiments())
    assert names == (["Default", "default"] if used else ["default"])


def test_the_description_reads_well_as_it_is_written_and_leads_to_the_views(tmp_path, database):
    folder = make(tmp_path)
    train(folder, [1])
    copier.copy(folder, database)
    client = mlflow_client.connect(database)
    experiment = client.get_experiment_by_name("table2")
    first, *_ = experiment.tags[NOTE].splitlines()
    assert first.startswith("See [Runs], [Curves]. ") and "](" not in experiment.tags[NOTE]
    assert f"[Curves]: {study_page.curves_of(experiment.experiment_id)}" in experiment.tags[NOTE]
    for key, name in ((study_page.LIST, "Runs and settings"), (study_page.CURVES, "Curves by method")):
        view = json.loads(experiment.tags[study_page.SHARED + key])
        state = json.loads(view["state"])
        assert view["name"] == name and state["selectedColumns"][:3] == [
            "metrics.`best/id/em`",
            "metrics.`final/id/em`",
            "metrics.`seeds`",
        ]
    metrics = [chart["metricKey"] for chart in state["compareRunCharts"]]
    assert metrics[0] == "val/id/em" and "train/reward" in metrics and state["isAccordionReordered"]
    page = study_page.list_of(experiment.experiment_id)
    assert study_page.links(addresses.sqlite_path(database)) == {
        "table2": (page, study_page.curves_of(experiment.experiment_id))
    }
    # what a person writes stays
    client.set_experiment_tag(experiment.experiment_id, NOTE, "Ours. " + experiment.tags[NOTE])
    copier.copy(folder, database)
    assert client.get_experiment_by_name("table2").tags[NOTE].startswith("Ours. ")
    # what an older version wrote does not
    client.set_experiment_tag(experiment.experiment_id, NOTE, f"[Runs]({page}) with accuracy")
    copier.copy(folder, database)
    assert client.get_experiment_by_name("table2").tags[NOTE] == experiment.tags[NOTE]


def test_marks_of_an_older_version_are_taken_over_and_nothing_is_sent_again(tmp_path, database):
    folder = make(tmp_path)
    train(folder, range(3))
    finish(folder)
    run = copier.copy(folder, database)
    before = everything(database)
    with closing(sqlite3.connect(addresses.sqlite_path(database))) as old, old:
        old.execute("UPDATE tags SET key = substr(key, 8) WHERE key LIKE 'mlflow.gapo.%'")
        assert old.execute("SELECT count(*) FROM tags WHERE key = 'gapo.sent'").fetchone() == (1,)
    assert copier.copy(folder, database) == run
    assert everything(database) == before
