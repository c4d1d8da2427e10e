"""Many new runs go straight into MLflow's database: it holds what one copy after the other would have given it."""

from __future__ import annotations

import math
import multiprocessing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from copied_runs import SPEC, finish, make, train
from sqlalchemy import create_engine, text

from bench import postgresql
from gapo_lab.errors import UserError
from gapo_lab.runs import studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking import bulk_copy, copier, finished_runs, mlflow_client
from gapo_lab.tracking.copy_runs import copy_all
from gapo_lab.tracking.database import Database

pytestmark = pytest.mark.slow  # a real MLflow


def some_runs(tmp_path: Path) -> list[RunFolder]:
    """Runs of two cells and two studies: resumed, with values that databases do not know, with odd texts."""
    mined = {"data": "git", "science": SPEC["science"] | {"data.content": "5f2c"}}
    folders = [*(make(tmp_path, seed) for seed in range(4)), make(tmp_path, 4, **mined)]
    for seed, folder in enumerate(folders):
        train(folder, range(seed + 1), reward=(0.5, -0.0, math.nan, math.inf, -math.inf)[seed])
    folders[1].start_attempt()  # resumed: its first steps are those of the attempt before
    train(folders[1], range(1, 4), reward=0.25, start=2000.0)
    for folder in folders:
        finish(folder)
        folder.attempts()[-1].log_path.write_text('quotes " and \\N, a tab\t,\nlines ä\n')
    studies.remember(tmp_path / "runs", [("table2", folder.key) for folder in folders] + [("other study", "run0")])
    return folders


def contents(uri: str) -> dict[str, list]:
    """What a database holds of the runs, under names in place of its ids; of cells without times."""
    engine = create_engine(uri)
    with engine.connect() as connection:

        def rows(query: str) -> list[dict]:
            return [dict(row._mapping) for row in connection.execute(text(query))]

        tags = {(row["run_uuid"], row["key"]): row["value"] for row in rows("SELECT * FROM tags")}
        studies_of = {row["experiment_id"]: row["name"] for row in rows("SELECT * FROM experiments")}
        names = {}
        for run in rows("SELECT * FROM runs"):
            id = run["run_uuid"]
            what = tags.get((id, "gapo.key")) or f"cell {tags[id, 'gapo.cell']}"
            names[id] = f"{studies_of[run['experiment_id']]}: {what}"
        assert len(set(names.values())) == len(names)
        out = {}
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            found = []
            for row in rows(f"SELECT * FROM {table}"):
                name = names[row.pop("run_uuid")]
                if "cell " in name:
                    if table == "metrics":  # the means on the way: one for each run that was copied
                        continue
                    row = {k: v for k, v in row.items() if k not in ("start_time", "end_time", "timestamp")}
                if row.get("key") == "mlflow.parentRunId":
                    row["value"] = names[row["value"]]
                if "artifact_uri" in row:
                    row["artifact_uri"] = files_of(row["artifact_uri"])
                    row.pop("experiment_id")
                found.append((name, *sorted((k, repr(v)) for k, v in row.items())))  # NaN is not itself
            out[table] = sorted(found)
        out["experiments"] = sorted((row["name"], row["lifecycle_stage"]) for row in rows("SELECT * FROM experiments"))
        pages = "SELECT name, key, value FROM experiment_tags JOIN experiments USING (experiment_id)"
        out["pages"] = sorted(tuple(row.values()) for row in rows(pages))
    engine.dispose()
    return out


def files_of(place: str) -> dict[str, str]:
    folder = Path(unquote(urlsplit(place).path))
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_as_one_after_the_other(tmp_path, database, empty_mlflow, monkeypatch):
    folders = some_runs(tmp_path)
    for folder in folders:
        copier.copy(folder, database)
    (tmp_path / "many").mkdir()
    many = f"sqlite:///{tmp_path / 'many/mlflow.db'}"
    (tmp_path / "many/mlflow.db").write_bytes(Path(empty_mlflow).read_bytes())
    ids = bulk_copy.copy(folders, many, mlflow_client.connect(many))
    assert list(ids) == [folder.path for folder in folders]
    found, wanted = contents(many), contents(database)
    for table in wanted:
        assert set(found[table]) ^ set(wanted[table]) == set()
    assert found == wanted
    before = contents(many)
    assert list(copy_all(folders, many).values()) == list(ids.values())  # the next copy finds all of it there
    assert contents(many) == before


