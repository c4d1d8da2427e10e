"""Look at a model's rewards before training: `python -m gapo_lab probe model=... data=...`, or `--rewards FILE`.

Draws one group of answers for each of some training prompts, scores them, and writes one page: the rewards (the paper's
Figures 1 and 8), and for every estimator what it makes of them: its advantages as GRPO's, scaled and shifted, and how
well its gradient keeps the true direction. Nothing is trained. `--rewards`: a run folder, a file of its generations, or
a CSV, parquet or JSONL with the columns uid and reward.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapo_lab.errors import UserError
from gapo_lab.utils.text import duration

if TYPE_CHECKING:
    from analysis.results.group_rewards import Rewards
    from analysis.tables.table import Table

# All that can be computed from rewards alone, one of those with the same advantages.
METHODS = (
    *("grpo", "gapo_grpo", "gapo_centred", "grpo_shifted", "median", "trimmed_mean", "huber", "rank", "shrinkage"),
    *("qae", "krpo", "dr_grpo", "rloo"),
)
NOISE = 0.2  # the share of outliers that is tried where no noise= is given
# What decides how the answers are drawn and scored; and what an estimator is and does.
SAMPLED = ("model", "data", "reward", "backend", "seed", "scale", "mined", "actor_rollout_ref.rollout")
ESTIMATED = ("algo", "tau", "algorithm")


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m gapo_lab probe`."""
    out = argparse.ArgumentParser(
        prog="python -m gapo_lab probe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("words", nargs="*", metavar="KEY=VALUE", help="model=nano data=micro_blocks algo=a,b tau=0.5 ...")
    out.add_argument("--rewards", type=Path, metavar="REWARDS", help="a record of rewards; nothing is sampled then")
    out.add_argument("--column", default="reward", help="the record's column of rewards (default: reward, score)")
    out.add_argument("--prompts", type=int, default=64, help="training prompts that are answered (default 64)")
    out.add_argument("--out", type=Path, default=Path("reports/probe"), help="folder (default reports/probe)")
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Exit code 0, or 2 for a user's mistake, told in one line."""
    asked = parser().parse_intermixed_args(arguments)
    try:
        if asked.prompts < 1:
            raise UserError(f"--prompts {asked.prompts}: at least 1")
        _probe(asked)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _probe(asked: argparse.Namespace) -> None:
    sampled, estimated, noise = _sorted(asked.words, sampling=asked.rewards is None)
    from analysis.replay.estimators import methods_of
    from gapo_lab.config import search_path

    names = [name for word in estimated if word.startswith("algo=") for name in word[5:].split(",")]
    settings = [word for word in estimated if not word.startswith("algo=")]
    chosen = methods_of(names or METHODS, search_path.use(settings))
    whose, recorded, rows = _sample(sampled, asked.prompts) if asked.rewards is None else _load(asked)
    _write(asked.out, whose, recorded, rows, chosen, noise)


def _sorted(words: Sequence[str], sampling: bool) -> tuple[list[str], list[str], float]:
    """Return the overrides for the answers, those for the estimators, and the noise. UserError for any other."""
    sampled, estimated, noise = [], [], NOISE
    for word in words:
        key, is_word, value = word.partition("=")
        setting = key.lstrip("+")
        if not is_word:
            raise UserError(f"{word}: no KEY=VALUE. Overrides look like model=nano; a record is given by --rewards")
        if key == "noise":
            noise = _noise(value)
        elif _is_below(setting, ESTIMATED):
            estimated.append(word)
        elif not _is_below(setting, SAMPLED):
            raise UserError(f"{word}: a probe does not use it. Leave it out")
        elif not sampling:
            raise UserError(f"{word}: with --rewards nothing is sampled. Leave one of them out")
        else:
            sampled.append(word)
    return sampled, estimated, noise


def _is_below(setting: str, nodes: Sequence[str]) -> bool:
    return any(setting == node or setting.startswith(f"{node}.") for node in nodes)


def _noise(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise UserError(f"noise={value}: a share of outliers between 0 and 1")
    return share


def _sample(words: Sequence[str], prompts: int) -> tuple[str, Rewards, Any]:
    """Return whose rewards they are, the rewards, and a row for each answer."""
    from gapo_lab.planning.untrained import composed
    from gapo_lab.utils.machine import has_gpu

    config = composed(words)
    if int(config.actor_rollout_ref.rollout.n) < 2:
        raise UserError("actor_rollout_ref.rollout.n: at least 2, since a group of one has nothing to compare")
    if config.backend.needs_gpu and not has_gpu():
        raise UserError(
            f"model={config.model.name} needs a GPU and this machine has none. Run the probe where one is, or take a "
            "small model"
        )
    import pandas as pd

    from analysis.results.group_rewards import from_table
    from gapo_lab.training.sample_groups import sample_groups

    rows = pd.DataFrame(sample_groups(config, prompts, _Clock()))
    return f"before training, {config.model.name} on {config.data.name}", from_table(rows["uid"], rows["reward"]), rows


class _Clock:
    """Says how many prompts are answered, and the time left."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, done: int, all_of_them: int) -> None:
        left = (time.monotonic() - self._began) / done * (all_of_them - done)
        shown = f"{done} of {all_of_them} prompts answered, {duration(left)} left"
        if sys.stderr.isatty():
            print(f"\r{shown:<60}", end="\n" if done == all_of_them else "", file=sys.stderr, flush=True)
        elif done == all_of_them or not done % 64:
            print(shown, file=sys.stderr, flush=True)


def _load(asked: argparse.Namespace) -> tuple[str, Rewards, None]:
    from analysis.results.group_rewards import load

    return f"of {asked.rewards.name}", load(asked.rewards, asked.column), None


def _write(out: Path, whose: str, recorded: Rewards, rows: Any, chosen: Sequence[Any], noise: float) -> None:
    import dataclasses

    import pandas as pd

    from analysis.probe import conclusions, groups, methods, page, tables

    recorded = groups.comparable(recorded)
    facts = groups.facts(recorded)
    found = methods.look(recorded, chosen, noise)
    said = conclusions.sentences(facts, found, noise)
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text(page.page(whose, recorded, facts, found, said, noise), encoding="utf-8")
    pd.DataFrame([dataclasses.asdict(one) for one in found]).to_csv(out / "methods.csv", index=False)
    if rows is not None:
        rows[["uid", "reward"]].to_csv(out / "rewards.csv", index=False)
        rows.to_json(out / "answers.jsonl", orient="records", lines=True, force_ascii=False)
    _show(f"Rewards {whose}", page.rows(facts), tables.methods(found, noise), said)
    print(f"{out / 'index.html'}" + ("" if rows is None else f"; the answers: {out / 'answers.jsonl'}"))


def _show(title: str, facts: Sequence[tuple[str, str]], table: Table, said: Sequence[str]) -> None:
    """Print the page's words and numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Shown

    console = Console(highlight=False)
    console.print(title, style="bold", markup=False)
    for name, value in facts:
        console.print(f"  {name}: {value}", markup=False)
    shown = Shown(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column(table.stub[0], no_wrap=True)
    for text, _ in table.header[0]:
        shown.add_column(text, justify="right")
    for line in table.lines:
        # without the range of f, which the page has
        shown.add_row(line.label, *(entry.text.partition(" [")[0] for entry in line.entries))
    console.print(shown)
    for sentence in said:
        console.print(f"- {sentence}", markup=False)
