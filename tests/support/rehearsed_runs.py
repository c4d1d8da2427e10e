"""Run folders of rehearsals, as a sweep leaves them, without its processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path

import yaml

from gapo_lab.config.fast_compose import Composer
from gapo_lab.planning.plan import Planned, draft
from gapo_lab.runs import metrics
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.provenance import Code, Origin, Provenance
from gapo_lab.training.rehearsal import curve
from gapo_lab.utils.dotted import unflatten

STEPS, BEST_TAU = 3, 0.4
# One for all studies: no config file changes between them.
composer = cache(Composer)


def rehearse(root: Path, study: str, *axes: Sequence[str]) -> list[str]:
    """Rehearse the runs of a grid, those that are not finished; their keys are the study's."""
    words = (
        "scale=rehearsal",
        f"rehearsal.steps={STEPS}",
        f"rehearsal.best_tau={BEST_TAU}",
        f"study={study}",
    )
    drafted = draft([(*words, *cell) for cell in product(*axes)], composer())
    runs = {run.spec.key: run for run in drafted if run.spec}
    for key, run in runs.items():
        if not (root / key).exists():
            _run(root, run)
    (root / ".studies").mkdir(exist_ok=True)
    (root / ".studies" / f"{study}.json").write_text(json.dumps(sorted(runs)))
    return sorted(runs)


def _run(root: Path, run: Planned) -> None:
    spec = run.spec
    folder = RunFolder.open(root, spec.key, spec.as_dict())
    folder.write_config(yaml.safe_dump(unflatten(run.settings), sort_keys=False))
    folder.write_provenance(Provenance(Origin(git=Code("c0ffee" * 6, dirty=False))))
    attempt = folder.start_attempt()
    for step in range(1, STEPS + 1):
        attempt.append_metrics(step, curve(spec.seed, step, spec.tau, BEST_TAU))
    folder.write_summary(metrics.summary(folder.merged_metrics()))
    folder.write_status(state="finished")
