"""Reading a study for its tables, against what MLflow's own client offers: `python -m bench --only tables`."""

from __future__ import annotations

import math
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

from bench.measurement import Row

RUNS, METRICS, STEPS, SAMPLE = 10_000, 20, 100, 25
SERVED = 500


def tables_against_mlflow_client() -> list[Row]:
    """Measure all tables of 10,000 runs x 20 metrics x 100 steps in SQLite, against `search_runs` and one
    `get_metric_history` for each run and metric of the tables. The client's histories are timed on a sample of 25 runs
    and extrapolated, in a database as MLflow leaves it. (After ANALYZE, histories are several times faster.) The next
    two rows compare the seconds and the memory with their limits.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        _fill(path, RUNS, METRICS, STEPS)
        uri = f"sqlite:///{path}"
        seconds, megabytes = _measured(uri)
        client = _client_seconds(uri)
    return [
        Row(f"tables of {RUNS:,} runs / search_runs and one history a run", seconds, client, 1 / 100),
        Row(f"tables of {RUNS:,} runs / the 5 s they may take", seconds, 5.0, 1.0),
        Row("their peak memory / 1 GB", megabytes, 1000.0, 1.0, "MB"),
    ]


def tables_through_server() -> list[Row]:
    """All tables of 500 runs x 20 metrics x 100 steps through a tracking server, against the 10 s they may take."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        _fill(path, SERVED, METRICS, STEPS)
        with _server(f"sqlite:///{path}", Path(folder)) as address:
            seconds, _ = _measured(address)
    return [Row(f"tables of {SERVED} runs through a server / the 10 s they may take", seconds, 10.0, 1.0)]


def _measured(uri: str) -> tuple[float, float]:
    """Seconds and peak MB of a fresh process that makes every table; its imports are not counted."""
    code = (
        "import sys, time; from analysis.report import build; from analysis.report.options import Asked; from "
        "analysis.render import latex, plain_text; from analysis.sources import connect; from bench.measurement "
        "import peak_memory\n"
        "start = time.perf_counter()\n"
        "made = build.build(connect.connect(sys.argv[1]), Asked(studies=('bench',), figures=False)).document\n"
        "texts = [f(t) for t in made.tables for f in (latex.table, plain_text.to_csv)]\n"
        "print(time.perf_counter() - start, peak_memory())\n"
    )
    root = Path(__file__).parents[1]
    runs = [
        subprocess.run([sys.executable, "-c", code, uri], cwd=root, check=True, capture_output=True, text=True).stdout
        for _ in range(3)
    ]
    seconds, memory = sorted(tuple(map(float, text.split())) for text in runs)[1]
    return seconds, memory


def _client_seconds(uri: str) -> float:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("bench").experiment_id
    start = time.perf_counter()
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        found += page
        if not (token := page.token):
            break
    searched = time.perf_counter() - start
    sample = random.Random(0).sample(found, SAMPLE)
    start = time.perf_counter()
    for run in sample:
        for metric in ("val/id/em", "val/ood/em"):
            client.get_metric_history(run.info.run_id, metric)
    return searched + (time.perf_counter() - start) * len(found) / SAMPLE


def _fill(path: Path, runs: int, metrics: int, steps: int) -> None:
    """Write a study of 5-seed cells, as SQL, into a database that MLflow has made."""
    from gapo_lab.tracking import mlflow_client

    uri = f"sqlite:///{path}"
    mlflow_client.connect(uri)
    names = ["val/id/em", "val/ood/em", *(f"train/{number}" for number in range(metrics - 2))]
    algos = ("grpo", "gapo_grpo", "dapo", "gapo_dapo")
    rng = random.Random(0)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous=OFF")
        experiment = db.execute(
            "INSERT INTO experiments "
            "(name, artifact_location, lifecycle_stage, creation_time, last_update_time, workspace) "
            "SELECT 'bench', artifact_location, 'active', 0, 0, workspace FROM experiments LIMIT 1"
        ).lastrowid
        for number in range(runs):
            id, (cell, seed) = f"{number:032x}", divmod(number, 5)
            db.execute(
                "INSERT INTO runs "
                "(run_uuid, name, source_type, status, start_time, lifecycle_stage, experiment_id, artifact_uri, "
                "user_id, source_name, entry_point_name, source_version) "
                "VALUES (?, ?, 'LOCAL', 'FINISHED', ?, 'active', ?, '', '', '', '', '')",
                (id, id, number, experiment),
            )
            params = {"model": f"model{cell // 4}", "algo": algos[cell % 4], "seed": seed}
            db.executemany(
                "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
                [(k, str(v), id) for k, v in params.items()],
            )
            points = [
                (m, 0.5 + 0.3 * math.tanh(s / 30) + 0.05 * rng.random(), number * 1000 + s, id, s)
                for m in names
                for s in range(steps)
            ]
            db.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
                points,
            )
            db.executemany(
                "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
                points[steps - 1 :: steps],
            )
        db.commit()


@contextmanager
def _server(uri: str, folder: Path):
    import socket
    import urllib.request

    from gapo_lab.tracking import uri as addresses

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(
            addresses.ui_command(uri, port), env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                except OSError:
                    if process.poll() is not None:
                        raise RuntimeError((folder / "server.log").read_text()) from None
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)
