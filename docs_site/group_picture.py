"""What GAPO does to one group of rewards, beside GRPO: a picture of docs/first-run.md, by the estimators themselves."""

from __future__ import annotations

import statistics

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import Drawing, svg
from gapo_lab.methods.gapo import densest_window, gapo, window_size
from gapo_lab.methods.grpo import grpo
from gapo_lab.utils.plot_style import BLACK, BLUE, ORANGE, STYLE

# An example: most rollouts are similarly good, one is far off.
REWARDS = (0.05, 0.42, 0.72, 0.75, 0.76, 0.79, 0.90, 1.00)
TAU = 0.5
SIZE = (6.6, 2.9)  # inches


def picture() -> bytes:
    """Return the SVG: the advantage of each rollout over its reward, by either method."""
    rewards, group = torch.tensor(REWARDS, dtype=torch.float64), torch.zeros(len(REWARDS), dtype=torch.long)
    window = densest_window(rewards[None], window_size(len(REWARDS), TAU))[0]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE)
        axes = figure.subplots()
        axes.axvspan(float(window[0]), float(window[-1]), color=BLUE, alpha=0.15, linewidth=0)
        axes.text(float(window.mean()), 1.12, "the densest half", ha="center", color=BLUE)
        axes.axhline(0.0, color=BLACK, linewidth=0.8)
        _method(axes, rewards, grpo(rewards, group), "s", ORANGE, "GRPO")
        _method(axes, rewards, gapo(rewards, group, tau=TAU), "o", BLUE, "GAPO")
        _zero(axes, float(rewards.mean()), ORANGE, "mean of the group", (-14, 26), "right")
        _zero(axes, statistics.median(window.tolist()), BLUE, "median of the densest half", (26, -44), "left")
        axes.set_xlabel("reward of a rollout")
        axes.set_ylabel("its advantage")
        axes.set_ylim(-2.6, 1.4)
        axes.legend(loc="upper left")
    return svg(Drawing("group", "", figure))


def _method(axes: Axes, rewards: torch.Tensor, advantages: torch.Tensor, marker: str, colour: str, name: str) -> None:
    axes.plot(rewards.tolist(), advantages.tolist(), marker=marker, markersize=5, color=colour, label=name)


def _zero(axes: Axes, at: float, colour: str, text: str, offset: tuple[int, int], ha: str) -> None:
    """Point at where a method's advantage is zero."""
    axes.annotate(
        text,
        (at, 0.0),
        xytext=offset,
        textcoords="offset points",
        ha=ha,
        color=colour,
        arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 0.8},
    )
