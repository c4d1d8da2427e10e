"""Run folders of runs that might have trained: a few steps, made by hand."""

from __future__ import annotations

from pathlib import Path

from gapo_lab.runs import metrics
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.provenance import Code, Origin, Provenance

SPEC = {
    "study": "s",
    "model": "nano",
    "algo": "grpo",
    "tau": None,
    "data": "micro",
    "scale": "nano",
    "backend": "cpu",
    "overrides": [],
    "science": {"actor_rollout_ref.actor.optim.lr": 1e-05},
}
CONFIG = "data:\n  id_size: 1024\n  ood_size: 512\nactor_rollout_ref:\n  rollout:\n    n: 8\n"


def start(root: Path, key: str, **words) -> RunFolder:
    science = SPEC["science"] | {"algorithm.adv_estimator": words.get("algo", "grpo")}
    folder = RunFolder.open(root, key, SPEC | {"key": key, "science": science} | words)
    folder.start_attempt()
    folder.write_provenance(Provenance(Origin(git=Code("c0ffee" * 6, dirty=True))))
    folder.write_config(CONFIG)
    return folder


def train(folder: RunFolder, steps, gain: float = 0.0, began: float = 1000.0) -> None:
    for step in steps:
        values = {
            "val/id/em": 0.2 + gain + step / 100,
            "val/ood/em": 0.1 + gain,
            "actor/pg_clipfrac": 0.01,
            "odd@name": 1.0,
        }
        folder.attempts()[-1].append_metrics(step, values, now=began + step + 0.123456)


def finish(folder: RunFolder) -> None:
    folder.write_summary(metrics.summary(folder.merged_metrics()))
    folder.write_status(state="finished")


def trained(root: Path, key: str, seed: int = 0, gain: float = 0.0, began: float = 1000.0, **words) -> RunFolder:
    folder = start(root, key, seed=seed, **words)
    train(folder, range(4), gain, began)
    finish(folder)
    return folder
