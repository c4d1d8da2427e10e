"""What a person should know of a plan before starting it: data, attention, disk, validations, the hours, the metric.

Pure but for reading a reward's text and hashing files of rows.
"""

from __future__ import annotations

from typing import Any

from gapo_lab.config.user_models import is_here
from gapo_lab.config.view import ConfigView
from gapo_lab.data import dev_set
from gapo_lab.data.user_rows import sets
from gapo_lab.planning import disk, reward_rules
from gapo_lab.planning.cost import GPU_FLOPS, CostInputs
from gapo_lab.planning.plan import Plan, Planned
from gapo_lab.planning.planned import one_each
from gapo_lab.runs import naming

# A share of a run's time that is worth a question.
MUCH = 0.1
# Rows of a smoke run's validation: as conf/scale/smoke.yaml has them, and so many that they cost minutes.
SMOKE_ROWS, SMOKE_MANY = 32, 500
# The included models.
NANO = ("nano", "nano_large")


def notes(plan: Plan) -> list[str]:
    """Return the lines to show with a plan, the most important first; of runs without a GPU only what may fail."""
    on_gpus, lines = [run for run in plan.todo if run.gpus], []
    if on_gpus:
        lines = [_data(on_gpus), _not_here(on_gpus), _attention(on_gpus), disk.note(on_gpus), _smoke_rows(on_gpus)]
        lines += [_validations(on_gpus), _hours(on_gpus)]
    return [line for line in (*lines, *warnings(plan.todo)) if line]


def warnings(runs: list[Planned]) -> list[str]:
    """Return those of the lines that also matter to one run without a GPU: why its numbers may say little."""
    return [line for line in (_beyond_nano(runs), _no_dev(runs), _same_rows(runs), _metric(runs)) if line]


def _data(runs: list[Planned]) -> str:
    on = {name: [run for run in runs if run.valid_spec.data == name] for name in ("micro", "git")}
    if on["micro"]:
        return (
            "trains on generated edits of some 200 tokens (data=micro). For edits of real repositories: "
            f"python -m gapo_lab.data mine REPO... --out {on['micro'][0].settings['mined']}, then the same command "
            "(docs/data.md)"
        )
    places = dict.fromkeys(str(run.settings["data.path"]) for run in on["git"] if run.settings["data.path"])
    return f"trains on the mined edits in {', '.join(places)}" if places else ""


def _attention(runs: list[Planned]) -> str:
    key = "actor_rollout_ref.model.override_config.attn_implementation"
    if not any(run.settings.get(key) == "sdpa" for run in runs):
        return ""
    return (
        "attention is sdpa, and sequences are not cut over GPUs (ulysses 1): flash-attn is not installed here, or "
        "backend.attention says so. Steps take about 1.5 times as long (docs/bench.md)"
    )


def _smoke_rows(runs: list[Planned]) -> str:
    """Return a line where a smoke run was given test sets of a real run's size."""
    for run in one_each(runs):
        rows = CostInputs.of(run.settings).test_tasks
        if run.valid_spec.scale == "smoke" and rows > SMOKE_MANY:
            sizes = [key for key in ("data.id_size", "data.dev_size", "data.ood_size") if run.settings.get(key)]
            large = " and ".join(key for key in sizes if run.settings[key] > SMOKE_ROWS)
            instead = f"Leave {large} out" if large else "Give smaller files"
            said = f"a smoke run validates {rows:,} rows, and its accuracy is no result"
            return f"{said}. {instead}: {SMOKE_ROWS} are enough"
    return ""


def _validations(runs: list[Planned]) -> str:
    runs = [run for run in runs if run.valid_spec.scale != "smoke"]
    if not runs:
        return ""
    run = max(runs, key=lambda one: one.expected.share_of_validations)
    share = run.expected.share_of_validations
    if share <= MUCH:
        return ""
    inputs = CostInputs.of(run.settings)
    often = "step" if inputs.test_every == 1 else f"{inputs.test_every} steps"
    return (
        f"validating takes about {100 * share:.0f}% of a run: {inputs.test_tasks:,} answers every {often}. "
        f"trainer.test_freq={10 * max(1, inputs.test_every)} saves most of it"
    )


