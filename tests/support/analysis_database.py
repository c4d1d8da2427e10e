"""Databases of MLflow with made-up runs, written as SQL: the schema is MLflow's own, the client would take minutes."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from uuid import UUID


class Database:
    """A copy of an empty MLflow database, to which runs are added."""

    def __init__(self, empty: Path, path: Path) -> None:
        self.path = path
        shutil.copy(empty, path)
        self.uri = f"sqlite:///{path}"
        self.count = 0

    def study(self, name: str) -> int:
        with closing(sqlite3.connect(self.path)) as db, db:
            old = db.execute("SELECT experiment_id FROM experiments WHERE name = ?", (name,)).fetchone()
            if old:
                return old[0]
            place = (self.path.parent / "mlartifacts").as_uri()
            return db.execute(
                "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time, "
                "workspace) SELECT ?, ?, 'active', 0, 0, workspace FROM experiments LIMIT 1",
                (name, place),
            ).lastrowid

    def add(self, runs: Iterable[Mapping]) -> list[str]:
        """Add runs: {study, model, ..., status, tags, stage, points: {metric: {step: value} | [(step, value, ms)]}}."""
        ids = []
        words = ("study", "status", "tags", "points", "stage", "name")
        runs = list(runs)
        studies = {run.get("study", "s"): self.study(run.get("study", "s")) for run in runs}
        with closing(sqlite3.connect(self.path)) as db, db:
            for run in runs:
                self.count += 1
                id = UUID(int=self.count * 0x9E3779B97F4A7C15 << 32 & (1 << 128) - 1).hex
                ids.append(id)
                params = {k: v for k, v in run.items() if k not in words and v is not None}
                name = run.get("name", f"{params.get('model')} {params.get('algo')} seed={params.get('seed')}")
                db.execute(
                    "INSERT INTO runs "
                    "(run_uuid, name, source_type, status, start_time, lifecycle_stage, experiment_id, "
                    "artifact_uri, user_id, source_name, entry_point_name, source_version) "
                    "VALUES (?, ?, 'LOCAL', ?, ?, ?, ?, ?, '', '', '', '')",
                    (
                        id,
                        name,
                        run.get("status", "FINISHED"),
                        self.count * 10**6,
                        run.get("stage", "active"),
                        studies[run.get("study", "s")],
                        (self.path.parent / "mlartifacts" / id).as_uri(),
                    ),
                )
                db.executemany(
                    "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
                    [(k, str(v), id) for k, v in params.items()],
                )
                db.executemany(
                    "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
                    [(k, v, id) for k, v in run.get("tags", {}).items()],
                )
                for metric, points in run.get("points", {}).items():
                    if isinstance(points, Mapping):
                        points = [(step, value, self.count * 10**6 + step) for step, value in points.items()]
                    rows = [(metric, *_stored(value), ms, id, step) for step, value, ms in points]
                    db.executemany(
                        "INSERT INTO metrics (key, value, is_nan, timestamp, run_uuid, step) VALUES (?, ?, ?, ?, ?, ?)",
                        rows,
                    )
                    if rows:
                        key, value, nan, ms, _, step = rows[-1]
                        db.execute(
                            "INSERT INTO latest_metrics (key, value, is_nan, timestamp, step, run_uuid) "
                            "VALUES (?, ?, ?, ?, ?, ?)",
                            (key, value, nan, ms, step, id),
                        )
        return ids


def _stored(value: float) -> tuple[float, int]:
    """As MLflow's store writes it: NaN is 0 with a flag, infinity the largest double."""
    if math.isnan(value):
        return 0.0, 1
    return (math.copysign(1.7976931348623157e308, value) if math.isinf(value) else value), 0


def golden(seeds: int = 5) -> list[dict]:
    """Runs whose means are the paper's Tables 2, 4 and 5, and whose mean curves have its Step-deltas."""
    from analysis.paper import published

    two, four, five = (published.load(published.FOLDER / f"table{n}.yaml") for n in (2, 4, 5))
    cells = {
        (m, row): v
        for t in (five, two)
        for row, vs in t.rows.items()
        for m, v in zip(t.columns, vs, strict=True)
        if v is not None
    }
    out = []
    for number, ((model, algo), value) in enumerate(sorted(cells.items())):
        baseline = {"gapo_grpo": "grpo", "gapo_dapo": "dapo"}.get(algo)
        reach = two.delta(algo, baseline, "steps", model) if baseline else None
        curve = {0: value / 2, 100: value * 0.8, 250: value}
        if reach is not None:
            there = two.value(baseline, model)
            curve = {0: there / 2, 250 + int(reach) - 1: there * 0.99, 250 + int(reach): there, 400: value}
        cases = four.value(algo, model)
        for seed in range(seeds):
            # The seeds' noise sums to nothing; each cell has them in another order.
            noise = ((seed + number) % seeds - (seeds - 1) / 2) * 0.1
            points = {"val/id/em": {step: (v + noise) / 100 for step, v in curve.items()}}
            if cases is not None:
                right = round(cases * 1.32)
                points["val/ood/em"] = {0: max(0, right - 3) / 132, 250: right / 132}
            points["perf/throughput"] = {
                1: 1000.0 + 50 * ("gapo" in algo) + seed,
                250: 1010.0 + 50 * ("gapo" in algo) + seed,
            }
            points["actor/pg_clipfrac"] = {1: 0.004 - 0.001 * ("gapo" in algo), 250: 0.001}
            tau = 0.5 if "gapo" in algo else None
            out.append(
                {
                    "study": "paper",
                    "model": model,
                    "algo": algo,
                    "tau": tau,
                    "seed": seed,
                    "rollouts": 8,
                    "id_size": 3897,
                    "ood_size": 132,
                    "points": points,
                }
            )
    return out