def test_many_are_read_in_a_process_of_their_own_and_it_ends_with_the_copy(tmp_path, database, monkeypatch):
    folders = some_runs(tmp_path)
    (folders[0].path / "attempts/1/metrics.jsonl").write_text("rubbish\n")

    def read() -> list[tuple]:
        found = [run for batch in finished_runs.read_all(folders) for run in batch]
        return [(run.folder.path, run.spec, run.tags, run.params, set(run.points), run.files) for run in found]

    here = read()
    monkeypatch.setattr(finished_runs, "BATCH", 2)
    monkeypatch.setattr(finished_runs, "MANY", 1)
    assert read() == here
    assert 0 < len(here) < len(folders) and not multiprocessing.active_children()
    cut_off = finished_runs.read_all(folders)
    next(cut_off)
    assert len(multiprocessing.active_children()) == 1
    cut_off.close()
    assert not multiprocessing.active_children()


def test_runs_of_which_the_reader_is_killed_are_read_here(tmp_path, database, monkeypatch):
    folders = some_runs(tmp_path)
    monkeypatch.setattr(finished_runs, "BATCH", 1)
    batches = finished_runs.read_all(folders)
    found = next(batches)
    (reader,) = multiprocessing.active_children()
    reader.kill()
    assert [run.key for run in [*found, *(run for batch in batches for run in batch)]] == [one.key for one in folders]


@pytest.mark.skipif(bool(postgresql.missing()), reason=f"missing: {postgresql.missing()}")
def test_the_same_in_postgresql(tmp_path, database, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = some_runs(tmp_path)
    with postgresql.server() as server:
        ids = bulk_copy.copy(folders, server, mlflow_client.connect(server))
        assert len(ids) == len(folders)
        assert copy_all(folders, server) == ids
        here = contents(server)
    copy_all(folders, database)
    there = contents(database)
    for table in ("tags", "params", "runs"):
        assert here[table] == there[table]
    for table in ("metrics", "latest_metrics"):
        assert list(map(as_sqlite, here[table])) == list(map(str, there[table]))


def as_sqlite(row: object) -> str:
    """A row of PostgreSQL's as SQLite has it, which knows neither false nor a negative zero."""
    return str(row).replace("'False'", "'0'").replace("'True'", "'1'").replace("'-0.0'", "'0.0'")


def test_a_batch_that_is_cut_off_leaves_nothing(tmp_path, database, monkeypatch):
    folders = some_runs(tmp_path)
    client = mlflow_client.connect(database)
    insert = Database._insert

    def cut_off(self, connection, table, rows):
        insert(self, connection, table, rows)
        if table == "metrics":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Database, "_insert", cut_off)
        with pytest.raises(KeyboardInterrupt):
            bulk_copy.copy(folders, database, client)
    assert not [row for row in contents(database)["tags"] if "'gapo.key'" in str(row)]
    assert all(isinstance(id, str) for id in copy_all(folders, database).values())


def test_what_is_there_or_not_over_or_broken_is_left_to_the_copier(tmp_path, database):
    folders = [make(tmp_path, seed) for seed in range(6)]
    for folder in folders:
        train(folder, range(2))
    for folder in folders[:5]:
        finish(folder)
    first = copier.copy(folders[0], database)
    (folders[1].path / "attempts/1/metrics.jsonl").write_text("rubbish\n")
    out = copy_all(folders, database)
    assert out[folders[0].path] == first and isinstance(out[folders[1].path], UserError)
    assert all(isinstance(out[folder.path], str) for folder in folders[2:])
    keys = [row for row in contents(database)["tags"] if "'gapo.key'" in str(row)]
    assert len(keys) == 5
    cells = [row for row in contents(database)["latest_metrics"] if "'seeds'" in str(row)]
    assert len(cells) == 1 and "4.0" in str(cells[0])  # they joined the cell that was there, and its means count them
