"""The replay's pictures: example groups, signs, mean-median gap, outliers, and the simulator's curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from analysis.figures.colours import of_methods
from analysis.results.group_rewards import KINDS, Rewards, kind
from gapo_lab.methods.gapo import densest_window, window_size
from gapo_lab.utils.plot_style import BLACK, BLUE, GREEN, GREY, RED

BAR = 0.8


def examples(recorded: Rewards, tau: float) -> Figure:
    """Four groups, one of each kind, with mean, median and GAPO's Q (Figures 1 and 8), and how many there are."""
    members = recorded.members()
    kinds = [kind(one) for one in members]
    figure = Figure(figsize=(7.2, 2.6))
    for place, name in enumerate(KINDS):
        axes = figure.add_subplot(1, len(KINDS), place + 1)
        mine = [one for one, sort in zip(members, kinds, strict=True) if sort == name]
        axes.set_title(f"{name}: {len(mine) / len(members):.0%} of {len(members)}")
        axes.set_xlim(*_range(recorded.rewards))
        axes.set_yticks([])
        axes.set_xlabel("reward")
        if not mine:
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=GREY)
            continue
        one = max(mine, key=lambda group: (abs(group.mean() - np.median(group)), len(group)))
        if name in ("symmetric", "flat"):
            one = max(mine, key=np.ptp)
        axes.hist(one, bins=np.linspace(*_range(recorded.rewards), 21), color="#D0D0D0")
        q = _q(one, tau)
        for value, label, colour, line in (
            (one.mean(), "mean", RED, "-"),
            (np.median(one), "median", GREEN, "--"),
            (q, "Q", BLUE, ":"),
        ):
            axes.axvline(value, color=colour, linestyle=line, label=label if place == 0 else None, linewidth=1.6)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def signs(table: pd.DataFrame) -> Figure:
    """Shares of positive (up) and negative (down) advantages by kind of group, and the mean magnitude."""
    names = list(dict.fromkeys(table["algo"]))
    kinds = [k for k in (*KINDS, "all") if k in set(table["kind"])]
    hue = of_methods(names)
    figure = Figure(figsize=(7.2, 3.2))
    left, right = figure.subplots(1, 2, width_ratios=(3, 1.2))
    width = BAR / len(names)
    for number, name in enumerate(names):
        mine = table[table["algo"] == name].set_index("kind").reindex(kinds)
        at = np.arange(len(kinds)) + (number - (len(names) - 1) / 2) * width
        left.bar(at, mine["positive"], width, color=hue[name], label=name)
        left.bar(at, -mine["negative"], width, color=hue[name], alpha=0.55)
        right.barh(len(names) - number, mine["magnitude"]["all"], color=hue[name])
        right.text(mine["magnitude"]["all"], len(names) - number, f" {mine['magnitude']['all']:.2g}", va="center")
    left.axhline(0, color=BLACK, linewidth=0.8)
    counts = table.drop_duplicates("kind").set_index("kind")["groups"]
    left.set_xticks(range(len(kinds)), [f"{k}\n{counts[k]} groups" for k in kinds])
    ticks = np.linspace(-1, 1, 5)
    left.set_yticks(ticks, [f"{abs(t):.0%}" for t in ticks])
    left.set_ylabel("negative   |   positive")
    left.set_title("share of advantages by sign")
    right.set_yticks([])
    right.set_xlim(right=right.get_xlim()[1] * 1.3)
    right.set_xticks([])
    right.set_title("mean |A|")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(names), 4))
    return figure