def _hours(runs: list[Planned]) -> str:
    """Return what the hours rest on; nothing where finished runs of the same size have measured them all."""
    if scaled := next((run for run in runs if run.expected.scaled), None):
        return f"the hours come from run {scaled.expected.runs[0]}, scaled by tokens and rows (docs/gpus.md#hours)"
    if all(run.measured for run in runs):
        return ""
    is_smoke = all(run.settings["scale.name"] == "smoke" for run in runs)
    tokens = sorted({round(CostInputs.of(run.settings).row_tokens) for run in one_each(runs)})
    rows = f"{tokens[0]:,}" if len(tokens) == 1 else f"{tokens[0]:,} to {tokens[-1]:,}"
    return (
        f"the hours are a rough estimate by a formula ({GPU_FLOPS:.0e} FLOP/s a GPU, {rows} tokens a prompt with its "
        "answer; docs/gpus.md#hours)"
    ).replace("e+", "e") + ("" if is_smoke else ". To measure them, add scale=smoke to the command")


def _data_nodes(runs: list[Planned], name: str) -> list[dict[str, Any]]:
    """Return the different `data` nodes of the runs with these data: the cells of a grid share their files."""
    found = [run.node("data") for run in one_each(runs) if run.valid_spec.data == name]
    return list({repr(node): node for node in found}.values())


def _beyond_nano(runs: list[Planned]) -> str:
    """Return a line where a model that was taught generated edits is to learn those of real repositories."""
    for run in runs:
        name = naming.model_name(run.valid_spec.as_dict())
        if name not in NANO or run.valid_spec.scale == "rehearsal":
            continue
        if run.valid_spec.data == "git":
            return (
                f"model={name}: was taught only generated edits. Edits of real repositories are beyond it. Take a "
                "language model, such as model=smollm2_135m (docs/data.md)"
            )
        if run.valid_spec.data == "parquet":
            return (
                f"model={name}: was taught only generated edits. Of your rows it can learn short answers that are "
                "copied from the prompt, and little else. Take a language model, such as model=smollm2_135m "
                "(docs/your-own.md#models)"
            )
    return ""


def _not_here(runs: list[Planned]) -> str:
    """Return a line where models by their Hugging Face names are not in the cache of this machine."""
    real = [run for run in one_each(runs) if run.valid_spec.scale != "rehearsal"]
    lacking = [path for path in dict.fromkeys(str(run.settings["model.path"]) for run in real) if not is_here(path)]
    if not lacking:
        return ""
    fetch = "; ".join(f"hf download {path}" for path in lacking)
    return (
        f"{' and '.join(lacking)}: not in the Hugging Face cache of this machine. If the machines that train lack it, "
        f"too, fetch it before they start: {fetch}"
    )


def _no_dev(runs: list[Planned]) -> str:
    """Return a line where mined data leave nothing for the dev set; whoever has rows of their own knows."""
    for data in _data_nodes(runs, "git"):
        if why := dev_set.lack(data):
            return f"no dev set, so that a report takes the last step: {why}"
    return ""


def _same_rows(runs: list[Planned]) -> str:
    """Return a line where a set to measure on is made of a file that is trained on."""
    for data in _data_nodes(runs, "parquet"):
        files = sets.content(data)
        if shared := [name for name in files if name != sets.TRAIN and set(files[name]) & set(files[sets.TRAIN])]:
            return (
                f"{' and '.join(shared)}: made of a file that data.train has, too. Accuracy on it shows what was "
                "memorized, not what was learnt. Give other rows"
            )
    return ""


def _metric(runs: list[Planned]) -> str:
    """Return a line where a metric was named that the reward's text neither has nor lacks for sure."""
    for run in one_each(runs):
        asked, config = run.settings.get("metric"), ConfigView(run.settings)
        if asked not in (None, "reward") and reward_rules.returned(config) is None:
            called = f"reward={config.reward.name}"
            return (
                f"whether {called} returns metric={asked} cannot be read from its text. python -m gapo_lab doctor with "
                "the same words calls it on a row; a run ends at its first validation where it does not"
            )
    return ""
