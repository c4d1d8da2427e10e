"""Rewards before training, by model and noise: how skewed they are, in numbers and drawn. And accuracy by noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from analysis.figures import colours, curves, rewards
from analysis.figures.drawing import Drawing
from analysis.paper import conventions
from analysis.results.group_rewards import EVEN, KINDS, kind
from analysis.results.measurements import number
from analysis.results.runs import Cell, Selection
from analysis.tables import captions
from analysis.tables.paper import Results
from analysis.tables.table import DASH, Entry, Line, Table
from gapo_lab.utils.plot_style import STYLE

FAR = 0.1  # mean and median this far apart: no reading of EVEN makes it symmetric
Groups = Mapping[tuple[str, float], Sequence[np.ndarray]]


def found(selection: Selection, runs_root: Path) -> Groups:
    """{(model, noise): the rewards of each prompt, (G,) each}: the first step's rollouts, all seeds of one method.

    The rewards are those that the estimator read. Before training every method has the same ones, but for the overlong
    penalty, so the method is one without it where there is one.
    """
    out: dict[tuple[str, float], list[np.ndarray]] = {}
    for cell in sorted(selection.cells, key=lambda cell: (_penalised(cell), conventions.method_order(cell.algo))):
        if (place := (cell.model, cell.noise)) in out:
            continue
        paths = [rewards.first_generations(runs_root, [run.identity]) for run in cell.runs]
        if groups := [group for path in paths if path for group in rewards.groups(path)]:
            out[place] = groups
    return dict(sorted(out.items(), key=lambda one: (conventions.model_order(one[0][0]), one[0][1])))


def _penalised(cell: Cell) -> bool:
    """Whether the method is on DAPO's settings, where the reward holds the overlong penalty."""
    return cell.algo == "qae" or conventions.on_dapo(cell.algo)


def numbers(groups: Sequence[np.ndarray]) -> dict[str, float]:
    """Of the rewards of each prompt: their mean, standard deviation and skewness, and shares of prompts in percent."""
    everything = np.concatenate(groups)
    gaps = np.array([abs(group.mean() - np.median(group)) for group in groups])
    kinds = [kind(group) for group in groups]
    shares = {name: 100 * kinds.count(name) / len(kinds) for name in KINDS}
    return {
        "prompts": len(groups),
        "rollouts": len(everything),
        "mean": float(everything.mean()),
        "sd": float(everything.std(ddof=1)),
        "skewness": float(stats.skew(everything)) if np.ptp(everything) else float("nan"),
        f"gap ≥ {EVEN:g}, %": 100 * float((gaps >= EVEN).mean()),
        f"gap ≥ {FAR:g}, %": 100 * float((gaps >= FAR).mean()),
        **{f"{name}, %": shares[name] for name in ("left-skewed", "right-skewed", "flat")},
    }


def table(by_level: Groups) -> Table:
    """Return a line a model and noise."""
    blocks: dict[str, list[Line]] = {}
    head: tuple[str, ...] = ()
    for (model, noise), groups in by_level.items():
        values = numbers(groups)
        head = tuple(values)
        entries = tuple(
            Entry(DASH) if np.isnan(value) else Entry(number(value, _decimals(name)), value)
            for name, value in values.items()
        )
        blocks.setdefault(model, []).append(Line(f"{conventions.model_title(model)}, {_level(noise)}", entries))
    notes = (
        ("", "rollouts of the first training step, as the estimator read them; gap: |mean - median| within a prompt"),
        ("", f"left-skewed: mean {EVEN:g} or more below the median; right-skewed: above; flat: all rewards equal"),
        ("", "the paper's Figure 1 shows skewed prompts of Qwen2.5-Coder-14B and gives no share of them"),
    )
    header = (tuple((name, 1) for name in head),)
    return Table("rewards", "Rewards before training", ("Model",), header, tuple(map(tuple, blocks.values())), notes)


def _decimals(name: str) -> int:
    return {"prompts": 0, "rollouts": 0}.get(name, 0 if "%" in name else 2)


def _level(noise: float) -> str:
    return f"{100 * noise:g}% outliers" if noise else "no outliers added"


