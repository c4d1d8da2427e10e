"""Copying finished runs to MLflow, against MLflow's own client: `python -m bench copying`."""

from __future__ import annotations

import math
import os
import tempfile
import time
from pathlib import Path

from bench import postgresql
from bench.measurement import Row

RUNS, METRICS, STEPS, SAMPLE = 1000, 20, 100, 20


def copying_many_runs() -> list[Row]:
    """Measure `sync` of 1,000 finished runs x 20 metrics x 100 steps into an empty SQLite database, and into a separate
    PostgreSQL server (Debian's package): wall seconds per point, against MLflow's client.

    The client creates a run, logs its parameters, tags and points (a thousand per call), and ends it. It copies no
    files, computes nothing for cells, and does not check what was sent before. It is timed on 20 runs, in the same
    database before it is filled.
    """
    rows, before = [], Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where MLflow puts files beside a PostgreSQL server
        try:
            folders = _make(Path(folder) / "runs")
            rows += _rows("SQLite", f"sqlite:///{folder}/mlflow.db", folders)
            if why := postgresql.missing():
                print(f"not measured: PostgreSQL ({why})")
            else:
                with postgresql.server() as server:
                    rows += _rows("PostgreSQL", server, folders)
        finally:
            os.chdir(before)
    return rows


def _rows(name: str, uri: str, folders: list) -> list[Row]:
    from gapo_lab.tracking import mlflow_client
    from gapo_lab.tracking.copy_runs import copy_all

    client = mlflow_client.connect(uri)
    theirs = _client_seconds(client) / SAMPLE
    start = time.perf_counter()
    failed = [one for one in copy_all(folders, uri).values() if isinstance(one, Exception)]
    ours = (time.perf_counter() - start) / RUNS
    assert not failed, failed[0]
    points = METRICS * STEPS
    what = f"sync of {RUNS:,} runs into {name} / MLflow's client ({points / ours:,.0f} points a second)"
    return [Row(what, ours / points, theirs / points, 1 / 5)]


def _client_seconds(client) -> float:
    from mlflow.entities import Metric, Param

    experiment = client.create_experiment("client")
    now = int(time.time() * 1000)
    start = time.perf_counter()
    for number in range(SAMPLE):
        run = client.create_run(experiment, now, {f"tag{n}": "text" for n in range(12)}, f"run {number}").info.run_id
        client.log_batch(run, params=[Param(f"param{n}", str(n)) for n in range(14)])
        points = [
            Metric(f"train/{metric}", _value(step), now + step, step)
            for step in range(STEPS)
            for metric in range(METRICS)
        ]
        for place in range(0, len(points), 1000):
            client.log_batch(run, metrics=points[place : place + 1000])
        client.set_terminated(run)
    return time.perf_counter() - start


def _value(step: int) -> float:
    return 0.5 + 0.3 * math.tanh(step / 30)


def _make(root: Path) -> list:
    """Write finished runs of 200 cells of five seeds."""
    from gapo_lab.runs import metrics
    from gapo_lab.runs.folder import RunFolder

    names = ["train/reward", "val/id/em", *(f"train/{metric}" for metric in range(METRICS - 2))]
    rows = [metrics.Row(step, 1000.0 + step, {name: _value(step) for name in names}) for step in range(STEPS)]
    measured = "".join(f"{row.to_json()}\n" for row in rows)
    summary = metrics.summary(metrics.values(metrics.merge([rows])))
    folders = []
    for number in range(RUNS):
        cell, seed = divmod(number, 5)
        science = {"actor_rollout_ref.actor.optim.lr": 1e-5 * (1 + cell)}
        spec = {"study": "bench", "model": "nano", "algo": "grpo", "seed": seed, "data": "micro", "scale": "nano"}
        key = f"r{number:09x}"
        folder = RunFolder.open(root, key, {**spec, "science": science, "key": key})
        folder.start_attempt().metrics_path.write_text(measured, encoding="utf-8")
        folder.write_summary(summary)
        folder.write_status(state="finished")
        folders.append(folder)
    return folders