def gaps(groups: pd.DataFrame) -> Figure:
    """Mean - median of a group against its share of negative minus positive advantages, binned (Appendix A.2)."""
    names = list(dict.fromkeys(groups["algo"]))
    hue = of_methods(names)
    figure = Figure(figsize=(5.2, 3.6))
    axes = figure.add_subplot()
    moving = groups[groups["kind"] != "flat"]
    if not moving.empty:
        edges = np.unique(np.quantile(moving["gap"], np.linspace(0, 1, 13)))
        for name in names:
            mine = moving[moving["algo"] == name]
            bins = np.clip(np.searchsorted(edges, mine["gap"], side="right") - 1, 0, max(len(edges) - 2, 0))
            mean = mine.assign(balance=mine["negative"] - mine["positive"]).groupby(bins)[["gap", "balance"]].mean()
            axes.plot(
                mean["gap"],
                mean["balance"],
                marker="o",
                markersize=3,
                color=hue[name],
                label=name,
                linewidth=_width(name, names),
            )
    axes.axhline(0, color=BLACK, linewidth=0.8)
    axes.axvline(0, color=BLACK, linewidth=0.8)
    axes.set_xlabel("mean - median of the group's rewards")
    axes.set_ylabel("negative - positive, share of the group")
    axes.set_title("left-skewed", loc="left")
    axes.set_title("right-skewed", loc="right")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def outliers(table: pd.DataFrame) -> Figure:
    """How far one more rollout with the lowest or the highest reward moves the others' advantages."""
    names = list(dict.fromkeys(table["algo"]))
    hue = of_methods(names)
    every = table[table["kind"] == "all"].set_index("algo").loc[names]
    figure = Figure(figsize=(5.6, 3.0))
    axes = figure.add_subplot()
    for offset, column, label, alpha in (
        (-0.2, "low_outlier", "lowest", 1.0),
        (0.2, "high_outlier", "highest", 0.5),
    ):
        axes.bar(np.arange(len(names)) + offset, every[column], 0.38, alpha=alpha, color=list(hue.values()))
        axes.bar([0], [0], color=GREY, alpha=alpha, label=f"one more rollout with the {label} reward")
    axes.set_xticks(range(len(names)), [n.replace("gapo_grpo_", "gapo\n").replace("_", " ") for n in names])
    axes.set_ylabel("mean |change of A| / rms of A")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def simulated(table: pd.DataFrame) -> Figure:
    """Draw the true gradient and order kept, by noise (at one group size) and by group size (at one noise)."""
    names = list(dict.fromkeys(table["algo"]))
    hue = of_methods(names)
    size = 8 if 8 in set(table["size"]) else int(table["size"].min())
    noise = sorted(set(table["noise"]))[-2:][0]
    figure = Figure(figsize=(7.2, 6.6))
    grid = figure.subplots(3, 4, sharey="row")
    for column, (skew, axis) in enumerate((s, a) for s in ("left", "right") for a in ("noise", "size")):
        other, value = ("size", size) if axis == "noise" else ("noise", noise)
        kept = table[(table["skew"] == skew) & (table[other] == value)]
        for row, measure in enumerate(("cosine", "pooled", "order")):
            axes = grid[row][column]
            for name in names:
                mine = kept[kept["algo"] == name].sort_values(axis)
                axes.plot(
                    mine[axis],
                    mine[measure],
                    marker="o",
                    markersize=3,
                    color=hue[name],
                    linewidth=_width(name, names),
                    label=name if row == column == 0 else None,
                )
            if axis == "size":
                axes.set_xscale("log", base=2)
                axes.xaxis.set_major_formatter("{x:g}")
            if row == 0:
                fixed = f"G = {size}" if axis == "noise" else f"noise {noise:g}"
                axes.set_title(f"skewed {skew}, {fixed}")
            if row == 2:
                axes.set_xlabel("noise" if axis == "noise" else "group size")
            if column == 0:
                axes.set_ylabel(
                    {
                        "cosine": "cosine with\nthe true gradient",
                        "pooled": "true order kept,\nall groups (Spearman)",
                        "order": "true order kept,\nwithin a group (Kendall)",
                    }[measure]
                )
    figure.legend(loc="outside lower center", ncols=min(len(names), 6))
    return figure


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and PDF beside each other."""
    written = []
    for suffix, extra in ((".png", {"dpi": 150}), (".pdf", {"metadata": {"CreationDate": None}})):
        figure.savefig(path.with_suffix(suffix), **extra)
        written.append(path.with_suffix(suffix))
    return written


def _width(name: str, names: Sequence[str]) -> float:
    """Wider for a line that is drawn earlier, so that lines that lie on one another all show."""
    return 1.2 + 3.0 * (1 - names.index(name) / len(names))


def _range(rewards: np.ndarray) -> tuple[float, float]:
    low, high = float(rewards.min()), float(rewards.max())
    edge = 0.03 * (high - low) or 0.5
    return low - edge, high + edge


def _q(rewards: np.ndarray, tau: float) -> float:
    window = densest_window(torch.from_numpy(rewards).unsqueeze(0), window_size(len(rewards), tau))
    return float(np.median(window.numpy()))