def distributions(by_level: Groups) -> Drawing:
    """Return a panel a model and noise: all rewards, coloured by the kind of their prompt."""
    across = max(2, *(sum(model == m for m, _ in by_level) for model, _ in by_level))
    models = list(dict.fromkeys(model for model, _ in by_level))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.15 * across, 1.5 * len(models) + 0.55))
        axes = figure.subplots(len(models), across, squeeze=False).tolist()
        for row, model in zip(axes, models, strict=True):
            levels = [(noise, groups) for (name, noise), groups in by_level.items() if name == model]
            for ax, level in zip(row, [*levels, *[None] * (across - len(levels))], strict=True):
                if level is None:
                    ax.set_axis_off()
                    continue
                _panel(ax, f"{conventions.model_title(model)}, {_level(level[0])}", level[1])
        figure.supxlabel("reward", fontsize=8)
        figure.supylabel("share of rollouts, %", fontsize=8)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=6)
        caption = (
            "Rewards of the rollouts before training by model and share of outliers, coloured by the kind of "
            "their prompt, with the mean and the median of all rollouts."
        )
        return Drawing("figureS1", caption, figure)


def _panel(ax, title: str, groups: Sequence[np.ndarray]) -> None:
    everything = np.concatenate(groups)
    data = [[r for g in groups if kind(g) == name for r in g] for name in KINDS]
    weights = [np.full(len(some), 100 / len(everything)) for some in data]
    ax.hist(
        data,
        bins=np.linspace(0, 1, 26),
        stacked=True,
        weights=weights,
        linewidth=0,
        label=KINDS,
        color=[rewards.HUES[name] for name in KINDS],
    )
    ax.axvline(everything.mean(), color="black", linewidth=0.9, linestyle=curves.DASHED, label="mean")
    ax.axvline(np.median(everything), color="black", linewidth=0.9, linestyle=curves.DOTTED, label="median")
    ax.set_title(title, loc="left", fontsize=7.5)


def accuracy(by_set: Mapping[str, Results]) -> Drawing | None:
    """Return a panel a model and test set, a line a method over the noise: mean over seeds and its interval."""
    panels = {}
    for name, results in by_set.items():
        for model in dict.fromkeys(column[0] for column in results.grid.columns):
            panels[f"{conventions.model_title(model)}, {name}"] = (results, model)
    if not panels:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.9 * max(2, len(panels)), 2.4))
        axes = figure.subplots(1, len(panels), squeeze=False)[0].tolist()
        for ax, (title, (results, model)) in zip(axes, panels.items(), strict=True):
            algos = [row[0] for row in results.grid.rows]
            for place, algo in enumerate(algos):
                _line(ax, results, model, algo, algos, place)
            ax.set_title(title, loc="left")
            ax.set_xlabel("rollouts with an outlier for their reward, %")
        axes[0].set_ylabel(captions.axis(next(iter(by_set.values())).measured))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
        caption = (
            "Accuracy by noise on the training rewards: mean over seeds and its 95% interval, side by side where they "
            "would overlap."
        )
        return Drawing("figureS2", caption, figure)


def _line(ax, results: Results, model: str, algo: str, algos: Sequence[str], place: int) -> None:
    points = []
    for column in results.grid.columns:
        cell = results.grid.at.get(((algo,), column))
        if column[0] == model and cell is not None and cell.id in results.summaries:
            one = results.summaries[cell.id]
            points.append((100 * cell.noise, one.mean, one.mean - one.low, one.high - one.mean))
    if not points:
        return
    x, mean, below, above = np.array(points).T
    scale = results.measured.scale
    stroke = curves.DASHED if conventions.on_dapo(algo) else "-"
    ax.errorbar(
        x + 0.25 * (place - (len(algos) - 1) / 2),
        mean * scale,
        scale * np.nan_to_num(np.array([below, above])),
        label=conventions.method(algo),
        color=colours.of_methods(algos)[algo],
        linestyle=stroke,
        marker="s" if algo in curves.BASELINES else "o",
        markerfacecolor="white" if algo in curves.BASELINES else None,
        markersize=3,
        capsize=2,
        elinewidth=0.8,
    )
    ax.set_xticks(sorted(set(np.round(x, 6))))
