"""Look at methods without training: `python -m analysis.replay REWARDS [algo=...] [tau=...] [KEY=VALUE ...]`.

REWARDS is a run folder, a file of its generations, or a CSV or parquet with the columns uid and reward. For each
method: shares of positive and negative advantages by kind of group, mean - median against sign, magnitude, and how far
one outlier moves the others. `--simulate` needs no REWARDS: known true rewards with skewed noise.
Writes PNG, PDF and CSV files to the folder `--out`.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gapo_lab.errors import UserError
from gapo_lab.utils.plot_style import STYLE


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m analysis.replay`."""
    out = argparse.ArgumentParser(
        prog="python -m analysis.replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("rewards", nargs="?", metavar="REWARDS", help="a run folder, JSONL, CSV or parquet file")
    out.add_argument("words", nargs="*", metavar="KEY=VALUE", help="algo=a,b tau=0.5 algorithm.gapo.ddof=1 ...")
    out.add_argument("--simulate", action="store_true", help="true rewards and skewed noise instead of a record")
    out.add_argument("--groups", type=int, default=1000, help="groups that the simulator draws (default 1000)")
    out.add_argument("--seed", type=int, default=0, help="seed of the simulator (default 0)")
    out.add_argument("--column", default="reward", help="the column that holds the reward (default: reward, score)")
    out.add_argument(
        "--out", type=Path, default=Path("reports/replay"), help="folder to write to (default reports/replay)"
    )
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Exit code 0, or 2 for a user's mistake, told in one line."""
    asked = parser().parse_intermixed_args(arguments)
    words = [word for word in [asked.rewards, *asked.words] if word and "=" in word and not Path(word).exists()]
    paths = [word for word in [asked.rewards, *asked.words] if word and word not in words]
    console = Console()
    try:
        if asked.simulate == bool(paths) or len(paths) > 1:
            raise UserError("give one REWARDS (a run folder, JSONL, CSV or parquet), or --simulate without any")
        if asked.groups < 1:
            raise UserError(f"--groups {asked.groups}: must be at least 1")
        if asked.simulate:
            _simulate(words, asked, console)
        else:
            _replay(Path(paths[0]), words, asked, console)
    except UserError as error:
        Console(stderr=True).print(str(error), highlight=False, markup=False, soft_wrap=True)
        return 2
    return 0


def _chosen(words: list[str]):
    from analysis.replay.estimators import DEFAULT, methods_of

    names = [name for word in words if word.startswith("algo=") for name in word[5:].split(",")]
    rest = [word for word in words if not word.startswith("algo=")]
    return methods_of(names or DEFAULT, rest)


def _replay(path: Path, words: list[str], asked: argparse.Namespace, console: Console) -> None:
    from analysis.replay import figures
    from analysis.replay.estimators import by_group, table
    from analysis.results.group_rewards import load

    recorded = load(path, asked.column)
    chosen = _chosen(words)
    measured, groups = table(recorded, chosen), by_group(recorded, chosen)
    tau = next((float(word[4:]) for word in words if word.startswith("tau=")), 0.5)
    with figures.matplotlib.rc_context(STYLE):
        drawn = {
            "groups": figures.examples(recorded, tau),
            "signs": figures.signs(measured),
            "gap": figures.gaps(groups),
            "outlier": figures.outliers(measured),
        }
        written = _write(asked.out, drawn, {"replay": measured, "replay_groups": groups})
    shown = Table(
        title=f"{len(recorded.uids)} groups, {len(recorded.rewards)} rollouts",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    columns = (
        "algo",
        "kind",
        "positive",
        "negative",
        "best_zero",
        "gap",
        "magnitude",
        "low_outlier",
        "high_outlier",
    )
    _show(shown, measured, columns, console)
    console.print(NOTE, highlight=False)
    console.print(f"{', '.join(path.name for path in written)} in {asked.out}", highlight=False)


def _simulate(words: list[str], asked: argparse.Namespace, console: Console) -> None:
    from analysis.replay import figures
    from analysis.replay.simulator import simulate

    measured = simulate(_chosen(words), groups=asked.groups, seed=asked.seed)
    with figures.matplotlib.rc_context(STYLE):
        written = _write(asked.out, {"simulate": figures.simulated(measured)}, {"simulate": measured})
    mean = (
        measured.groupby(["skew", "algo"], sort=False)[["cosine", "negative", "order", "pooled"]].mean().reset_index()
    )
    _show(
        Table(title="means over noise levels and group sizes", title_justify="left", box=SIMPLE_HEAD),
        mean,
        tuple(mean),
        console,
    )
    console.print(f"{', '.join(path.name for path in written)} in {asked.out}", highlight=False)


NOTE = (
    "best=0: share of a group's best rollouts that get no signal; gap: mean - median of a group's rewards; "
    "|A|: mean size; low, high: how far one more rollout with the lowest (highest) reward moves the others' "
    "advantages, in units of their root mean square"
)
SHARES = {"positive", "negative", "best_zero"}  # shown in percent
HEADS = {
    "positive": "A>0",
    "negative": "A<0",
    "best_zero": "best=0",
    "magnitude": "|A|",
    "low_outlier": "low",
    "high_outlier": "high",
    "order": "order kept",
    "pooled": "order kept, all groups",
}


def _show(shown: Table, rows, columns: tuple[str, ...], console: Console) -> None:
    """Print the table, 80 columns wide; a method's or a skew's name is said once."""
    for column in columns:
        words = column in ("algo", "kind", "skew")
        shown.add_column(HEADS.get(column, column), justify="left" if words else "right", no_wrap=words)
    shown.padding, shown.pad_edge = (0, 1, 0, 0), False
    last = None
    for row in rows[list(columns)].to_dict("records"):
        new = row[columns[0]] != last
        if new and last is not None:
            shown.add_section()
        last = row[columns[0]]
        shown.add_row(*(_cell(name, value) if new or name != columns[0] else "" for name, value in row.items()))
    console.print(shown)


def _cell(name: str, value: object) -> str:
    if isinstance(value, float) and math.isnan(value):  # nothing to take a share of
        return "-"
    if name in SHARES:
        return f"{value:.0%}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _write(out: Path, drawn: dict, tables: dict) -> list[Path]:
    from analysis.replay.figures import save

    out.mkdir(parents=True, exist_ok=True)
    written = [path for name, figure in drawn.items() for path in save(figure, out / name)]
    for name, rows in tables.items():
        rows.to_csv(out / f"{name}.csv", index=False)
        written.append(out / f"{name}.csv")
    return written
