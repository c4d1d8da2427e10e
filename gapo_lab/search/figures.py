"""The pictures of a search: history, curves, slices, importance, Pareto front; as PDF and as PNG."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib
import optuna
from optuna.trial import FrozenTrial, TrialState

matplotlib.use("Agg")
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gapo_lab.search import names
from gapo_lab.search.search_space import Axis
from gapo_lab.search.settings import Search
from gapo_lab.search.trials import DONE
from gapo_lab.utils.plot_style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, STYLE

WIDTH, HEIGHT = 3.4, 2.4  # inches of one panel
# The curves of the best trials, best first; of the others that finished.
OF_BEST, REST = (RED, BLUE, GREEN, ORANGE, PURPLE), "#BBBBBB"


def draw(search: Search, study: optuna.Study, folder: Path) -> list[str]:
    """Write every picture that the trials allow; the names of the files."""
    trials = study.get_trials(deepcopy=False, states=DONE)
    wanted: dict[str, Callable[[], Figure | None]] = {
        "history": lambda: history(search, trials),
        "slice": lambda: slices(search, trials),
        "curves": lambda: curves(search, trials),
        "importance": lambda: importance(search, study, trials),
        "pareto": lambda: pareto(search, study, trials),
    }
    files = []
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells Hydra's log what it leaves out of a PDF
    with rc_context(STYLE):
        for name, make in wanted.items():
            if figure := make():
                figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
                figure.savefig(folder / f"{name}.png", dpi=200)
                files += [f"{name}.pdf", f"{name}.png"]
    return files


def _figure(columns: int = 1, more: float = 0) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels. more: inches beside them."""
    figure = Figure(figsize=(WIDTH * columns + more, HEIGHT))
    return figure, [figure.add_subplot(1, columns, n + 1) for n in range(columns)]


def history(search: Search, trials: list[FrozenTrial]) -> Figure:
    """Each trial's value by its number, the best so far as a line; what was pruned stands at its last value."""
    figure, panels = _figure(len(search.objectives))
    for at, (panel, objective) in enumerate(zip(panels, search.objectives, strict=True)):
        done = [t for t in trials if t.state == TrialState.COMPLETE]
        _pruned(panel, [(t.number, t.value) for t in trials if t.state == TrialState.PRUNED and t.values])
        panel.scatter([t.number for t in done], [t.values[at] for t in done], s=12, color=BLUE, label="finished")
        best, line = None, []
        for trial in done:
            value = trial.values[at]
            best = value if best is None else (max if objective.largest else min)(best, value)
            line.append((trial.number, best))
        panel.step(*zip(*line, strict=True), where="post", color=RED, lw=1.2, label="best so far") if line else None
        panel.set(xlabel="trial", ylabel=objective.name)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(fontsize=7)
    return figure


def slices(search: Search, trials: list[FrozenTrial]) -> Figure:
    """Return the first objective over each parameter; later trials are darker."""
    figure, panels = _figure(len(search.space.axes))
    last = max((t.number for t in trials), default=1) or 1
    for panel, axis in zip(panels, search.space.axes, strict=True):
        having = [t for t in trials if axis.key in t.params and t.values]
        done = [t for t in having if t.state == TrialState.COMPLETE]
        _pruned(panel, [(_at(axis, t), t.values[0]) for t in having if t.state == TrialState.PRUNED])
        panel.scatter(
            [_at(axis, t) for t in done],
            [t.values[0] for t in done],
            s=14,
            c=[t.number for t in done],
            cmap="Blues",
            vmin=-0.5 * last,
            vmax=last,
            edgecolors=BLUE,
            linewidths=0.4,
        )
        panel.set(xlabel=axis.key.rpartition(".")[2], ylabel=search.objectives[0].name)
        if axis.log:
            panel.set_xscale("log")
        if axis.choices:
            panel.set_xticks(range(len(axis.texts)), axis.texts)
            panel.set_xlim(-0.5, len(axis.texts) - 0.5)
    panels[0].set_title("later trials are darker", fontsize=7)
    return figure


