"""The command `evaluate`: measures checkpoints of finished runs, or any model, on test sets. Returns the exit code."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping

from gapo_lab.cli.select import named
from gapo_lab.errors import UserError
from gapo_lab.runs import measures
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.measures import GREEDY
from gapo_lab.runs.naming import run_name
from gapo_lab.runs.run_root import RunRoot
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.text import duration

EXPECTED, NOISE = "_expected", "_expected_noise"


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `evaluate` to the parser."""
    parser.add_argument(
        "run",
        nargs="*",
        metavar="RUN|KEY=VALUE",
        help="the key of a run, a study, or all (default); or overrides that name a model: model=FOLDER data=...",
    )
    parser.add_argument("--step", type=int, help="the step of the checkpoint (default: the last)")
    parser.add_argument(
        "--answers",
        type=int,
        default=8,
        help="sampled answers for each example, if the reward is not exact match (default: 8)",
    )


def evaluate(asked: argparse.Namespace) -> int:
    """Measure each of the runs and add the results to its metrics; or measure the model that the overrides name."""
    if asked.answers < 1:
        raise UserError(f"--answers {asked.answers}: at least 1")
    if any("=" in word for word in asked.run):
        return _model(asked)
    with RunRoot(asked.root) as runs:
        found = [folder for word in asked.run or ["all"] for folder in named(runs, word)]
        folders = [RunFolder(folder.path) for folder in found if folder.is_finished]
    if not folders:
        said = " ".join(asked.run or ["all"])
        raise UserError(
            f"no finished run of {said} in {asked.root}: {lab_command('status', root=asked.root)} shows all"
        )
    from gapo_lab.training.evaluate import Evaluator

    evaluator, began, failed = Evaluator(asked.answers, asked.step), time.monotonic(), 0
    for number, folder in enumerate(folders, 1):
        name = run_name(folder.spec)
        try:
            step, values = evaluator.evaluate(folder)
            shown = line(values, _metric(folder))
        except UserError as error:  # the others can be measured all the same
            print(f"{name}: {error}", file=sys.stderr)
            failed += 1
            continue
        left = duration((time.monotonic() - began) / number * (len(folders) - number))
        print(
            f"{name} ({folder.key}): {shown}, greedy, step {step}  [{number}/{len(folders)}, {left} left]", flush=True
        )
    print(f"{lab_command('sync', root=asked.root)} copies them to MLflow")
    return 1 if failed else 0


def _metric(folder: RunFolder) -> str | None:
    return folder.config().get("metric")


def _model(asked: argparse.Namespace) -> int:
    """Print the measures of a model that no run has trained; nothing is written."""
    if asked.step is not None:
        raise UserError("--step is of a run's checkpoint; a model folder has one")
    from gapo_lab.planning.untrained import composed
    from gapo_lab.training.evaluate import evaluate_model

    config = composed(asked.run)
    found = evaluate_model(config, asked.answers)
    print(f"{config.model.name}: {line(found, config.metric)}, greedy")
    for name, value in sorted(found.items()):
        print(f"  {name} {value:.6g}")
    return 0


def line(found: Mapping[str, float], metric: str | None = None) -> str:
    """Return the main measure on each test set: `ID 43.8% (expected of samples: 40.1% +- 0.9%)`. +- is the standard
    deviation that sampling gives the second number."""
    names = [name.removesuffix(GREEDY) for name in found if name.endswith(GREEDY)]
    about = measures.main_measure(names, metric)
    out = []
    for where in measures.in_order(name.split("/")[1] for name in names):
        key = f"val/{where}/{about}"
        if f"{key}{GREEDY}" not in found:
            continue
        said = f"{measures.set_label(where)} {measures.shown(str(about), found[f'{key}{GREEDY}'])}"
        if f"{key}{EXPECTED}" in found:
            noise = found.get(f"{key}{NOISE}")
            luck = f" +- {measures.shown(str(about), noise)}" if noise is not None else ""
            said += f" (expected of samples: {measures.shown(str(about), found[f'{key}{EXPECTED}'])}{luck})"
        out.append(said)
    return ", ".join(out)
