"""Figures 1 and 8: how rewards lie within the groups of one prompt, before training changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from analysis.figures.drawing import Drawing
from analysis.results.group_rewards import EVEN, KINDS, kind, load
from gapo_lab.utils.plot_style import BLUE, GREEN, GREY, ORANGE, STYLE

HUES = {"left-skewed": BLUE, "right-skewed": ORANGE, "symmetric": GREEN, "flat": GREY}


def groups(path: Path) -> list[np.ndarray]:
    """Return the rewards of each prompt in a file of training generations, (G,) each; groups of one are left out."""
    return [scores for scores in load(path, "score").members() if len(scores) > 1]


def first_generations(runs_root: Path, keys: Sequence[str]) -> Path | None:
    """Return the rollouts of the first training step of the first of these runs that still has them here.

    An attempt that ended before its first step has none: of several that have, the newest is the one that went on.
    """
    for key in keys:
        found = (runs_root / key / "attempts").glob("[0-9]*/generations/train/1.jsonl")
        if paths := sorted(found, key=lambda path: int(path.parents[2].name)):
            return paths[-1]
    return None


def draw(found: Sequence[np.ndarray], whose: str) -> list[Drawing]:
    """Figure 1 (all rollouts, and how many prompts of each kind) and Figure 8 (examples of each kind).

    whose: follows "rollouts" in the captions, such as `before training, nano`.
    """
    return [_all(found, whose), _examples(found, whose)]


def _scale(found: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the ends of the reward axis: 0 and 1, or those of the rewards that lie outside."""
    low, high = min(float(one.min()) for one in found), max(float(one.max()) for one in found)
    return min(low, 0.0), max(high, 1.0)


def _all(found: Sequence[np.ndarray], whose: str) -> Drawing:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.2, 2.1))
        left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
        by_kind = {name: [g for g in found if kind(g) == name] for name in KINDS}
        data = [np.concatenate(by_kind[name]) if by_kind[name] else np.array([]) for name in KINDS]
        left.hist(data, bins=np.linspace(*_scale(found), 26), stacked=True, color=[HUES[n] for n in KINDS], linewidth=0)
        left.set_xlabel("reward")
        left.set_ylabel("rollouts")
        left.set_title(f"{sum(map(len, found))} rollouts", loc="left")
        shares = [100 * len(by_kind[name]) / len(found) for name in KINDS]
        right.barh(range(len(KINDS)), shares, color=[HUES[n] for n in KINDS], height=0.65)
        right.set_yticks(range(len(KINDS)), KINDS)
        right.invert_yaxis()
        right.grid(axis="y", visible=False)
        right.set_xlim(0, max(shares) * 1.22)
        for at, share in enumerate(shares):
            right.text(share + max(shares) * 0.02, at, f"{share:.0f}%", va="center", fontsize=7.5)
        right.set_xlabel("share of prompts, %")
        right.set_title(f"{len(found)} prompts", loc="left")
        caption = (
            f"Rewards of the rollouts {whose}. Left: all rollouts, coloured by the kind of their "
            f"prompt; right: prompts by kind (mean below, above or within {EVEN:g} of the median; all rewards equal)."
        )
        return Drawing("figure1", caption, figure)


def _examples(found: Sequence[np.ndarray], whose: str) -> Drawing:
    """For each kind the group with the widest gap between mean and median (symmetric: the widest spread)."""
    low, high = _scale(found)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 1.9))
        axes = figure.subplots(1, len(KINDS), sharey=True)
        for ax, name in zip(axes, KINDS, strict=True):
            mine = [g for g in found if kind(g) == name]
            ax.set_title(name, loc="left")
            ax.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
            ax.set_xlabel("reward")
            if not mine:
                ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", color=GREY)
                continue
            by_gap = name in ("left-skewed", "right-skewed")
            example = max(mine, key=lambda g: abs(g.mean() - np.median(g)) if by_gap else g.std())
            ax.hist(example, bins=np.linspace(low, high, 21), color=HUES[name], linewidth=0)
            ax.axvline(example.mean(), color="black", linewidth=1, label="mean")
            ax.axvline(np.median(example), color="black", linewidth=1, linestyle=(0, (2, 1.5)), label="median")
            ax.yaxis.get_major_locator().set_params(integer=True)
        axes[0].set_ylabel("rollouts")
        handles, labels = axes[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper right", ncols=2)
        caption = f"Rewards of one prompt's rollouts {whose}: the clearest example of each kind."
        return Drawing("figure8", caption, figure)