def curves(search: Search, trials: list[FrozenTrial]) -> Figure | None:
    """Return what the pruner saw: each trial's metric by step, the best ones by name; pruned ones end where they were
    stopped."""
    seen = [t for t in trials if t.intermediate_values]
    if not seen:
        return None
    figure, (panel,) = _figure(more=1.6)
    best = best_first(search, seen)[: len(OF_BEST)]
    for trial in sorted(seen, key=lambda t: (t.state == TrialState.COMPLETE, t in best)):
        steps, numbers = zip(*sorted(trial.intermediate_values.items()), strict=True)
        if trial in best:
            panel.plot(steps, numbers, color=OF_BEST[best.index(trial)], lw=1.1)
        elif trial.state == TrialState.PRUNED:
            panel.plot(steps, numbers, color=GREY, lw=0.8, alpha=0.8)
            panel.plot(steps[-1:], numbers[-1:], "x", color=GREY, ms=4)
        else:
            panel.plot(steps, numbers, color=REST, lw=0.8)
    for trial, color in zip(best, OF_BEST, strict=False):
        panel.plot([], [], color=color, label=f"trial {trial.number}: {names.of_trial(search.space, trial.params)}")
    if any(t.state == TrialState.COMPLETE and t not in best for t in seen):
        panel.plot([], [], color=REST, lw=0.8, label="others that finished")
    if any(t.state == TrialState.PRUNED for t in seen):
        panel.plot([], [], "x-", color=GREY, lw=0.8, ms=4, label="pruned")
    panel.set(xlabel="step", ylabel=search.watch)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(fontsize=6, loc="outside right upper")
    return figure


def best_first(search: Search, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return those that finished, by the first objective."""
    sign = -1 if search.objectives[0].largest else 1
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(done, key=lambda trial: (sign * trial.values[0], trial.number))


def importance(search: Search, study: optuna.Study, trials: list[FrozenTrial]) -> Figure | None:
    """How much of the first objective's spread each parameter explains (Optuna's default evaluator)."""
    found = importances(search, study, trials)
    if not found:
        return None
    figure, (panel,) = _figure()
    keys = [key.rpartition(".")[2] for key in found]
    bars = panel.barh(keys[::-1], list(found.values())[::-1], color=BLUE, height=0.5)
    panel.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    panel.set(xlabel=f"importance for {search.objectives[0].name}", xlim=(0, 1.12))
    panel.set_ylim(-0.7, max(len(keys), 3) - 0.3)
    panel.grid(axis="y", visible=False)
    return figure


def importances(search: Search, study: optuna.Study, trials: list[FrozenTrial]) -> dict[str, float]:
    """By parameter, largest first; {} where there is nothing to compare: one parameter, few trials, or one value."""
    done = [t for t in trials if t.state == TrialState.COMPLETE]
    if len(search.space.axes) < 2 or len(done) < 4 or len({t.values[0] for t in done}) < 2:
        return {}
    # with a target of one's own, Optuna explains what makes it small
    sign = -1 if search.objectives[0].largest else 1
    target = None if search.single else (lambda trial: sign * trial.values[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.importance.get_param_importances(study, target=target)


def pareto(search: Search, study: optuna.Study, trials: list[FrozenTrial]) -> Figure | None:
    """Return the first two objectives against each other; the front is joined."""
    if search.single:
        return None
    figure, (panel,) = _figure()
    front = sorted(tuple(t.values[:2]) for t in study.best_trials)
    panel.scatter([t.values[0] for t in trials], [t.values[1] for t in trials], s=12, color=GREY, label="trials")
    panel.plot(*zip(*front, strict=True), "o-", color=BLUE, ms=4, lw=1, label="Pareto front")
    arrows = ["larger is better" if one.largest else "smaller is better" for one in search.objectives[:2]]
    axes = [f"{one.name}\n({arrow})" for one, arrow in zip(search.objectives, arrows, strict=False)]
    panel.set(xlabel=axes[0], ylabel=axes[1])
    panel.legend(fontsize=7)
    return figure


def _pruned(panel: Axes, points: list[tuple[float, float]]) -> None:
    if points:
        panel.plot(*zip(*points, strict=True), "x", color=GREY, ms=4, label="pruned")


def _at(axis: Axis, trial: FrozenTrial) -> float:
    value = trial.params[axis.key]
    return axis.choices.index(value) if axis.choices else value
