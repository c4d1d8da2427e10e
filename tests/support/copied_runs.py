"""Run folders that look trained, and what MLflow's database holds of them."""

from __future__ import annotations

import contextlib
import math
import sqlite3

from gapo_lab.runs import metrics
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.provenance import Code, Origin, Provenance
from gapo_lab.tracking import uri

SPEC = {
    "study": "table2",
    "model": "nano",
    "algo": "gapo_grpo",
    "tau": 0.5,
    "seed": 0,
    "data": "micro",
    "scale": "nano",
    "backend": "cpu",
    "overrides": ["trainer.total_training_steps=60"],
    "science": {"actor_rollout_ref.actor.optim.lr": 1e-05, "data.train_batch_size": 32},
    "key": "run0",
}
PROVENANCE = Provenance(Origin(git=Code("c0ffee" * 6 + "abcd", dirty=True, diff="-a\n+b\n")))


def make(tmp_path, seed=0, **words):
    folder = RunFolder.open(tmp_path / "runs", f"run{seed}", SPEC | {"seed": seed, "key": f"run{seed}"} | words)
    attempt = folder.start_attempt()
    folder.write_provenance(PROVENANCE)
    folder.write_config("trainer: {}\n")
    attempt.log_path.write_text("a line\n")
    (attempt.generations / "0.jsonl").write_text('{"output": "x"}\n')
    return folder


def train(folder, steps, reward=0.5, start=1000.0):
    for step in steps:
        folder.attempts()[-1].append_metrics(
            step, {"train/reward": reward, "val/id/em": step / 100, "odd@name/x": math.nan}, now=start + step
        )


def finish(folder):
    folder.write_summary(metrics.summary(folder.merged_metrics()))
    folder.write_status(state="finished")


def table(database, query):
    with contextlib.closing(sqlite3.connect(uri.sqlite_path(database))) as connection:
        return connection.execute(query).fetchall()


def everything(database):
    return {
        name: table(database, f"SELECT * FROM {name} ORDER BY 1, 2, 3")
        for name in ("experiments", "runs", "metrics", "latest_metrics", "params", "tags")
    }
