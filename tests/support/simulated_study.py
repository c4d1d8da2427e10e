"""Run folders of a study in two stages (`+sweep=fair`) with invented numbers: no process, and no rehearsal's mark."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from gapo_lab.cli import grid
from gapo_lab.planning.planned import Planned
from gapo_lab.runs import metrics, studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.provenance import Code, Origin, Provenance
from gapo_lab.search.fair import FairSweep
from gapo_lab.utils.dotted import unflatten

# Points of exact match that a method is ahead of GRPO; the shift costs five, the scale nothing.
AHEAD = {"grpo_shifted": -0.05, "gapo_grpo": -0.05, "gapo_dapo": -0.04}
BEST_RATE = 8e-4


def asked_grid(root: Path, *words: str) -> grid.AskedGrid:
    """Return what a command line with these words asks for."""
    return grid.of_words([*words, f"run_root={root}"])


def fair_sweep(root: Path, *words: str) -> FairSweep:
    """Return the sweep of these words."""
    asked = asked_grid(root, *words)
    return FairSweep(asked.cells(), asked.fair)


def simulate(root: Path, *words: str, tuned_only: Sequence[str] = ()) -> FairSweep:
    """Write the run folders of both stages, without the second for methods in ``tuned_only``."""
    sweep = fair_sweep(root, *words)
    tuning = sweep.tuning()
    write(root, tuning.values())
    compared = sweep.comparison(sweep.choices(tuning)).values()
    write(root, [run for run in compared if run.valid_spec.algo not in tuned_only])
    return sweep


def write(root: Path, runs: Iterable[Planned]) -> None:
    for run in runs:
        spec = run.valid_spec
        folder = RunFolder.open(root, spec.key, spec.as_dict())
        folder.write_config(json.dumps(unflatten(run.settings)))
        folder.write_provenance(Provenance(Origin(git=Code("c0ffee" * 6, dirty=False))))
        attempt = folder.start_attempt()
        for step in (0, 10, 20, 30):
            attempt.append_metrics(step, _measured(run, step))
        _answer(attempt.generations, run)
        folder.write_summary(metrics.summary(folder.merged_metrics()))
        folder.write_status(state="finished")
        studies.remember(root, [(str(spec.study), spec.key)])


def _measured(run: Planned, step: int) -> dict[str, float]:
    """Return what a run measures: a rising curve, the higher the nearer its rate is to the best one."""
    spec = run.valid_spec
    rate = float(run.settings["actor_rollout_ref.actor.optim.lr"])
    noise = random.Random(f"{spec.key} {step}").gauss(0, 0.003) if step else 0.0
    ahead = AHEAD.get(spec.algo, 0.0) - 0.3 * spec.noise - 0.04 * abs(math.log(rate / BEST_RATE))
    gain = (0.32 + ahead) * (1 - math.exp(-step / 12))
    out = {}
    for name, start, share in (("id", 0.2, 1.0), ("dev", 0.2, 0.95), ("ood", 0.11, 0.3)):
        value = start + share * (gain + noise)
        out |= {f"val/{name}/em": value, f"val/{name}/em_expected": value, f"val/{name}/em_expected_t50": value + 0.12}
        if name != "dev":
            out[f"val/{name}/em_greedy"] = value + 0.13
    return out | {"perf/throughput": 1500.0, "perf/time_per_step": 6.0, "perf/total_num_tokens": 15300.0}


def _answer(place: Path, run: Planned) -> None:
    """Write how likely eight truths of the ID test set are, and one answer."""
    draw = random.Random(run.key)
    (place / "truths").mkdir(parents=True, exist_ok=True)
    rows = [f'{{"set": "id", "id": "t{number}", "loglik": {-draw.random()}}}\n' for number in range(8)]
    (place / "truths" / "30.jsonl").write_text("".join(rows))
